//go:build !linux

package stream

import "net"

// close drops the connection; abort makes that an error for the peer.
func (l *leg) close(abort bool) {
	if tcp, ok := l.base.(*net.TCPConn); ok && abort {
		_ = tcp.SetLinger(0)
	}
	_ = l.base.Close()
}
