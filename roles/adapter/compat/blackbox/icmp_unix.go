//go:build unix

package blackbox

import (
	"net"
	"net/netip"
	"os"
	"syscall"
)

// pingSocket is a connected socket that echoes are written to and read from without privileges, where the kernel allows that.
func pingSocket(to, from netip.Addr, ttl int) (net.Conn, error) {
	family, protocol, level, option := syscall.AF_INET, syscall.IPPROTO_ICMP, syscall.IPPROTO_IP, syscall.IP_TTL
	if !to.Is4() {
		family, protocol, level, option = syscall.AF_INET6, syscall.IPPROTO_ICMPV6, syscall.IPPROTO_IPV6, syscall.IPV6_UNICAST_HOPS
	}
	fd, err := syscall.Socket(family, syscall.SOCK_DGRAM, protocol)
	if err != nil {
		return nil, errNoPing
	}
	f := os.NewFile(uintptr(fd), "ping") //nolint:gosec // a descriptor
	defer func() { _ = f.Close() }()
	syscall.CloseOnExec(fd)
	if from.IsValid() {
		if err := syscall.Bind(fd, sockaddr(from)); err != nil {
			return nil, err
		}
	}
	if ttl > 0 {
		if err := syscall.SetsockoptInt(fd, level, option, ttl); err != nil {
			return nil, err
		}
	}
	if err := syscall.Connect(fd, sockaddr(to)); err != nil {
		return nil, err
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		return nil, err
	}
	return net.FileConn(f)
}

func sockaddr(addr netip.Addr) syscall.Sockaddr {
	if addr.Is4() {
		return &syscall.SockaddrInet4{Addr: addr.As4()}
	}
	return &syscall.SockaddrInet6{Addr: addr.As16()}
}
