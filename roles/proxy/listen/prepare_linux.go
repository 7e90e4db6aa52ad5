package listen

import (
	"errors"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// inherited says that accepted connections have the options of the listener: four calls less for each of them.
const inherited = true

// prepare sets what a socket needs before it is bound.
func prepare(raw syscall.RawConn, reusePort bool, alive net.KeepAliveConfig) error {
	var errs []error
	controlErr := raw.Control(func(fd uintptr) {
		set := func(level, option, value int) {
			errs = append(errs, unix.SetsockoptInt(int(fd), level, option, value))
		}
		if reusePort {
			set(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		}
		if alive.Enable {
			set(unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
			set(unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, seconds(alive.Idle))
			set(unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, seconds(alive.Interval))
			set(unix.IPPROTO_TCP, unix.TCP_KEEPCNT, alive.Count)
		}
	})
	return errors.Join(append(errs, controlErr)...)
}

// seconds rounds up, as package net does: 0 is refused by the kernel.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
