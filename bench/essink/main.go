// essink answers like Elasticsearch's _bulk, and counts what was stored: by the sequence number in each line and by _id. It believes
// nothing: a request whose lines do not come in pairs, a document that is no JSON or an action that is unknown is refused and counted.
// On request it fails in the ways in which real ones do. Other shippers may post
// lines to any other path, or OTLP to /v1/logs, which are counted alike.
//
//	essink -listen 127.0.0.1:0 -expect 1000000
//
// GET /_stats answers with the counts, GET /_missing?upto=1000 with the numbers that are not there, POST /_fault?kind=503&every=10&for=5s makes it fail, POST /_reset begins anew.
package main

import (
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

type server struct {
	strict bool
	limit  int64 // bytes of a request, 0: any

	mu     sync.Mutex // guards everything below
	stored store
	faults []*fault
	number int64 // requests with documents
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "`ADDRESS` to listen at")
	expect := flag.Int("expect", 1<<20, "highest sequence number, about")
	strict := flag.Bool("strict", false, "look at every document, not at one of 64")
	limit := flag.Int64("limit", 0, "bytes that a request may have; more is answered with 413; 0: any")
	flag.Parse()
	s := &server{strict: *strict, limit: *limit}
	s.stored.reset(*expect)
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("http://%s\n", l.Addr())
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_stats", s.stats)
	mux.HandleFunc("GET /_missing", s.missing)
	mux.HandleFunc("POST /_reset", s.reset)
	mux.HandleFunc("POST /_fault", s.fault)
	mux.HandleFunc("/", s.serve)
	fmt.Fprintln(os.Stderr, http.Serve(l, mux))
}

func (s *server) reset(http.ResponseWriter, *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stored.reset(s.stored.expect)
	s.faults, s.number = nil, 0
}

func (s *server) stats(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = json.NewEncoder(w).Encode(s.stored.counts())
}

func (s *server) fault(w http.ResponseWriter, r *http.Request) {
	f, err := parseFault(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.kind == "none" {
		s.faults = nil
		return
	}
	s.faults = append(s.faults, f)
}

// serve takes documents, or says who it is.
func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Elastic-Product", "Elasticsearch")
	if r.Method != http.MethodPost && r.Method != http.MethodPut || r.ContentLength == 0 {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"name":"essink","cluster_name":"bench","version":{"number":"8.15.0","build_flavor":"default"},"tagline":"You Know, for Search"}`)
		return
	}
	body, err := s.body(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	defer bodies.Put(body)
	if s.limit > 0 && int64(len(body.data)) > s.limit {
		s.count(&s.stored.c.TooLarge)
		http.Error(w, `{"error":"too large"}`, http.StatusRequestEntityTooLarge)
		return
	}
	s.mu.Lock()
	s.number++
	f := s.active(time.Now())
	s.mu.Unlock()
	switch kind(f) {
	case "503", "429", "401", "403":
		code := map[string]int{"503": 503, "429": 429, "401": 401, "403": 403}[f.kind]
		http.Error(w, fmt.Sprintf(`{"error":{"type":"scripted","reason":"fault"},"status":%d}`, code), code)
		return
	case "hang":
		select {
		case <-r.Context().Done():
		case <-time.After(f.hold):
		}
		panic(http.ErrAbortHandler)
	case "refuse":
		panic(http.ErrAbortHandler)
	}
	answer, err := s.take(body, r.URL.Path, r.URL.Query().Get("filter_path") == "errors,items.*.status,items.*.error", f)
	if err != nil {
		s.count(&s.stored.c.Malformed)
		http.Error(w, fmt.Sprintf(`{"error":%q}`, err.Error()), http.StatusBadRequest)
		return
	}
	if kind(f) == "drop" {
		panic(http.ErrAbortHandler) // stored, and nobody learns of it
	}
	if strings.HasSuffix(r.URL.Path, "/v1/logs") { // protobuf: all of it was taken
		w.Header().Set("Content-Type", "application/x-protobuf")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", fmt.Sprint(len(answer)))
	_, _ = w.Write(answer)
}

func (s *server) count(n *int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*n++
}

// buffer is what a request needs, and keeps for the next one.
type buffer struct {
	data, answer []byte
	docs         []doc
}

// bodies keeps them.
var bodies = sync.Pool{New: func() any { return &buffer{} }}

func (s *server) body(r *http.Request) (*buffer, error) {
	b := bodies.Get().(*buffer)
	b.data, b.docs, b.answer = b.data[:0], b.docs[:0], b.answer[:0]
	var in io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			return nil, err
		}
		in = z
	}
	for {
		if len(b.data) == cap(b.data) {
			b.data = append(b.data, make([]byte, max(1<<20, cap(b.data)/2))...)[:len(b.data)]
		}
		n, err := in.Read(b.data[len(b.data):cap(b.data)])
		b.data = b.data[:len(b.data)+n]
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			return nil, err
		}
	}
}
