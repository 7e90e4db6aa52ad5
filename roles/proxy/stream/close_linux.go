package stream

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// close drops the connection; abort makes that an error for the peer.
func (l *leg) close(abort bool) {
	if tcp, ok := l.base.(*net.TCPConn); ok && abort {
		l.drain()
		_ = tcp.SetLinger(0)
	}
	_ = l.base.Close()
}

// drain waits, for a second at most, until the peer's kernel has what was sent:
// an abort throws away what is still here, and the peer should get all that its
// partner did send.
func (l *leg) drain() {
	if l.raw == nil {
		return
	}
	tick := time.NewTicker(drainEvery)
	defer tick.Stop()
	for range drainLooks {
		queued := 0
		err := l.raw.Control(func(fd uintptr) { queued, _ = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ) })
		if err != nil || queued == 0 {
			return
		}
		<-tick.C
	}
}

const (
	drainEvery = 10 * time.Millisecond
	drainLooks = 100
)
