//go:build !linux

package listen

import (
	"errors"
	"net"
	"syscall"
)

const inherited = false

func prepare(_ syscall.RawConn, reusePort bool, _ net.KeepAliveConfig) error {
	if reusePort {
		return errors.New("several processes at one port: only on Linux")
	}
	return nil
}
