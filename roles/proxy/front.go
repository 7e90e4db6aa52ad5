package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/sidecar-kit/sidecar/roles/proxy/h2"
	"github.com/sidecar-kit/sidecar/roles/proxy/listen"
	"github.com/sidecar-kit/sidecar/roles/proxy/route"
	"github.com/sidecar-kit/sidecar/roles/proxy/std"
	"github.com/sidecar-kit/sidecar/roles/proxy/web"
	"github.com/sidecar-kit/sidecar/roles/proxy/wire"
)

// engine treats the requests of a listener: package web, or package std.
type engine interface {
	ServeConn(ctx context.Context, c net.Conn, p web.Peer)
	Use(sites *web.Sites)
	Lame()
	Busy() (active int, last time.Time)
	Shutdown(ctx context.Context) error
}

// ownFront is an engine, and the server of the standard library for the frames of HTTP/2.
type ownFront struct {
	server  engine
	h2      *h2.Server // nil: not offered
	timeout time.Duration
}

func (p *Proxy) newFront(l *route.Listener) (front, error) {
	head := wire.Limits{Head: l.MaxHeader, Line: l.MaxHeader, Fields: l.MaxFields}
	f := &ownFront{timeout: unlimited(l.HeaderTimeout)}
	var requests http.Handler // of HTTP/2
	if p.cfg.Engine == "std" {
		made := std.New(std.Config{Head: head, Header: unlimited(l.HeaderTimeout), Idle: unlimited(l.KeepAlive), Observer: p, Panic: p.fault, Peer: func(ctx context.Context) (web.Peer, bool) { return h2.From(ctx), true }})
		f.server, requests = made, made
	} else {
		made := web.New(web.Config{Head: head, Header: unlimited(l.HeaderTimeout), Idle: unlimited(l.KeepAlive), Buffers: p.buffers, Streams: p.pool, Observer: p})
		f.server, requests = made, h2.Handler(made.Send, head, p.refused)
	}
	if !l.H2 {
		return f, nil
	}
	var err error
	// Twice: what is too long for the limit reaches the handler, which tells of it. Beyond that net/http refuses without a word.
	f.h2, err = h2.New(h2.Config{Handler: requests, Streams: l.MaxStreams, Head: 2 * l.MaxHeader, Idle: unlimited(l.KeepAlive), Error: p.metrics.h2Error, Panic: p.fault})
	return f, err
}

// fault reports a panic that net/http keeps to itself: a request that failed is all that there would be to see of it.
func (p *Proxy) fault(v any) {
	p.log.Error().Str("panic", fmt.Sprint(v)).Bytes("stack", debug.Stack()).Msg("a request ended by a fault of this program; please report it")
}

// refused counts requests of HTTP/2 that were answered before an engine had them.
func (p *Proxy) refused(bad *wire.BadMessage, peer web.Peer) {
	p.Request(&web.Record{
		Client: &web.Client{Addr: peer.Remote, Local: peer.Local, TLS: peer.TLS}, Status: bad.Status, Cause: web.BadRequest, Class: bad.Class, Err: bad, Major: 2, Start: time.Now(),
	})
}

func (f *ownFront) serve(ctx context.Context, c net.Conn, info *listen.Info) {
	peer := web.Peer{Remote: info.Remote, Local: info.Local, TLS: info.TLS}
	switch {
	case f.h2 == nil:
	case info.TLS != nil && info.TLS.NegotiatedProtocol == "h2":
		f.h2.ServeConn(ctx, c, peer)
		return
	case info.TLS == nil && f.knows(c):
		f.h2.ServeConn(ctx, c, peer)
		return
	}
	f.server.ServeConn(ctx, c, peer)
}

// knows tells whether a client without TLS begins with HTTP/2, and takes its preface in.
func (f *ownFront) knows(c net.Conn) bool {
	if _, secure := c.(*tls.Conn); secure {
		return false
	}
	_ = c.SetReadDeadline(time.Now().Add(f.timeout))
	defer func() { _ = c.SetReadDeadline(time.Time{}) }()
	if !begins(c, h2.Preface[:3]) { // no method of HTTP/1 begins like that
		return false
	}
	var preface [len(h2.Preface)]byte
	_, err := io.ReadFull(c, preface[:])
	return err == nil && string(preface[:]) == h2.Preface
}

func (f *ownFront) use(l *route.Listener, s *snapshot) { f.server.Use(sites(l, s)) }

func (f *ownFront) lame() {
	f.server.Lame()
	if f.h2 != nil {
		f.h2.Lame()
	}
}

func (f *ownFront) busy() (int, time.Time) {
	n, last := f.server.Busy()
	if f.h2 != nil {
		more, at := f.h2.Busy()
		if n += more; at.After(last) {
			last = at
		}
	}
	return n, last
}

func (f *ownFront) shutdown(ctx context.Context) int {
	ended := make(chan error, 1)
	go func() {
		if f.h2 == nil {
			ended <- nil
			return
		}
		ended <- f.h2.Shutdown(ctx)
	}()
	under, _ := f.busy()
	err := f.server.Shutdown(ctx)
	if errors.Join(err, <-ended) == nil {
		return 0
	}
	return max(under, 1)
}
