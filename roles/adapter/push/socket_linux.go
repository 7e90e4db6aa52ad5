package push

import (
	"context"
	"encoding/binary"
	"net/netip"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	atATime  = 64       // datagrams of one system call
	longest  = 64 << 10 // bytes of one
	memDrops = 8        // SK_MEMINFO_DROPS
)

// socket reads datagrams, many with one system call, and knows how many the kernel dropped.
type socket struct {
	raw     syscall.RawConn
	receive int
	names   bool

	mu    sync.Mutex
	last  uint32 // what the kernel said last
	sum   uint64
	known bool
}

func newSocket(conn syscall.Conn, size int, names bool) (*socket, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &socket{raw: raw, names: names}
	err = raw.Control(func(fd uintptr) {
		if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size) != nil {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, size)
		}
		s.receive, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF)
	})
	s.settle()
	return s, err
}

// drops is how many datagrams the kernel has dropped since the socket was made. known is false where it does not say.
func (s *socket) drops() (n uint64, known bool) {
	s.settle()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sum, s.known
}

// settle asks the socket: SO_MEMINFO has the same number as /proc/net/udp, at once and for this socket alone. It counts to 32 bits. A closed one keeps what was known.
func (s *socket) settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.raw.Control(func(fd uintptr) {
		var info [16]uint32
		size := uint32(unsafe.Sizeof(info))
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
		if errno != 0 || size < 4*(memDrops+1) {
			return
		}
		now := info[memDrops]
		s.sum += uint64(now - s.last)
		s.last, s.known = now, true
	})
}

// message is struct mmsghdr.
type message struct {
	header unix.Msghdr
	size   uint32
}

type batch struct {
	messages [atATime]message
	parts    [atATime]unix.Iovec
	names    [atATime]unix.RawSockaddrInet6
	memory   []byte
	out      datagrams
}

func newBatch(names bool) *batch {
	b := &batch{memory: make([]byte, atATime*longest)}
	b.out.list = make([]datagram, 0, atATime)
	for i := range b.messages {
		b.parts[i].Base = &b.memory[i*longest]
		b.parts[i].SetLen(longest)
		b.messages[i].header.Iov = &b.parts[i]
		b.messages[i].header.SetIovlen(1)
		if names {
			b.messages[i].header.Name = (*byte)(unsafe.Pointer(&b.names[i]))
		}
	}
	return b
}

// read calls fn with what comes until ctx ends, and then with what is there still.
func (s *socket) read(ctx context.Context, fn func(*datagrams)) {
	b := newBatch(s.names)
	for ctx.Err() == nil {
		n, errno := 0, syscall.Errno(0)
		err := s.raw.Read(func(fd uintptr) bool {
			n, errno = b.receive(fd)
			return errno != unix.EAGAIN && errno != unix.EINTR
		})
		if err != nil {
			break
		}
		if errno == 0 {
			b.hand(n, s.names, fn)
		}
	}
	for left := true; left; {
		left = false
		_ = s.raw.Control(func(fd uintptr) {
			n, errno := b.receive(fd)
			if left = errno == 0 && n > 0; left {
				b.hand(n, s.names, fn)
			}
		})
	}
}

func (b *batch) receive(fd uintptr) (int, syscall.Errno) {
	for i := range b.messages {
		if b.messages[i].header.Name != nil {
			b.messages[i].header.Namelen = uint32(unsafe.Sizeof(b.names[i]))
		}
	}
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&b.messages)), atATime, unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno //nolint:gosec // up to 64
}

func (b *batch) hand(n int, names bool, fn func(*datagrams)) {
	b.out.list = b.out.list[:n]
	for i := range b.out.list {
		m := &b.messages[i]
		b.out.list[i] = datagram{body: b.memory[i*longest : i*longest+int(m.size)], truncated: m.header.Flags&unix.MSG_TRUNC != 0}
		if names {
			b.out.list[i].from = address(&b.names[i])
		}
	}
	fn(&b.out)
}

// address reads struct sockaddr_in or sockaddr_in6.
func address(sa *unix.RawSockaddrInet6) netip.Addr {
	switch sa.Family {
	case unix.AF_INET:
		var four [4]byte
		binary.NativeEndian.PutUint32(four[:], sa.Flowinfo)
		return netip.AddrFrom4(four)
	case unix.AF_INET6:
		return netip.AddrFrom16(sa.Addr).Unmap()
	}
	return netip.IPv4Unspecified() // of no list
}
