// Package estest is a strict server for tests that speaks what Elasticsearch speaks to those who write: it takes nothing that the
// real one would refuse, remembers every event by its id, and fails in all the ways that were asked for.
package estest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// Faults say how the next request goes wrong. Numbers of items count from 0 in the request.
type Faults struct {
	Status  int    // instead of any work
	Body    string // with Status
	After   string // Retry-After, with Status
	Hang    bool   // no answer until the client gives up
	Drop    bool   // everything is stored, and the connection is closed instead of an answer
	Short   int    // results that are left out at the end
	Extra   int    // results that are too many
	Cut     int    // the answer breaks off after as many bytes
	Huge    int    // bytes of nonsense in each result
	Late    bool   // "errors" comes behind "items"
	Lie     bool   // "errors" is false whatever happened
	Item    map[int]Result
	EachNth int // this result for each nth item of all
	Nth     Result
}

// Result is what happens to an event instead of being stored.
type Result struct {
	Status       int
	Kind, Reason string
}

// Server is the fake. Its fields are set before the first request, or under Lock.
type Server struct {
	*httptest.Server
	sync.Mutex
	Fault   func(request int) Faults // nil: none
	Login   string                   // value of the header Authorization that is wanted
	Streams bool                     // every index is a data stream: only create is taken
	Whole   bool                     // filter_path is ignored, as old servers do
	Keep    bool                     // documents are kept, not just their ids
	MaxBody int64                    // larger requests are 413

	docs      map[string]json.RawMessage // by index and id
	requests  int
	again     int
	items     int
	complain  []string
	templates map[string]string
}

// New starts a server that stops with the test. Requests that a real server would refuse as a whole fail the test.
func New(t testing.TB) *Server {
	s := &Server{docs: map[string]json.RawMessage{}, templates: map[string]string{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
		s.Lock()
		defer s.Unlock()
		for _, c := range s.complain {
			t.Error("estest: " + c)
		}
	})
	return s
}

// Docs is how many different events are stored, Again how often one was sent that was there, Requests the bulk requests.
func (s *Server) Docs() int     { s.Lock(); defer s.Unlock(); return len(s.docs) }
func (s *Server) Again() int    { s.Lock(); defer s.Unlock(); return s.again }
func (s *Server) Requests() int { s.Lock(); defer s.Unlock(); return s.requests }

// Doc is a stored document, nil if there is none or Keep is not set.
func (s *Server) Doc(index, id string) json.RawMessage {
	s.Lock()
	defer s.Unlock()
	return s.docs[index+"/"+id]
}

// Template is what was written under a name.
func (s *Server) Template(name string) string { s.Lock(); defer s.Unlock(); return s.templates[name] }

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Elastic-Product", "Elasticsearch")
	s.Lock()
	login := s.Login
	s.Unlock()
	if login != "" && r.Header.Get("Authorization") != login {
		fail(w, http.StatusUnauthorized, "security_exception", "unable to authenticate")
		return
	}
	switch {
	case strings.HasPrefix(r.URL.Path, "/_index_template/"):
		s.template(w, r)
	case strings.HasSuffix(r.URL.Path, "/_bulk") && (r.Method == http.MethodPost || r.Method == http.MethodPut):
		s.bulk(w, r)
	default:
		fail(w, http.StatusBadRequest, "illegal_argument_exception", "no handler found for uri ["+r.URL.Path+"] and method ["+r.Method+"]")
	}
}

func (s *Server) template(w http.ResponseWriter, r *http.Request) {
	s.Lock()
	defer s.Unlock()
	name := strings.TrimPrefix(r.URL.Path, "/_index_template/")
	switch r.Method {
	case http.MethodGet:
		if s.templates[name] == "" {
			fail(w, http.StatusNotFound, "resource_not_found_exception", "index template matching ["+name+"] not found")
		}
	case http.MethodPut:
		body, _ := io.ReadAll(r.Body)
		if !json.Valid(body) || r.Header.Get("Content-Type") != "application/json" {
			fail(w, http.StatusBadRequest, "parse_exception", "no JSON")
			return
		}
		s.templates[name] = string(body)
		_, _ = io.WriteString(w, `{"acknowledged":true}`)
	}
}

func fail(w http.ResponseWriter, status int, kind, reason string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"error":{"root_cause":[{"type":%q,"reason":%q}],"type":%q,"reason":%q},"status":%d}`, kind, reason, kind, reason, status)
}

func (s *Server) bulk(w http.ResponseWriter, r *http.Request) {
	s.Lock()
	n := s.requests
	s.requests++
	var f Faults
	if s.Fault != nil {
		f = s.Fault(n)
	}
	limit := s.MaxBody
	s.Unlock()
	body, err := read(r)
	switch {
	case f.Hang:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case err != nil:
		return // the client went away
	case f.Status != 0:
		if f.After != "" {
			w.Header().Set("Retry-After", f.After)
		}
		w.WriteHeader(f.Status)
		_, _ = io.WriteString(w, f.Body)
		return
	case limit > 0 && int64(len(body)) > limit:
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	case r.Header.Get("Content-Type") != "application/x-ndjson" && r.Header.Get("Content-Type") != "application/json":
		fail(w, http.StatusNotAcceptable, "media_type_header_exception", "Content-Type "+r.Header.Get("Content-Type"))
		return
	}
	results, bad, err := s.store(strings.Trim(strings.TrimSuffix(r.URL.Path, "/_bulk"), "/"), body, f)
	if err != nil {
		s.Lock()
		s.complain = append(s.complain, err.Error())
		s.Unlock()
		fail(w, http.StatusBadRequest, "illegal_argument_exception", err.Error())
		return
	}
	if f.Drop {
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(s.answer(r, f, results, bad))
}

func read(r *http.Request) ([]byte, error) {
	var from io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(from)
		if err != nil {
			return nil, err
		}
		from = z
	}
	return io.ReadAll(from)
}

func (s *Server) answer(r *http.Request, f Faults, results []map[string]any, bad bool) []byte {
	if f.Short > 0 {
		results = results[:max(0, len(results)-f.Short)]
	}
	for range f.Extra {
		results = append(results, results[0])
	}
	var b bytes.Buffer
	slim := !s.Whole && r.URL.Query().Get("filter_path") == "errors,items.*.status,items.*.error"
	b.WriteString(`{`)
	if !slim {
		b.WriteString(`"took":3,`)
	}
	if !f.Late {
		fmt.Fprintf(&b, `"errors":%t,`, bad && !f.Lie)
	}
	b.WriteString(`"items":[`)
	for i, res := range results {
		if i > 0 {
			b.WriteByte(',')
		}
		if slim {
			for _, v := range res {
				m, _ := v.(map[string]any)
				for k := range m {
					if k != "status" && k != "error" {
						delete(m, k)
					}
				}
			}
		}
		for op, v := range res {
			if m, ok := v.(map[string]any); ok && f.Huge > 0 {
				m["junk"] = strings.Repeat(`x"`, f.Huge/2)
			}
			text, _ := json.Marshal(map[string]any{op: v})
			b.Write(text)
		}
	}
	b.WriteString(`]`)
	if f.Late {
		fmt.Fprintf(&b, `,"errors":%t`, bad && !f.Lie)
	}
	b.WriteString("}\n")
	if f.Cut > 0 {
		return b.Bytes()[:min(f.Cut, b.Len())]
	}
	return b.Bytes()
}

// Wait waits until n different events are stored.
func (s *Server) Wait(t testing.TB, n int) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); s.Docs() < n; time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("estest: %d events are stored; want %d", s.Docs(), n)
		}
	}
}
