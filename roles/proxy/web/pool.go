package web

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sidecar-kit/sidecar/roles/proxy/stream"
)

const (
	defaultMaxIdle = 64
	defaultIdle    = 3 * time.Second
	defaultConnect = 10 * time.Second
	// ageSteps is how often per idle time the pool looks for old connections,
	// so that one is kept for at most the idle time and closed soon after.
	ageSteps = 4
)

// upstream is a connection to a backend. It belongs to one exchange or to the
// pool.
type upstream struct {
	net.Conn
	backend *Backend
	raw     syscall.RawConn // nil unless Conn is a TCP or unix socket
	tcp     *net.TCPConn    // Conn, when it is one
	wire    *stream.Conn    // below TLS, when it is there
	made    time.Time       // set when the backend has a MaxAge
	round   uint32          // of the pool, when it was put there
	reused  bool

	swap exchangeStep
}

// pool holds idle connections, the last used on top, so that few are kept
// warm and the others grow old. The mutex is held for a few instructions.
type pool struct {
	mu     sync.Mutex
	idle   []*upstream
	round  uint32 // counts the looks of the timer
	timer  *time.Timer
	armed  bool
	closed bool
}

// get takes the connection that was used last, or nil.
func (p *pool) get() *upstream {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle)
	if n == 0 {
		return nil
	}
	u := p.idle[n-1]
	p.idle[n-1] = nil
	p.idle = p.idle[:n-1]
	u.reused = true
	return u
}

// put keeps u, or closes it when there are enough.
func (b *Backend) put(u *upstream) {
	p := &b.pool
	most := b.MaxIdle
	if most <= 0 {
		most = defaultMaxIdle
	}
	old := b.MaxAge > 0 && time.Since(u.made) > b.MaxAge
	p.mu.Lock()
	if p.closed || old || b.PerConn || len(p.idle) >= most {
		p.mu.Unlock()
		u.close()
		return
	}
	u.round = p.round
	p.idle = append(p.idle, u)
	if !p.armed {
		p.armed = true
		step := or(b.Idle, defaultIdle) / ageSteps
		if p.timer == nil {
			p.timer = time.AfterFunc(step, b.age)
		} else {
			p.timer.Reset(step)
		}
	}
	p.mu.Unlock()
}

// age closes what was idle for too long. The timer runs while there is
// anything idle.
func (b *Backend) age() {
	p := &b.pool
	p.mu.Lock()
	p.round++
	old := 0
	for old < len(p.idle) && p.round-p.idle[old].round >= ageSteps {
		old++
	}
	gone := append([]*upstream(nil), p.idle[:old]...)
	kept := copy(p.idle, p.idle[old:])
	clear(p.idle[kept:])
	p.idle = p.idle[:kept]
	if p.armed = kept > 0 && !p.closed; p.armed {
		p.timer.Reset(or(b.Idle, defaultIdle) / ageSteps)
	}
	p.mu.Unlock()
	for _, u := range gone {
		u.close()
	}
}

func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	idle := p.idle
	p.idle = nil
	if p.timer != nil {
		p.timer.Stop()
	}
	p.mu.Unlock()
	for _, u := range idle {
		u.close()
	}
}

// dial makes a new connection.
func (b *Backend) dial(ctx context.Context, c *Client) (*upstream, error) {
	b.Stats.Dials.Add(1)
	ctx, cancel := context.WithTimeout(ctx, or(b.Connect, defaultConnect))
	defer cancel()
	conn, err := b.Dial(ctx, c)
	if err != nil {
		b.Stats.DialErrors.Add(1)
		return nil, err
	}
	b.Stats.Open.Add(1)
	u := &upstream{Conn: conn, backend: b}
	if s := newSocket(conn); s != nil {
		u.raw = s.raw
		u.tcp, _ = conn.(*net.TCPConn)
		u.swap.init()
	}
	if t, ok := conn.(*tls.Conn); ok {
		u.wire, _ = t.NetConn().(*stream.Conn)
	}
	if b.MaxAge > 0 {
		u.made = time.Now()
	}
	return u, nil
}

// ended tells, after io.EOF, whether the backend meant to end its stream. TLS
// says so by close_notify; without it somebody on the way may have cut it.
func (u *upstream) ended() bool { return u.wire == nil || !u.wire.Torn() }

func (u *upstream) close() {
	u.backend.Stats.Open.Add(-1)
	_ = u.Conn.Close()
}

// alive looks at an idle connection before it is used again.
func (u *upstream) alive() bool {
	raw := u.raw
	if raw == nil {
		below := u.Conn
		for {
			above, ok := below.(interface{ NetConn() net.Conn })
			if !ok {
				break
			}
			below = above.NetConn()
		}
		s, ok := below.(syscall.Conn)
		if !ok {
			return true
		}
		var err error
		if raw, err = s.SyscallConn(); err != nil {
			return false
		}
	}
	ok := false
	var room [1]unix.PollFd
	err := raw.Control(func(fd uintptr) { ok = quiet(int(fd), room[:]) })
	return err == nil && ok
}

// exchangeStep sends a request and waits for the first bytes of the answer in
// one visit of the descriptor: look whether an idle connection is still good,
// write, wait, read. The wait is prepared before the write, so that no read
// has to fail first, and no buffer is held while the backend thinks.
type exchangeStep struct {
	fn    func(fd uintptr) bool
	bufs  *Buffers
	out   []byte
	wrote int
	got   *buffer
	err   error
	state uint8
	poll  [1]unix.PollFd
}

const (
	toLook = iota
	toWrite
	toRead
	toReadMore // with a large buffer
)

func (e *exchangeStep) buffer() *buffer {
	if e.state == toReadMore {
		return e.bufs.getLarge()
	}
	return e.bufs.getMedium()
}

// read reads more of an answer; large after the last piece filled its buffer.
func (e *exchangeStep) read(u *upstream, bufs *Buffers, large bool) error {
	e.bufs, e.got, e.err, e.state = bufs, nil, nil, toRead
	if large {
		e.state = toReadMore
	}
	if err := u.raw.Read(e.fn); e.err == nil {
		return err
	}
	return e.err
}

func (e *exchangeStep) init() { e.fn = e.step }

// run returns when bytes came (in got), something failed (err), or the socket
// took less than all (wrote < len(out), no error): then the caller goes on.
func (e *exchangeStep) run(u *upstream, bufs *Buffers, out []byte) error {
	e.bufs, e.out, e.wrote, e.got, e.err, e.state = bufs, out, 0, nil, nil, toWrite
	if u.reused {
		e.state = toLook
	}
	err := u.raw.Read(e.fn)
	e.out = nil
	if e.err != nil {
		return e.err
	}
	return err
}

func (e *exchangeStep) step(fd uintptr) bool {
	if e.state == toLook {
		if !quiet(int(fd), e.poll[:]) {
			e.err = errStale
			return true
		}
		e.state = toWrite
	}
	if e.state == toWrite {
		if e.wrote, e.err = writeFD(int(fd), e.out); e.err != nil || e.wrote < len(e.out) {
			return true
		}
		e.state = toRead
		return false
	}
	b := e.buffer()
	n, err := readFD(int(fd), b.b)
	if err == nil {
		b.w, e.got = n, b
		return true
	}
	b.free()
	if errors.Is(err, errWait) {
		return false
	}
	e.err = err
	return true
}
