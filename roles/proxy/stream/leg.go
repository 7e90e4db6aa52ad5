package stream

import (
	"crypto/tls"
	"net"
	"syscall"
)

// leg is one of the two connections of a relay.
type leg struct {
	conn net.Conn        // what is read and written
	tls  *tls.Conn       // conn, when it is one
	wire *Conn           // below tls, when the connection was made with Coalesce
	base net.Conn        // the connection below everything, for deadlines and close
	raw  syscall.RawConn // of base, when it is a socket that we may read ourselves

	records int // how large the TLS records are, as far as is known
}

func newLeg(c net.Conn) leg {
	l := leg{conn: c, base: c}
	for {
		switch v := l.base.(type) {
		case *tls.Conn:
			if l.tls == nil {
				l.tls = v
			}
			l.base = v.NetConn()
			continue
		case *Conn:
			l.wire, l.base = v, v.Conn
			continue
		case *net.TCPConn:
			l.raw, _ = v.SyscallConn()
		case *net.UnixConn:
			l.raw, _ = v.SyscallConn()
		}
		break
	}
	if l.tls != nil && (l.wire == nil || l.wire.Conn != l.base) {
		l.raw = nil // something unknown is between TLS and the socket
	}
	return l
}

// plain tells whether the bytes of the socket are those of the stream.
func (l *leg) plain() bool { return l.raw != nil && l.tls == nil && l.wire == nil }

// truncated tells, after conn returned io.EOF, whether TLS was cut off.
func (l *leg) truncated() bool {
	return l.tls != nil && l.wire != nil && l.wire.Torn()
}

// write sends p, with several TLS records in one system call.
func (l *leg) write(p []byte) (int, error) {
	if l.wire == nil || len(p) <= maxRecord {
		return l.conn.Write(p)
	}
	l.wire.Cork()
	n, err := l.conn.Write(p)
	if flushErr := l.wire.Flush(); err == nil && flushErr != nil {
		return 0, flushErr
	}
	return n, err
}

// closeWrite ends the stream towards the peer and goes on reading.
func (l *leg) closeWrite() error {
	if l.tls != nil {
		if err := l.tls.CloseWrite(); err != nil {
			return err
		}
	}
	if half, ok := l.base.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	if l.tls != nil {
		return nil
	}
	return l.conn.Close()
}
