package push

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// listener is one address.
type listener struct {
	network, address string
	packets          net.PacketConn
	streams          net.Listener
	socket           *socket // of packets
	bound            string
}

// CheckAddress says what is wrong with an address to listen at.
func CheckAddress(text string) error {
	_, err := parseAddress(text)
	return err
}

// parseAddress reads udp://HOST:PORT, tcp://, unixgram://PATH and unix://PATH.
func parseAddress(text string) (listener, error) {
	network, address, ok := strings.Cut(text, "://")
	switch {
	case !ok:
	case network == "unix" || network == "unixgram":
		if address != "" {
			return listener{network: network, address: address}, nil
		}
	case network == "udp" || network == "tcp":
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return listener{}, fmt.Errorf("listen %q: %w", text, err)
		}
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return listener{}, fmt.Errorf("listen %q: %q is no port", text, port)
		}
		if host == "" {
			host = "127.0.0.1"
		}
		return listener{network: network, address: net.JoinHostPort(host, port)}, nil
	}
	return listener{}, fmt.Errorf("listen %q is no address: want udp://HOST:PORT, tcp://HOST:PORT, unixgram://PATH or unix://PATH", text)
}

// Open takes all addresses; on an error it leaves none open.
func (t *Table) Open(ctx context.Context) error {
	for i := range t.listeners {
		if err := t.listeners[i].open(ctx, t); err != nil {
			for j := range i {
				t.listeners[j].close()
			}
			return err
		}
	}
	return nil
}

// Addr is where listener i listens, in the order of Options.Listen, such as "127.0.0.1:8125" or a path; "" before Open.
func (t *Table) Addr(i int) string { return t.listeners[i].bound }

func (l *listener) open(ctx context.Context, t *Table) error {
	if strings.HasPrefix(l.network, "unix") && l.address[0] != '@' {
		if err := l.removeStale(); err != nil {
			return err
		}
	}
	var config net.ListenConfig
	var err error
	switch l.network {
	case "udp", "unixgram":
		if l.packets, err = config.ListenPacket(ctx, l.network, l.address); err != nil {
			break
		}
		l.bound = l.packets.LocalAddr().String()
		l.socket, err = newSocket(l.packets.(syscall.Conn), t.opts.Receive, len(t.opts.Allow) > 0 && l.network == "udp")
	default:
		if l.streams, err = config.Listen(ctx, l.network, l.address); err == nil {
			l.bound = l.streams.Addr().String()
		}
	}
	if err == nil && strings.HasPrefix(l.network, "unix") && l.address[0] != '@' {
		err = os.Chmod(l.address, fs.FileMode(t.opts.Mode))
	}
	if err != nil {
		l.close()
		return fmt.Errorf("listen on %s://%s: %w", l.network, l.address, err)
	}
	return nil
}

// removeStale removes the socket that an earlier process left. One that somebody listens at stays, and listening fails.
func (l *listener) removeStale() error {
	info, err := os.Lstat(l.address)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return fmt.Errorf("listen on %s://%s: there is a file of that name, and no socket", l.network, l.address)
	}
	conn, err := net.DialTimeout(l.network, l.address, time.Second)
	if err == nil {
		_ = conn.Close()
		return fmt.Errorf("listen on %s://%s: somebody listens there", l.network, l.address)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return nil
	}
	return os.Remove(l.address)
}

func (l *listener) close() {
	if l.packets != nil {
		_ = l.packets.Close()
	}
	if l.streams != nil {
		_ = l.streams.Close()
	}
	if l.network == "unixgram" && l.bound != "" && l.address[0] != '@' {
		_ = os.Remove(l.address)
	}
}

// account adds what the kernel dropped.
func (l *listener) account(s *Stats) {
	if l.socket == nil {
		return
	}
	drops, known := l.socket.drops()
	s.KernelDrops += drops
	s.KernelKnown = s.KernelKnown && known
	if s.Receive == 0 || l.socket.receive < s.Receive {
		s.Receive = l.socket.receive
	}
}

func (l *listener) run(ctx context.Context, t *Table) {
	if l.streams != nil {
		l.accept(ctx, t)
		return
	}
	stop := context.AfterFunc(ctx, func() { _ = l.packets.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	l.socket.read(ctx, func(d *datagrams) { t.take(d) })
	l.socket.settle()
	l.close()
}

// datagrams are some that were read at once.
type datagrams struct {
	list []datagram
}

type datagram struct {
	body      []byte
	from      netip.Addr // only where senders are checked
	truncated bool
}

func (t *Table) take(d *datagrams) {
	now := time.Now().UnixNano()
	for i := range d.list {
		t.mu.Lock()
		t.packet(&d.list[i], now)
		t.mu.Unlock()
	}
}

func (t *Table) packet(d *datagram, now int64) {
	t.stats.Packets++
	t.stats.Bytes += uint64(len(d.body))
	if d.truncated {
		t.stats.Truncated++
	}
	if d.from.IsValid() && !t.allowed(d.from) {
		t.stats.Refused++
		return
	}
	t.chunk(d.body, now)
}

// chunk reads whole lines.
func (t *Table) chunk(body []byte, now int64) {
	if t.opts.Decode != nil {
		_, _ = t.decoded(body, t.opts.Decode, now)
		return
	}
	if t.opts.Relay != nil {
		t.opts.Relay(body)
	}
	t.reader.lines(body, now)
}

// Allows says whether somebody may send bodies over HTTP, and counts who may not.
func (t *Table) Allows(from netip.Addr) bool {
	ok := len(t.opts.Allow) == 0 || t.allowed(from)
	if !ok {
		t.count1(func(s *Stats) { s.Refused++ })
	}
	return ok
}

// Refuse counts a body that came over HTTP and cannot be taken, so that it never came to Write.
func (t *Table) Refuse() { t.count1(func(s *Stats) { s.BadBodies++ }) }

func (t *Table) allowed(from netip.Addr) bool {
	from = from.Unmap().WithZone("")
	for _, p := range t.opts.Allow {
		if p.Contains(from) {
			return true
		}
	}
	return false
}

func (l *listener) accept(ctx context.Context, t *Table) {
	stop := context.AfterFunc(ctx, func() { _ = l.streams.Close() })
	defer stop()
	var open atomic.Int64
	done := make(chan struct{}, 1)
	for {
		conn, err := l.streams.Accept()
		if err != nil {
			if ctx.Err() != nil {
				break
			}
			t.count1(func(s *Stats) { s.ConnectionErrors++ })
			select { // out of file descriptors, most likely
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		if !t.welcome(conn, open.Load()) {
			_ = conn.Close()
			continue
		}
		open.Add(1)
		go func() {
			t.stream(ctx, conn)
			open.Add(-1)
			select {
			case done <- struct{}{}:
			default:
			}
		}()
	}
	for open.Load() > 0 {
		<-done
	}
}

func (t *Table) count1(fn func(*Stats)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fn(&t.stats)
}

func (t *Table) welcome(conn net.Conn, open int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tcp, ok := conn.RemoteAddr().(*net.TCPAddr); ok && len(t.opts.Allow) > 0 && !t.allowed(tcp.AddrPort().Addr()) {
		t.stats.Refused++
		return false
	}
	t.stats.Connections++
	if open >= int64(t.opts.Streams) {
		t.stats.ConnectionErrors++
		return false
	}
	t.stats.Open++
	return true
}
