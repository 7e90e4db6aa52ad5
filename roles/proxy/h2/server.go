// Package h2 speaks HTTP/2 on both sides of the proxy by the standard library: in front, a net/http server that is handed one connection at a time,
// and towards backends, connections of net/http in a pool of our own.
//
// It promises that a request means in HTTP/1 what it meant in HTTP/2 or is refused, that bodies are passed on piece by piece in both
// directions at once, that a cancelled stream cancels its request and the other way round, and that a client cannot make more work by
// resetting streams than by waiting for answers.
//
// Not for HTTP/1: package web has an engine for it.
package h2

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sidecar-kit/sidecar/roles/proxy/web"
)

// Config is what a server needs. Zero values are defaults.
type Config struct {
	Handler http.Handler  // of requests; From tells whose they are
	Streams int           // at once on a connection; default 100
	Head    int           // bytes of a head; default 32 KiB
	Idle    time.Duration // of a connection without streams; default 60 s
	Silence time.Duration // a client that takes nothing although there is something is cut after this; default 60 s
	Ping    time.Duration // a client that says nothing is asked after this; default 60 s
	Budget  Budget
	Error   func(kind string) // counts what clients do wrong: a bounded set of words; may be nil
	Panic   func(v any)       // is told of a fault of the handler, which ends its stream alone; may be nil
}

// Budget bounds what a connection may do in a window of ten seconds that costs us and not the client.
type Budget struct {
	Resets int // streams that were reset within a second of their start, when they are more than half of all; default 500
}

const window = 10 * time.Second

// Server serves HTTP/2 connections. Make one for each listener.
type Server struct {
	config Config
	http   *http.Server
	tls    func(*http.Server, *tls.Conn, http.Handler) // net/http's HTTP/2 on a connection; it returns when that is closed
	plain  func(*http.Server, *tls.Conn, http.Handler) // the same behind a preface

	mu    sync.Mutex
	conns map[*conn]bool
	empty chan struct{} // closed when conns is, made by who waits for it
	ended bool

	active atomic.Int64 // streams
	last   atomic.Int64 // unix nanoseconds when one ended
}

// conn is a client's connection, and the handler of its requests.
type conn struct {
	server *Server
	base   net.Conn // below TLS
	peer   web.Peer
	resets resets
}

// New returns a server. The error is for processes whose environment turns HTTP/2 off.
func New(c Config) (*Server, error) {
	def(&c.Streams, 100)
	def(&c.Head, 32<<10)
	def(&c.Idle, time.Minute)
	def(&c.Silence, time.Minute)
	def(&c.Ping, time.Minute)
	def(&c.Budget.Resets, 500)
	if c.Error == nil {
		c.Error = func(string) {}
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	s := &Server{config: c, conns: map[*conn]bool{}}
	s.http = &http.Server{
		Protocols: protocols, MaxHeaderBytes: c.Head, IdleTimeout: c.Idle, ErrorLog: log.New(io.Discard, "", 0),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: c.Streams, MaxReadFrameSize: 16 << 10, MaxDecoderHeaderTableSize: 4 << 10, MaxEncoderHeaderTableSize: 4 << 10,
			MaxReceiveBufferPerConnection: 1 << 20, MaxReceiveBufferPerStream: 256 << 10,
			WriteByteTimeout: c.Silence, SendPingTimeout: c.Ping, CountError: c.Error,
		},
	}
	// A listener that is closed makes net/http set up its protocols and return. They are called for connections that others accepted, so that
	// there is no second goroutine for each, and GOAWAY may be sent without closing connections that a request is on its way on.
	_ = s.http.Serve(closed{})
	s.tls, s.plain = s.http.TLSNextProto["h2"], s.http.TLSNextProto["unencrypted_http2"]
	if s.tls == nil || s.plain == nil {
		return nil, errors.New("HTTP/2 is turned off in this process\nhint: unset GODEBUG, or switch off h2 for the listener")
	}
	return s, nil
}

func def[T int | time.Duration](v *T, value T) {
	if *v <= 0 {
		*v = value
	}
}

type closed struct{}

func (closed) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (closed) Close() error              { return nil }
func (closed) Addr() net.Addr            { return &net.TCPAddr{} }

// Preface is how a client begins that knows that the server speaks HTTP/2.
const Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// bare is how net/http hands over a connection without TLS.
type bare struct{ net.Conn }

func (b bare) UnencryptedNetConn() net.Conn { return b.Conn }

// ServeConn serves c until it is closed, which it sees to. A *tls.Conn must have negotiated h2. Of any other connection the Preface must have
// been read. peer is what From returns for its requests. When ctx ends the connection is cut.
func (s *Server) ServeConn(ctx context.Context, c net.Conn, peer web.Peer) {
	k := &conn{server: s, base: c, peer: peer}
	encrypted, ok := c.(*tls.Conn)
	if ok {
		k.base = encrypted.NetConn()
	}
	if !s.add(k) {
		_ = c.Close()
		return
	}
	defer s.remove(k)
	stop := context.AfterFunc(ctx, func() { _ = k.base.Close() })
	defer stop()
	defer c.Close()
	if ok {
		s.tls(s.http, encrypted, k)
		return
	}
	s.plain(s.http, tls.Client(bare{c}, nil), k)
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

type key struct{}

// From returns the peer that ServeConn got for the connection of a request; a zero one for a request of another server.
func From(ctx context.Context) web.Peer {
	if k, ok := ctx.Value(key{}).(*conn); ok {
		return k.peer
	}
	return web.Peer{}
}

// ServeHTTP counts around the handler.
func (k *conn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := k.server
	began := time.Now()
	s.active.Add(1)
	defer func() {
		if v := recover(); v != nil {
			if v != http.ErrAbortHandler && s.config.Panic != nil {
				s.config.Panic(v)
			}
			defer panic(v) // net/http resets the stream
		}
		s.active.Add(-1)
		now := time.Now()
		s.last.Store(now.UnixNano())
		if k.resets.over(now, r.Context().Err() != nil && now.Sub(began) < time.Second, s.config.Budget.Resets) {
			s.config.Error("reset_budget")
			_ = k.base.Close()
		}
	}()
	s.config.Handler.ServeHTTP(w, r)
}

// BaseContext is what net/http makes the contexts of requests from.
func (k *conn) BaseContext() context.Context {
	return context.WithValue(context.Background(), key{}, k)
}

// Lame tells all clients by GOAWAY to go elsewhere. Their streams go on. Connections that come in from now on are told after their first
// request. It may be called again.
func (s *Server) Lame() {
	over, cancel := context.WithCancel(context.Background())
	cancel()
	_ = s.http.Shutdown(over) // it knows no connection that it could close, so all it does is to send GOAWAY
}

// Busy returns how many streams are open and when the last one ended.
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

// Conns returns how many connections are open.
func (s *Server) Conns() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Shutdown tells all clients by GOAWAY, waits for streams to end and cuts what is left when ctx ends; then it returns the context's error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	s.Lame()
	err := s.await(ctx)
	if err != nil {
		s.cut()
		_ = s.await(context.WithoutCancel(ctx)) // a connection that was cut ends at once
	}
	return err
}

func (s *Server) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := range s.conns {
		_ = k.base.Close()
	}
}

// await returns when no connection is left. A connection that was just being set up when clients were told is told again.
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
	again := time.NewTicker(250 * time.Millisecond)
	defer again.Stop()
	for {
		select {
		case <-empty:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-again.C:
			s.Lame()
		}
	}
}

// resets counts streams that ended early.
type resets struct {
	mu     sync.Mutex
	since  time.Time
	all    int
	resets int
}

// over counts a stream, and reports whether the connection has reset too many.
func (r *resets) over(now time.Time, reset bool, most int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.since) > window {
		r.since, r.all, r.resets = now, 0, 0
	}
	r.all++
	if reset {
		r.resets++
	}
	return r.resets > most && r.resets > r.all/2
}
