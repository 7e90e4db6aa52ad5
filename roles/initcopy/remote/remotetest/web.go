// Package remotetest has a web server and an image registry that misbehave on request. It is for tests.
package remotetest

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Web serves content with ranges. Faults are taken one for each request, and when there are none left it behaves:
//
//	ok                 nothing is wrong with this one
//	cut N              the connection breaks after N bytes
//	status N [SECONDS] this status, with Retry-After
//	redirect URL       302
//	norange            everything, though a part was asked for
//	shift N            a part N bytes further on, as a broken cache does
//	lie                a part whose bytes are of something else
//	packed             Content-Encoding: gzip
//	etag TAG           from now on the ETag is another one
//	swap TAG           the same, and If-Range is ignored
//	nomark             from now on there is neither ETag nor Last-Modified
//	part               206, though everything was asked for
type Web struct {
	// Find is the content of a path.
	Find func(path string) ([]byte, bool)
	// Next, when set, is where faults come from; otherwise Faults.
	Next func() string
	// Want is what Authorization must be, "" for anything.
	Want string

	mu     sync.Mutex
	faults []string
	log    []string
	tag    string
	bare   bool
}

// Fail adds faults.
func (s *Web) Fail(faults ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, faults...)
}

// Log is what was asked for: "GET /path range authorization", "-" for none.
func (s *Web) Log() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}

func (s *Web) next(r *http.Request) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, Line(r))
	fault := "ok"
	if s.Next != nil {
		fault = s.Next()
	} else if len(s.faults) > 0 {
		fault, s.faults = s.faults[0], s.faults[1:]
	}
	f := append(strings.Fields(fault), "", "")
	switch f[0] {
	case "etag", "swap":
		s.tag = f[1]
	case "nomark":
		s.bare = true
	}
	return f
}

// Line describes a request for a log.
func Line(r *http.Request) string {
	or := func(v string) string {
		if v == "" {
			return "-"
		}
		return v
	}
	return fmt.Sprintf("%s %s %s %s", r.Method, r.URL.Path, or(r.Header.Get("Range")), or(r.Header.Get("Authorization")))
}

// Modified is when everything was.
func Modified() time.Time { return time.Date(2024, 2, 3, 4, 5, 6, 0, time.UTC) }

// ServeHTTP is one request.
func (s *Web) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fault := s.next(r)
	n, _ := strconv.Atoi(fault[1])
	switch fault[0] {
	case "status":
		if fault[2] != "" {
			w.Header().Set("Retry-After", fault[2])
		}
		http.Error(w, "<html>secret of the server</html>", n)
		return
	case "redirect":
		http.Redirect(w, r, fault[1], http.StatusFound)
		return
	}
	content, ok := s.Find(r.URL.Path)
	switch {
	case s.Want != "" && r.Header.Get("Authorization") != s.Want:
		w.WriteHeader(http.StatusUnauthorized)
		return
	case !ok:
		http.NotFound(w, r)
		return
	}
	s.mu.Lock()
	tag, bare := s.tag, s.bare
	s.mu.Unlock()
	if tag == "" {
		tag = `"1"`
	}
	changed := Modified()
	if bare {
		changed = time.Time{}
	} else {
		w.Header().Set("ETag", tag)
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	switch fault[0] {
	case "swap":
		r.Header.Del("If-Range")
	case "norange":
		r.Header.Del("Range")
	case "shift":
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", n, len(content)-1, len(content)))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(content[n:])
		return
	case "lie":
		content = bytes.Repeat([]byte("x"), len(content))
	case "packed":
		w.Header().Set("Content-Encoding", "gzip")
	case "part":
		r.Header.Set("Range", "bytes=0-")
	case "cut":
		w = &cut{w, n}
	}
	http.ServeContent(w, r, "", changed, bytes.NewReader(content))
}

// cut ends a connection in the middle.
type cut struct {
	http.ResponseWriter
	left int
}

func (c *cut) Write(p []byte) (int, error) {
	if len(p) >= c.left {
		_, _ = c.ResponseWriter.Write(p[:c.left])
		_ = http.NewResponseController(c.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	c.left -= len(p)
	return c.ResponseWriter.Write(p)
}
