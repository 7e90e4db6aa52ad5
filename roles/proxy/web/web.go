// Package web is the proxy's HTTP engine: it serves HTTP/1 connections, one
// goroutine each, and sends their requests to backends.
//
// It promises that what a backend reads was understood and is canonical, that
// an answer that broke off never looks whole to the client, that a request is
// sent a second time only when the first cannot have had an effect or may be
// repeated, and that a connection that waits holds no buffer. In the steady
// state an exchange allocates nothing.
//
// Not for tunnels (package stream carries bytes) and not the place of header
// rules: a Policy decides what becomes of fields.
package web

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/sidecar-kit/sidecar/roles/proxy/stream"
	"github.com/sidecar-kit/sidecar/roles/proxy/wire"
)

// Config is what a server needs. Zero values are defaults.
type Config struct {
	Head     wire.Limits   // of requests
	Answer   wire.Limits   // of heads of answers
	Header   time.Duration // until a head must be complete; default 10 s
	Idle     time.Duration // between two requests; default 60 s
	Tick     time.Duration // how often deadlines are looked at; default 250 ms
	Buffers  *Buffers      // shared by the servers of a process; nil: own ones
	Streams  *stream.Pool  // for upgraded connections; nil: own one
	Observer Observer      // nil: nobody
}

const (
	defaultHeader = 10 * time.Second
	defaultKeep   = time.Minute
)

// Server serves the connections of one listener.
type Server struct {
	Config
	sites atomic.Pointer[Sites]
	lame  atomic.Bool
	ended atomic.Bool
	shelf shelf // of exchanges
	watch watcher
	trims []uintptr
}

// New returns a server that knows no route.
func New(c Config) *Server {
	if c.Buffers == nil {
		c.Buffers = new(Buffers)
	}
	if c.Streams == nil {
		c.Streams = new(stream.Pool)
	}
	c.Header, c.Idle = or(c.Header, defaultHeader), or(c.Idle, defaultKeep)
	c.Head.Head = min(c.Head.Head, largeSize)
	c.Answer.Head = min(c.Answer.Head, largeSize-wire.ChunkRoom)
	s := &Server{Config: c, trims: trims()}
	s.watch.tick = c.Tick
	return s
}

// Use makes requests that begin from now on find their routes in sites.
func (s *Server) Use(sites *Sites) { s.sites.Store(sites) }

// Peer says who is at the other end of a connection.
type Peer struct {
	Remote, Local netip.AddrPort // after a PROXY header
	TLS           *tls.ConnectionState
}

// ServeConn serves c until it is closed, which it sees to. A tls.Conn must have
// done its handshake; it should lie on a stream.Conn on the socket, so that
// waiting needs no buffer. When ctx ends the connection is cut.
func (s *Server) ServeConn(ctx context.Context, c net.Conn, p Peer) {
	k := newConn(s, c, p)
	s.watch.add(&k.watched)
	defer s.watch.remove(&k.watched)
	stop := context.AfterFunc(ctx, func() { k.end(ShuttingDown) })
	defer stop()
	k.ctx = ctx
	k.serve()
}

// end makes the connection stop, whatever it does.
func (w *watched) end(c Cause) {
	for {
		word := w.main.word.Load()
		if state(word>>wordBits) == stDead {
			return
		}
		if w.main.kill(word, c) {
			w.cut()
			return
		}
	}
}

// Lame makes every answer from now on the last of its connection. Idle
// connections stay, since clients may be sending on them.
func (s *Server) Lame() { s.lame.Store(true) }

// Busy returns how many exchanges are under way and when one was last.
func (s *Server) Busy() (active int, last time.Time) {
	w := &s.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	last = w.last
	for _, c := range w.list {
		word := c.main.word.Load()
		switch state(word >> wordBits) {
		case stFresh, stDead:
		case stIdle:
			began := int64(word&(1<<wordBits-1)) - s.Idle.Milliseconds()
			if at := w.start.Add(time.Duration(began) * time.Millisecond); at.After(last) {
				last = at
			}
		default:
			active++
		}
	}
	if active > 0 {
		last = time.Now()
	}
	return active, last
}

// Shutdown closes idle connections, waits for exchanges to end and cuts what is
// left when ctx ends; then it returns the context's error. Backends are closed
// by their owner.
func (s *Server) Shutdown(ctx context.Context) error {
	s.Lame()
	s.ended.Store(true)
	s.endAll(false)
	err := s.await(ctx)
	if err != nil {
		s.endAll(true)
		_ = s.await(context.WithoutCancel(ctx)) // a connection that was cut ends at once
	}
	w := &s.watch
	w.mu.Lock()
	if w.running {
		select {
		case w.kick <- struct{}{}:
		default:
		}
	}
	w.mu.Unlock()
	w.ended.Wait()
	return err
}

// endAll ends the idle connections, or all.
func (s *Server) endAll(active bool) {
	w := &s.watch
	w.mu.Lock()
	list := append([]*watched(nil), w.list...)
	w.mu.Unlock()
	for _, c := range list {
		if active {
			c.end(ShuttingDown)
			continue
		}
		word := c.main.word.Load()
		if st := state(word >> wordBits); (st == stIdle || st == stFresh) && c.main.kill(word, ShuttingDown) {
			c.cut()
		}
	}
}

// await returns when no connection is left.
func (s *Server) await(ctx context.Context) error {
	w := &s.watch
	w.mu.Lock()
	if len(w.list) == 0 {
		w.mu.Unlock()
		return nil
	}
	if w.empty == nil {
		w.empty = make(chan struct{})
	}
	empty := w.empty
	w.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return errors.Join(context.Cause(ctx))
	}
}
