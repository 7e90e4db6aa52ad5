//go:build !linux

package push

import (
	"context"
	"net"
	"syscall"
)

// socket reads datagrams one by one. This system does not say how many it dropped.
type socket struct {
	conn    net.PacketConn
	receive int
}

func newSocket(conn syscall.Conn, size int, _ bool) (*socket, error) {
	s := &socket{conn: conn.(net.PacketConn), receive: size}
	if c, ok := conn.(interface{ SetReadBuffer(int) error }); ok {
		for c.SetReadBuffer(s.receive) != nil && s.receive > 64<<10 {
			s.receive /= 2
		}
	}
	return s, nil
}

func (s *socket) drops() (uint64, bool) { return 0, false }

func (s *socket) settle() {}

func (s *socket) read(ctx context.Context, fn func(*datagrams)) {
	buffer := make([]byte, 64<<10)
	one := datagrams{list: make([]datagram, 1)}
	for ctx.Err() == nil {
		n, from, err := s.conn.ReadFrom(buffer)
		if err != nil {
			continue
		}
		one.list[0] = datagram{body: buffer[:n]}
		if udp, ok := from.(*net.UDPAddr); ok {
			one.list[0].from = udp.AddrPort().Addr()
		}
		fn(&one)
	}
}
