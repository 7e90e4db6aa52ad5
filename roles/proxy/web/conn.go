package web

import (
	"context"
	"crypto/tls"
	"net"

	"github.com/sidecar-kit/sidecar/roles/proxy/stream"
)

// conn is a client's HTTP/1 connection. What it needs only during an exchange
// is in x, so that an idle one is small.
type conn struct {
	watched
	server *Server
	ctx    context.Context // of ServeConn; passed to Dial, which gets no other
	net    net.Conn        // read and written
	tls    *tls.Conn       // net, when it is one
	wire   *stream.Conn    // below tls
	sock   *socket         // below everything; nil: the connection is of another kind
	tcp    *net.TCPConn    // net, when it is one: bodies can be spliced
	client Client
	x      *exchange // nil while idle
	linger bool      // the client may not have read the last answer, and sends
	again  bool      // it is not the first exchange

	front    *Front // of Send; net and what is below it are nil then
	frontErr error  // of Send
	headed   bool   // the front got the head of an answer

	step  func(fd uintptr) bool
	first *buffer // what step read
	err   error
}

func newConn(s *Server, c net.Conn, p Peer) *conn {
	k := &conn{server: s, net: c}
	k.client = Client{Addr: p.Remote, Local: p.Local, TLS: p.TLS}
	k.base = c
	k.step = k.tryRead
	if t, ok := c.(*tls.Conn); ok {
		k.tls = t
		trim(t, s.trims)
		k.base = t.NetConn()
		if w, ok := k.base.(*stream.Conn); ok {
			k.wire, k.base = w, w.Conn
			if k.sock = newSocket(w.Conn); k.sock != nil {
				w.Conn = k.sock
			}
		}
	} else {
		if k.sock = newSocket(c); k.sock != nil {
			k.net = k.sock
		}
		k.tcp, _ = c.(*net.TCPConn)
	}
	if k.sock != nil {
		k.raw = k.sock.raw
	}
	k.main.set(stFresh, s.watch.until(s.Header))
	return k
}

// serve answers one request after the other.
func (k *conn) serve() {
	defer k.close()
	for k.await() && k.exchange() {
	}
}

func (k *conn) close() {
	if k.x != nil {
		k.x.release()
		k.x = nil
	}
	k.first.free()
	if k.linger {
		k.drain()
	}
	cause, dead := k.main.cause()
	if k.tls != nil && (!dead || cause == IdleEnd || cause == ShuttingDown) {
		_ = k.tls.Close() // with close_notify; what was torn is closed already
		return
	}
	if k.wire != nil {
		_ = k.wire.Flush()
	}
	_ = k.base.Close()
}

// await reads until there is a request in k.x. Bytes that came behind the last
// request are looked at first; without any it waits holding nothing.
func (k *conn) await() bool {
	s := k.server
	if k.x == nil {
		if state(k.main.mine>>wordBits) != stFresh && !k.main.set(stIdle, s.watch.until(s.Idle)) {
			return false
		}
		if s.ended.Load() { // after set: Shutdown looks the other way round
			return false
		}
		if !k.wait() {
			return false
		}
		k.x = s.newExchange()
		k.x.in, k.first = k.first, nil
	}
	x := k.x
	x.began = false
	for {
		n, err := x.req.Parse(x.in.bytes(), s.Head)
		if err != nil {
			k.refuse(err)
			return false
		}
		if n > 0 {
			x.head = n
			return true
		}
		if !x.began {
			x.began = true
			until := s.watch.until(s.Header)
			if state(k.main.mine>>wordBits) == stFresh {
				until = int64(k.main.mine & (1<<wordBits - 1)) // it began with the connection
			}
			if !k.main.set(stHead, until) {
				return false
			}
		}
		if x.in.makeRoom(); x.in.full() {
			x.in = s.Buffers.grown(x.in)
		}
		if x.in.fill(k.net) != nil {
			if cause, dead := k.main.cause(); dead && cause == ClientSlow {
				k.late()
			}
			return false
		}
	}
}

// wait waits for bytes and reads them into k.first, a small buffer that is
// taken when they are there.
func (k *conn) wait() bool {
	if k.sock == nil {
		b := k.server.Buffers.getSmall()
		if b.fill(k.net) != nil {
			b.free()
			return false
		}
		k.first = b
		return true
	}
	k.err = nil
	if err := k.sock.raw.Read(k.step); err != nil || k.err != nil {
		return false
	}
	return true
}

// tryRead is called when there may be bytes; it returns false to wait.
func (k *conn) tryRead(fd uintptr) bool {
	b := k.server.Buffers.getSmall()
	var err error
	if k.tls == nil {
		b.w, err = readFD(int(fd), b.b)
	} else {
		k.sock.fd, k.sock.try = int(fd), true
		b.w, err = k.tls.Read(b.b)
		k.sock.try = false
	}
	if b.w > 0 {
		k.first = b
		return true
	}
	b.free()
	if err == errWait {
		return false
	}
	k.err = err
	return true
}
