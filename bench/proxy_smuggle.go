package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

// proxySmuggle sends what two parties could read differently, and looks at what comes out behind the proxy.
func (b *bench) proxySmuggle(r *rig) ([]row, error) {
	var here []*contender
	var missing []string
	var recorders []*recorder
	for _, c := range []*contender{b.us(), nginx(), haproxy()} {
		rec, err := newRecorder()
		if err != nil {
			return nil, err
		}
		defer rec.close()
		r.backend = rec.addr()
		got, gone, err := r.enlist(duty{scheme: "https"}, c)
		defer stopAll(got)
		if err != nil && c.program == b.sidecar {
			return nil, err
		}
		if err != nil {
			gone = append(gone, err.Error())
		}
		missing = append(missing, gone...)
		if len(got) > 0 {
			here, recorders = append(here, c), append(recorders, rec)
		}
	}
	results := make([]smuggled, len(here))
	var all sync.WaitGroup
	for i, c := range here {
		all.Go(func() { results[i] = smuggle(c.addr, recorders[i]) })
	}
	all.Wait()
	us := results[0]
	rows := []row{judged(fmt.Sprintf("malformed requests, of %d, of which something malformed reached the application%s", len(malformed()), list(us.reached)), whole(float64(len(us.reached))), "-", "-", float64(len(us.reached)), 0, 0, "0 / 0"),
		info("those that were answered by an error or not at all", whole(float64(us.refused)), "-", "-")}
	for i, c := range here[1:] {
		them := results[i+1]
		rows = append(rows, info("malformed ones that reached the application, beside "+c.name+list(them.reached), whole(float64(len(us.reached))), whole(float64(len(them.reached))), "-"),
			info("those that were answered by an error or not at all, beside "+c.name, whole(float64(us.refused)), whole(float64(them.refused)), "-"))
	}
	return append(rows, missingRows(missing)...), nil
}

// smuggled is what became of the table.
type smuggled struct {
	reached []string // names, with what was odd
	refused int
}

// smuggle sends the whole table through a proxy to its recorder.
func smuggle(addr string, rec *recorder) (s smuggled) {
	requests := malformed()
	for _, name := range slices.Sorted(maps.Keys(requests)) {
		rec.reset()
		if !strings.HasPrefix(exchange(addr, requests[name]), "HTTP/1.1 2") {
			s.refused++
		}
		for _, bytes := range rec.take() {
			if odd := oddity(bytes); odd != "" {
				s.reached = append(s.reached, name+": "+odd)
				break
			}
		}
	}
	return s
}

func list(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return " (" + strings.ReplaceAll(strings.Join(names, "; "), "|", "/") + ")"
}

// exchange sends bytes over TLS and returns what comes back until it ends, or until nothing came for a while.
func exchange(addr, request string) string {
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", addr, &tls.Config{InsecureSkipVerify: true, ServerName: "bench.local"})
	if err != nil {
		return ""
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(400 * time.Millisecond))
	_, _ = io.WriteString(c, request)
	answer, _ := io.ReadAll(c)
	return string(answer)
}

// recorder is an application that keeps what it reads and answers once.
type recorder struct {
	l net.Listener

	mu   sync.Mutex
	busy int // connections
	seen []*strings.Builder
}

func newRecorder() (*recorder, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &recorder{l: l}
	go r.accept()
	return r, nil
}

func (r *recorder) addr() string { return r.l.Addr().String() }

func (r *recorder) close() { _ = r.l.Close() } // connections end by themselves

func (r *recorder) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = nil
}

// take is what each connection brought, once all have ended.
func (r *recorder) take() (all []string) {
	r.mu.Lock()
	for r.busy > 0 {
		r.mu.Unlock()
		time.Sleep(time.Millisecond)
		r.mu.Lock()
	}
	defer r.mu.Unlock()
	for _, s := range r.seen {
		all = append(all, s.String())
	}
	return all
}

func (r *recorder) accept() {
	for {
		c, err := r.l.Accept()
		if err != nil {
			return
		}
		s := new(strings.Builder)
		r.mu.Lock()
		r.busy++
		r.seen = append(r.seen, s)
		r.mu.Unlock()
		go func() {
			r.serve(c, s)
			r.mu.Lock()
			r.busy--
			r.mu.Unlock()
		}()
	}
}

func (r *recorder) serve(c net.Conn, s *strings.Builder) {
	defer c.Close()
	buf := make([]byte, 64<<10)
	answered := false
	for {
		_ = c.SetReadDeadline(time.Now().Add(80 * time.Millisecond)) // a body may still come
		n, err := c.Read(buf)
		r.mu.Lock()
		s.Write(buf[:n])
		got := s.Len() > 0
		r.mu.Unlock()
		if err == nil {
			continue
		}
		if answered || !got {
			return
		}
		answered = true
		if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"); err != nil {
			return
		}
	}
}
