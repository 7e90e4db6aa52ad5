// Package std is the HTTP engine of the standard library, behind the routes of package web: net/http in front, httputil.ReverseProxy towards
// backends. It is the way out (--engine=std) when the engine of package web does something wrong; it does the same with requests and fields,
// at several times the cost.
//
// What it leaves to net/http it does as net/http does: it repairs some requests that package web refuses, but what goes to a backend was
// parsed by package wire as well.
package std

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sidecar-kit/sidecar/roles/proxy/web"
	"github.com/sidecar-kit/sidecar/roles/proxy/wire"
)

// Config is what a server needs. Zero values are defaults.
type Config struct {
	Head     wire.Limits                                // of requests
	Header   time.Duration                              // until a head must be complete; default 10 s
	Idle     time.Duration                              // between two requests; default 60 s
	Observer web.Observer                               // nil: nobody
	Panic    func(v any)                                // is told of a fault of this package, which ends its request alone; nil: nobody
	Peer     func(ctx context.Context) (web.Peer, bool) // of a request that another server, that of HTTP/2, brought; nil: there is none
}

// Server serves the connections of one listener. It is an http.Handler too, for the server of HTTP/2.
type Server struct {
	config Config
	http   *http.Server
	proxy  *httputil.ReverseProxy
	queue  queue
	start  sync.Once
	served sync.WaitGroup
	sites  atomic.Pointer[web.Sites]
	lame   atomic.Bool
	active atomic.Int64
	last   atomic.Int64 // unix nanoseconds when an exchange ended

	mu    sync.Mutex
	conns map[*conn]bool
	empty chan struct{} // closed when conns is, made by who waits for it
	ended bool
	pool  map[*web.Backend]http.RoundTripper
}

// New returns a server that knows no route.
func New(c Config) *Server {
	def(&c.Header, 10*time.Second)
	def(&c.Idle, time.Minute)
	s := &Server{config: c, conns: map[*conn]bool{}, pool: map[*web.Backend]http.RoundTripper{}}
	s.queue = queue{conns: make(chan net.Conn), done: make(chan struct{})}
	silent := log.New(io.Discard, "", 0)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	s.http = &http.Server{
		Handler: s, Protocols: protocols, ReadHeaderTimeout: c.Header, IdleTimeout: c.Idle, MaxHeaderBytes: c.Head.Head, ErrorLog: silent, DisableGeneralOptionsHandler: true,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
	}
	s.proxy = &httputil.ReverseProxy{
		Rewrite: rewrite, ModifyResponse: s.answered, ErrorHandler: failed, Transport: transport{s}, FlushInterval: -1, BufferPool: &buffers{}, ErrorLog: silent,
	}
	return s
}

func def(d *time.Duration, value time.Duration) {
	if *d <= 0 {
		*d = value
	}
}

// Use makes requests that begin from now on find their routes in sites.
func (s *Server) Use(sites *web.Sites) {
	s.sites.Store(sites)
	s.mu.Lock()
	old := s.pool
	s.pool = map[*web.Backend]http.RoundTripper{} // backends may be gone; requests under way have theirs
	s.mu.Unlock()
	for _, rt := range old {
		if t, ok := rt.(*http.Transport); ok {
			t.CloseIdleConnections()
		}
	}
}

// queue is a listener of connections that others accepted.
type queue struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (q *queue) Accept() (net.Conn, error) {
	select {
	case c := <-q.conns:
		return c, nil
	case <-q.done:
		return nil, net.ErrClosed
	}
}

func (q *queue) Close() error {
	q.once.Do(func() { close(q.done) })
	return nil
}

func (q *queue) Addr() net.Addr { return &net.TCPAddr{} }

type connKey struct{}

// conn tells when it is closed, also by who took it over for another protocol.
type conn struct {
	net.Conn
	peer   web.Peer
	once   sync.Once
	closed chan struct{}
}

func (c *conn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { close(c.closed) })
	return err
}

// CloseWrite lets net/http and upgraded connections end one direction.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// ServeConn serves a connection of HTTP/1 until it is closed, which it sees to. When ctx ends the connection is cut.
func (s *Server) ServeConn(ctx context.Context, c net.Conn, p web.Peer) {
	s.start.Do(func() { s.served.Go(func() { _ = s.http.Serve(&s.queue) }) })
	k := &conn{Conn: c, peer: p, closed: make(chan struct{})}
	if !s.add(k) {
		_ = c.Close()
		return
	}
	defer s.remove(k)
	select {
	case s.queue.conns <- k:
	case <-s.queue.done:
		_ = k.Close()
	}
	select {
	case <-k.closed:
	case <-ctx.Done():
		_ = k.Close()
	}
}

func (s *Server) add(k *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	s.conns[k] = true
	return true
}

func (s *Server) remove(k *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, k)
	if len(s.conns) == 0 && s.empty != nil {
		close(s.empty)
		s.empty = nil
	}
}

// Lame makes every answer from now on the last of its connection. Idle connections stay, since clients may be sending on them.
func (s *Server) Lame() { s.lame.Store(true) }

// Busy returns how many exchanges are under way and when one was last.
func (s *Server) Busy() (active int, last time.Time) {
	active = int(s.active.Load())
	if n := s.last.Load(); n != 0 {
		last = time.Unix(0, n)
	}
	if active > 0 {
		last = time.Now()
	}
	return active, last
}

// Shutdown closes idle connections, waits for exchanges to end and cuts what is left when ctx ends; then it returns the context's error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.Lame()
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	err := s.http.Shutdown(ctx)
	if err == nil {
		err = s.await(ctx) // upgraded connections, which net/http has let go of
	}
	s.mu.Lock()
	for k := range s.conns {
		_ = k.Conn.Close()
		k.once.Do(func() { close(k.closed) })
	}
	s.mu.Unlock()
	_ = s.await(context.WithoutCancel(ctx)) // a connection that was cut ends at once
	_ = s.http.Close()
	s.served.Wait()
	s.Use(nil)
	return err
}

// await returns when no connection is left.
func (s *Server) await(ctx context.Context) error {
	s.mu.Lock()
	if len(s.conns) == 0 {
		s.mu.Unlock()
		return nil
	}
	if s.empty == nil {
		s.empty = make(chan struct{})
	}
	empty := s.empty
	s.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// buffers are what bodies are copied by.
type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return *p
	}
	return make([]byte, 32<<10)
}

func (b *buffers) Put(p []byte) { b.pool.Put(&p) }
