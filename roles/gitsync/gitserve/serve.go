package gitserve

import (
	"compress/gzip"
	"crypto/subtle"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Options choose how a Server behaves. The zero value is a well-behaved server that speaks protocol version 2.
type Options struct {
	Username string // with Password: basic authentication is required
	Password string
	Bearer   string // a token is required

	V0           bool          // speak the old protocol only
	NoFilter     bool          // do not offer partial clones
	ObjectFormat string        // claimed instead of sha1
	Redirect     string        // base URL that GET info/refs redirects to
	Delay        time.Duration // before each answer
	CloseEach    bool          // close the connection after each answer
	Progress     string        // sent in the progress band before a pack

	RawPack   []byte // sent in place of the right pack
	CutAfter  int64  // break the connection after so many bytes of pack
	CorruptAt int64  // flip the bits of this byte of the pack, counted from 1
	PackError string // sent in the error band in place of the pack
}

// Stats count what a Server did.
type Stats struct {
	Requests  int // all of them
	InfoRefs  int
	LsRefs    int
	Fetches   int
	BytesSent int64 // bodies of answers
	PackBytes int64 // packs among them
	Objects   int   // in the last pack
}

// Server serves one repository at every path that ends in the names of the smart HTTP protocol.
type Server struct {
	repo *Repo

	mu         sync.Mutex
	opts       Options
	stats      Stats
	failures   int
	failStatus int
	retryAfter time.Duration
	drops      int
}

// Handler serves a repository.
func Handler(repo *Repo, opts Options) *Server { return &Server{repo: repo, opts: opts} }

// Set changes the options from the next request on.
func (s *Server) Set(change func(*Options)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.opts)
}

// FailNext answers the next n requests with a status, and a Retry-After header unless it is zero.
func (s *Server) FailNext(n, status int, retryAfter time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures, s.failStatus, s.retryAfter = n, status, retryAfter
}

// DropNext closes the connection of the next n requests without an answer.
func (s *Server) DropNext(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drops = n
}

// Stats returns the counters.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

func (s *Server) count(f func(*Stats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.stats)
}

// take decides the fate of one request.
func (s *Server) take() (opts Options, status int, wait time.Duration, drop bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Requests++
	if s.drops > 0 {
		s.drops--
		drop = true
	} else if s.failures > 0 {
		s.failures--
		status, wait = s.failStatus, s.retryAfter
	}
	return s.opts, status, wait, drop
}

func (s *Server) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	opts, status, wait, drop := s.take()
	if drop {
		panic(http.ErrAbortHandler)
	}
	if opts.Delay > 0 {
		timer := time.NewTimer(opts.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-req.Context().Done():
			return
		}
	}
	if opts.CloseEach {
		w.Header().Set("Connection", "close")
	}
	if status != 0 {
		if wait > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)))
		}
		http.Error(w, "planted failure", status)
		return
	}
	if !opts.allows(req) {
		w.Header().Set("WWW-Authenticate", `Basic realm="gitserve"`)
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return
	}
	out := &counted{w: w, s: s}
	switch {
	case req.Method == http.MethodGet && strings.HasSuffix(req.URL.Path, "/info/refs"):
		s.infoRefs(out, req, opts)
	case req.Method == http.MethodPost && strings.HasSuffix(req.URL.Path, "/git-upload-pack"):
		s.uploadPack(out, req, opts)
	default:
		http.NotFound(w, req)
	}
}

func (o Options) allows(req *http.Request) bool {
	same := func(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
	if o.Bearer != "" {
		return same(req.Header.Get("Authorization"), "Bearer "+o.Bearer)
	}
	if o.Username == "" && o.Password == "" {
		return true
	}
	user, password, ok := req.BasicAuth()
	return ok && same(user, o.Username) && same(password, o.Password)
}

func (s *Server) infoRefs(w *counted, req *http.Request, opts Options) {
	s.count(func(st *Stats) { st.InfoRefs++ })
	if opts.Redirect != "" {
		http.Redirect(w.w, req, strings.TrimRight(opts.Redirect, "/")+"/info/refs?"+req.URL.RawQuery, http.StatusFound)
		return
	}
	if req.URL.Query().Get("service") != "git-upload-pack" {
		http.Error(w.w, "only git-upload-pack is served", http.StatusForbidden)
		return
	}
	w.w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
	w.w.Header().Set("Cache-Control", "no-cache")
	w.text(pkt("# service=git-upload-pack\n") + flush)
	if opts.V0 || !strings.Contains(req.Header.Get("Git-Protocol"), "version=2") {
		s.oldAdvert(w, opts)
		return
	}
	format := opts.ObjectFormat
	if format == "" {
		format = "sha1"
	}
	features := "shallow"
	if !opts.NoFilter {
		features += " filter"
	}
	w.text(pkt("version 2\n") + pkt("agent=gitserve\n") + pkt("ls-refs=unborn\n") +
		pkt("fetch=%s\n", features) + pkt("object-format=%s\n", format) + flush)
}

func (s *Server) uploadPack(w *counted, req *http.Request, opts Options) {
	body := io.Reader(req.Body)
	if req.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(req.Body)
		if err != nil {
			http.Error(w.w, "bad gzip", http.StatusBadRequest)
			return
		}
		body = z
	}
	lines, err := readPackets(body)
	if err != nil || len(lines) == 0 {
		http.Error(w.w, "bad request", http.StatusBadRequest)
		return
	}
	w.w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
	w.w.Header().Set("Cache-Control", "no-cache")
	switch {
	case lines[0] == "command=ls-refs":
		s.count(func(st *Stats) { st.LsRefs++ })
		s.lsRefs(w, lines)
	case lines[0] == "command=fetch":
		s.count(func(st *Stats) { st.Fetches++ })
		s.fetch(req.Context(), w, parseFetch(lines), opts)
	case strings.HasPrefix(lines[0], "want "):
		s.count(func(st *Stats) { st.Fetches++ })
		s.oldFetch(req.Context(), w, parseFetch(lines), opts)
	default:
		w.text(pkt("ERR unknown command"))
	}
}

// counted counts what goes out.
type counted struct {
	w http.ResponseWriter
	s *Server
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.s.count(func(st *Stats) { st.BytesSent += int64(n) })
	return n, err
}

func (c *counted) text(s string) { _, _ = io.WriteString(c, s) }
