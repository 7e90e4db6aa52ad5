package blackbox

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

type icmpSettings struct{ size, ttl int }

// payload is what a ping carries.
const payload = "sidecar adapter blackbox ping"

func (l *look) probeICMP(ctx context.Context) error {
	const seconds = "probe_icmp_duration_seconds"
	for _, phase := range []string{"resolve", "rtt", "setup"} {
		l.report.set(seconds, "Duration of icmp request by phase", 0, "phase", phase)
	}
	addr, err := l.find(ctx, l.target, "0", seconds)
	if err != nil {
		return err
	}
	start := time.Now()
	conn, err := pingSocket(addr, l.address.source, l.icmp.ttl)
	if err != nil {
		return fmt.Errorf("a socket for pings without privileges (net.ipv4.ping_group_range): %w", err)
	}
	defer func() { _ = conn.Close() }()
	if end, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(end)
	}
	l.report.set(seconds, "", time.Since(start).Seconds(), "phase", "setup")
	data := []byte(payload)
	if l.icmp.size > 0 {
		data = make([]byte, l.icmp.size)
		copy(data, payload)
	}
	request, answer := byte(8), byte(0)
	if !addr.Is4() {
		request, answer = 128, 129
	}
	message := echo(request, data)
	start = time.Now()
	if _, err := conn.Write(message); err != nil {
		return err
	}
	buf := make([]byte, len(message)+64)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return err
		}
		if n >= 8 && buf[0] == answer && bytes.Equal(buf[6:n], message[6:]) { // the kernel chooses the identifier, and gives us our own answers only
			l.report.set(seconds, "", time.Since(start).Seconds(), "phase", "rtt")
			return nil
		}
	}
}

// echo is a message with its checksum, which the kernel makes anew for IPv6.
func echo(kind byte, data []byte) []byte {
	m := append([]byte{kind, 0, 0, 0, 0, 0, 0, 1}, data...)
	sum := uint32(0)
	for i := 0; i < len(m); i += 2 {
		sum += uint32(m[i]) << 8
		if i+1 < len(m) {
			sum += uint32(m[i+1])
		}
	}
	for sum>>16 > 0 {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(m[2:], ^uint16(sum)) //nolint:gosec // folded
	return m
}

var errNoPing = errors.New("not available on this system")
