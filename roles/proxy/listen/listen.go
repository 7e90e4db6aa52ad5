// Package listen takes connections: it binds, accepts, believes a PROXY header
// where it is told to, does the TLS handshake, and hands over.
//
// It promises that limits come before work: no TLS byte is read of a connection
// over a limit, every wait for a stranger has a deadline, and a process without
// free descriptors slows down instead of spinning.
//
// At MaxConns it stops accepting until a connection ends, as HAProxy does:
// clients wait in the kernel's queue and are served then, where a close would be
// an error to each of them. Over MaxPerIP a connection is closed at once, so
// that one address does not fill the queue for all.
package listen

import (
	"context"
	"crypto/tls"
	"io/fs"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/roles/proxy/stream"
)

const (
	defaultHandshake = 10 * time.Second
	defaultKeepAlive = 30 * time.Second
)

// Config describes one listener. Network and Address are needed.
type Config struct {
	Network, Address string // "tcp" with host:port; "unix" with a path, or @name (Linux)

	Mode         fs.FileMode // of a unix socket; 0 = 0660
	Owner, Group int         // of a unix socket; 0 = as it comes
	ReusePort    bool        // several processes may take the same TCP port

	MaxConns int // open connections; 0 = no limit
	MaxPerIP int // the same per client address (IPv6: per /64); 0 = no limit

	// ProxyFrom are the addresses that have to send a PROXY header; others are
	// refused. Empty: nobody's header is read. On a unix socket every peer has
	// to send one: the mode of the socket says who may.
	ProxyFrom []netip.Prefix

	TLS              *tls.Config   // nil: plain. Not copied; set DynamicRecordSizingDisabled for bulk
	HandshakeTimeout time.Duration // PROXY header and TLS together; 0 = 10 s
	KeepAlive        time.Duration // silence before the first probe; 0 = 30 s, negative: none

	Pool *stream.Pool   // memory for TLS writes; nil: one of its own
	Log  zerolog.Logger // trouble with accepting, at most a line a minute
}

// Info is what is known of a connection when it is handed over.
type Info struct {
	Remote, Local netip.AddrPort       // of the client, after the PROXY header; not valid on unix sockets
	Peer          netip.AddrPort       // who connected: the client or the proxy before us
	TLS           *tls.ConnectionState // nil: plain
	Accepted      time.Time
}

// Func serves one connection, on a goroutine of its own, and returns when it is
// done with it. c is a *net.TCPConn or *net.UnixConn, or a *tls.Conn above a
// *stream.Conn above one.
type Func func(ctx context.Context, c net.Conn, info *Info)

// Socket is a bound listener.
type Socket struct {
	Stats Stats

	config  Config
	inner   net.Listener
	file    *socketFile // nil: nothing to remove
	limiter *perIP
	slots   chan struct{} // nil: no limit
	from    *Socket       // the one before, until it has stopped accepting
	closing chan struct{}
	looped  chan struct{} // Serve accepts no more
	close   sync.Once
	trouble atomic.Int64 // when trouble was last logged, unix seconds
}

// Addr is where the socket listens.
func (s *Socket) Addr() net.Addr {
	if s.file != nil {
		return &net.UnixAddr{Name: s.file.path, Net: "unix"} // the listener knows its first name only
	}
	return s.inner.Addr()
}

// Close stops accepting. Connections that are served go on.
func (s *Socket) Close() error {
	var err error
	s.close.Do(func() {
		close(s.closing)
		s.file.remove()
		err = s.inner.Close()
	})
	return err
}

// Serve accepts until Close, or until ctx ends, and calls fn for every
// connection. It returns when all calls have returned. It may be called once.
func (s *Socket) Serve(ctx context.Context, fn Func) error {
	s.succeed()
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	var served sync.WaitGroup
	defer served.Wait()
	defer close(s.looped)
	pause := backoff{}
	for {
		if !s.reserve() {
			return nil
		}
		conn, err := s.inner.Accept()
		if err == nil {
			pause = backoff{}
			s.Stats.Accepted.Add(1)
			s.Stats.Open.Add(1)
			v := &visit{socket: s, ctx: ctx, fn: fn, raw: conn, served: &served}
			v.info.Accepted = time.Now()
			served.Go(v.enter)
			continue
		}
		s.release()
		if s.isClosing() {
			return nil
		}
		s.Stats.AcceptErrors.Add(1)
		s.complain("cannot accept connections", err)
		if !pause.wait(s.closing) {
			return nil
		}
	}
}

func (s *Socket) isClosing() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

// reserve waits for a place under MaxConns. It comes before Accept: the
// connection waits in the kernel, where it costs nothing.
func (s *Socket) reserve() bool {
	if s.slots == nil {
		return true
	}
	select {
	case s.slots <- struct{}{}:
		return true
	default:
	}
	s.Stats.Full.Add(1)
	s.complain("at the limit of connections, new ones wait", nil)
	select {
	case s.slots <- struct{}{}:
		return true
	case <-s.closing:
		return false
	}
}

func (s *Socket) release() {
	if s.slots != nil {
		<-s.slots
	}
}

// complain logs at most one line a minute: what it is about comes in thousands.
func (s *Socket) complain(what string, err error) {
	now, last := time.Now().Unix(), s.trouble.Load()
	if now-last < 60 || !s.trouble.CompareAndSwap(last, now) {
		return
	}
	s.config.Log.Warn().Str("address", s.config.Address).AnErr("err", err).
		Int64("open", s.Stats.Open.Load()).Msg(what)
}

// backoff is the pause between attempts to accept when descriptors or memory
// are used up: 5 ms, doubling, at most 1 s.
type backoff struct{ next time.Duration }

func (b *backoff) wait(closing <-chan struct{}) bool {
	b.next = min(max(2*b.next, 5*time.Millisecond), time.Second)
	t := time.NewTimer(b.next)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-closing:
		return false
	}
}
