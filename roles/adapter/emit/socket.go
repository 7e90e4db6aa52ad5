package emit

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"time"
)

// socket sends lines, in datagrams or over a stream.
type socket struct {
	network, address string
	packet           int
	timeout          time.Duration
	conn             net.Conn
}

// send goes on after the last whole line that was written, so that no counter counts twice.
func (s *socket) send(ctx context.Context, p *payload, stats *Stats) error {
	if s.conn != nil && s.stream() && s.gone() {
		s.close()
	}
	if s.conn == nil {
		var d net.Dialer
		conn, err := d.DialContext(ctx, s.network, s.address)
		if err != nil {
			return err
		}
		s.conn = conn
	}
	deadline, _ := ctx.Deadline()
	_ = s.conn.SetWriteDeadline(deadline)
	for p.from < len(p.body) {
		part := p.body[p.from:]
		if !s.stream() {
			part = cut(part, s.packet)
		}
		n, err := s.conn.Write(part)
		if err != nil {
			p.from += bytes.LastIndexByte(part[:n], '\n') + 1
			s.close()
			return err
		}
		p.from += len(part)
		if !s.stream() {
			stats.Datagrams++
		}
	}
	return nil
}

func (s *socket) stream() bool { return s.network == "tcp" || s.network == "unix" }

// gone reports whether the other side has closed the connection: what is written then is lost without an error.
func (s *socket) gone() bool {
	_ = s.conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := s.conn.Read(make([]byte, 512))
	return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
}

// cut is as many whole lines as fit, or one that does not.
func cut(body []byte, most int) []byte {
	if len(body) <= most {
		return body
	}
	if i := bytes.LastIndexByte(body[:most], '\n'); i >= 0 {
		return body[:i+1]
	}
	if i := bytes.IndexByte(body, '\n'); i >= 0 {
		return body[:i+1]
	}
	return body
}

func (s *socket) close() {
	if s.conn != nil {
		_ = s.conn.Close()
		s.conn = nil
	}
}
