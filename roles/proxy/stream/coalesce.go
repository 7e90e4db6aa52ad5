package stream

import (
	"io"
	"net"
	"sync"
	"syscall"
)

// Conn is a connection between tls.Conn and the socket. tls.Conn writes each
// record of at most 16 KB by a system call of its own; between Cork and Flush
// Conn collects them, so that several go out by one. Without Cork it passes
// everything through and holds no memory.
//
// Reads and writes may run at the same time, like on any connection. Cork,
// Flush and Write belong to one goroutine at a time.
type Conn struct {
	net.Conn

	// These belong to the reader.
	eof    bool // the socket ended
	direct bool // inside RawConn.Read: read fd, do not wait
	fd     int
	lent   *[]byte // what tls.Conn reads records into
	pool   *Pool

	mu     sync.Mutex // an alert may be written while the owner writes
	corked bool
	joined bool // the next write waits for the one behind it
	held   *[]byte
}

// maxRecord is what one TLS record carries.
const maxRecord = 16 << 10

// again says that a read would have to wait. tls.Conn goes on where it was after
// an error that calls itself temporary.
type again struct{}

func (again) Error() string   { return "nothing to read now" }
func (again) Timeout() bool   { return true }
func (again) Temporary() bool { return true }

var errAgain net.Error = again{}

// Coalesce wraps the socket c. Build the tls.Conn above the result; relays and
// servers find it again by NetConn. Without a pool it has one of its own.
func Coalesce(c net.Conn, pool *Pool) *Conn {
	if pool == nil {
		pool = new(Pool)
	}
	return &Conn{Conn: c, pool: pool}
}

// NetConn returns the socket.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// SyscallConn returns the socket's descriptor.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	sc, ok := c.Conn.(syscall.Conn)
	if !ok {
		return nil, syscall.EINVAL
	}
	return sc.SyscallConn()
}

// CloseWrite shuts the writing side of the socket down.
func (c *Conn) CloseWrite() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return syscall.EINVAL
	}
	return half.CloseWrite()
}

// Read reads from the socket.
func (c *Conn) Read(p []byte) (n int, err error) {
	if c.direct {
		n, err = readFD(c.fd, p)
	} else {
		n, err = c.Conn.Read(p)
	}
	if err == io.EOF {
		c.eof = true
	}
	return n, err
}

// Torn tells, after tls.Conn returned io.EOF, that the socket ended and TLS did
// not: there was no close_notify, and what came may be a part. It belongs to the
// reader.
func (c *Conn) Torn() bool { return c.eof }

// Cork makes writes wait for Flush, up to about 128 KB.
func (c *Conn) Cork() {
	c.mu.Lock()
	c.corked = true
	c.mu.Unlock()
}

// Join makes the next write wait for the one behind it, or for Flush, so that both go out by one call: last words and the
// alert of tls.Conn's Close, which lets nothing be written after it.
func (c *Conn) Join() {
	c.mu.Lock()
	c.joined = true
	c.mu.Unlock()
}

// Flush sends what was held and ends Cork and Join.
func (c *Conn) Flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.corked, c.joined = false, false
	return c.send()
}

// Write sends p, or holds it while corked.
func (c *Conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.corked && !c.joined {
		return c.Conn.Write(p)
	}
	second := c.held != nil
	if !second {
		if c.corked || len(p) > recordsTiny/2 {
			c.held = c.pool.records()
		} else {
			c.held = c.pool.forRecords(recordsTiny)
		}
		*c.held = (*c.held)[:0]
	}
	if len(*c.held)+len(p) > cap(*c.held) {
		if err := c.send(); err != nil {
			return 0, err
		}
		return c.Conn.Write(p)
	}
	*c.held = append(*c.held, p...)
	if second && c.joined {
		c.joined = false
		if err := c.send(); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// send writes what is held and gives the memory back. The caller holds mu.
func (c *Conn) send() error {
	if c.held == nil {
		return nil
	}
	_, err := c.Conn.Write(*c.held)
	c.pool.put(c.held)
	c.held = nil
	return err
}
