package listen

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/sidecar-kit/sidecar/roles/proxy/proxyproto"
	"github.com/sidecar-kit/sidecar/roles/proxy/stream"
)

// visit is one connection, from Accept to the end. What it needs to serve is in
// here and not on the stack: see serve.
type visit struct {
	socket  *Socket
	ctx     context.Context // of Serve, for the length of the visit
	fn      Func
	raw     net.Conn
	conn    net.Conn // what is handed over
	info    Info
	counted netip.Addr
	served  *sync.WaitGroup
}

// enter checks and secures the connection, then serves it on a new goroutine:
// the handshake needs a deep stack, which would stay for as long as the
// connection does.
func (v *visit) enter() {
	v.info.Peer, v.info.Local = addrPort(v.raw.RemoteAddr()), addrPort(v.raw.LocalAddr())
	v.info.Remote = v.info.Peer
	v.conn = v.raw
	if !v.admit() || v.socket.config.TLS != nil && !v.secure() {
		v.leave()
		return
	}
	v.served.Go(v.serve)
}

// serve is at the bottom of the stack of every idle connection. The runtime
// halves a stack of 8 KB when less than about 1.2 KB of it are used at the time
// of a garbage collection, so its frame is kept small.
func (v *visit) serve() {
	defer v.leave()
	v.fn(v.ctx, v.conn, &v.info)
}

// leave ends a visit.
func (v *visit) leave() {
	s := v.socket
	_ = v.raw.Close() // mostly closed already
	s.limiter.leave(v.counted)
	s.Stats.Open.Add(-1)
	s.release()
}

// admit reads a PROXY header where there has to be one, and counts the client.
func (v *visit) admit() bool {
	s := v.socket
	if len(s.config.ProxyFrom) > 0 {
		if !s.believes(v.info.Peer) {
			s.Stats.NotTrusted.Add(1)
			return false
		}
		_ = v.raw.SetReadDeadline(v.deadline())
		h, err := proxyproto.Read(v.raw)
		if err != nil {
			s.Stats.BadProxy.Add(1)
			s.config.Log.Debug().Err(err).Stringer("peer", v.info.Peer).Msg("refused a connection without a PROXY header")
			return false
		}
		_ = v.raw.SetReadDeadline(time.Time{})
		if h.Local {
			return true // the proxy itself, looking after us
		}
		v.info.Remote, v.info.Local = h.Source, h.Dest
	}
	var ok bool
	if v.counted, ok = s.limiter.enter(v.info.Remote.Addr()); !ok {
		s.Stats.PerIP.Add(1)
	}
	return ok
}

// believes tells whether a peer may and has to send a PROXY header.
func (s *Socket) believes(peer netip.AddrPort) bool {
	if s.config.Network == "unix" {
		return true
	}
	for _, p := range s.config.ProxyFrom {
		if p.Contains(peer.Addr()) {
			return true
		}
	}
	return false
}

// deadline is when everything before the served function has to be done.
func (v *visit) deadline() time.Time {
	limit := v.socket.config.HandshakeTimeout
	if limit <= 0 {
		limit = defaultHandshake
	}
	return v.info.Accepted.Add(limit)
}

// secure does the TLS handshake.
func (v *visit) secure() bool {
	s := v.socket
	_ = v.raw.SetDeadline(v.deadline())
	// Not HandshakeContext: it starts a goroutine for each handshake.
	stop := context.AfterFunc(v.ctx, func() { _ = v.raw.SetDeadline(time.Unix(1, 0)) })
	wire := stream.Coalesce(quickly(v.raw), s.config.Pool)
	secured := tls.Server(wire, s.config.TLS)
	err := secured.Handshake()
	if !stop() && err == nil {
		err = context.Cause(v.ctx)
	}
	if err != nil {
		class := classify(err)
		s.Stats.HandshakeErrors[class].Add(1)
		name := secured.ConnectionState().ServerName
		s.config.Log.Debug().Err(err).Stringer("remote", v.info.Remote).Str("sni", name[:min(len(name), 255)]).Stringer("class", class).Msg("the TLS handshake did not succeed")
		answerPlainHTTP(err)
		return false
	}
	_ = v.raw.SetDeadline(time.Time{})
	s.Stats.Handshakes.Add(1)
	state := secured.ConnectionState()
	if state.DidResume {
		s.Stats.Resumed.Add(1)
	}
	v.info.TLS = &state
	wire.Reclaim(secured) // of the handshake
	wire.Conn = v.raw
	v.conn = secured
	return true
}

// addrPort is the address of a TCP connection; unix sockets have none.
func addrPort(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := tcp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
