package proxyproto

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func addr(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func v2(command, family byte, rest string) string {
	b := append([]byte(sigV2), command, family)
	b = binary.BigEndian.AppendUint16(b, uint16(len(rest)))
	return string(b) + rest
}

func TestWhatAppendWritesParseReads(t *testing.T) {
	pairs := [][2]string{
		{"192.0.2.1:1234", "198.51.100.7:443"},
		{"[2001:db8::1]:1", "[2001:db8::2]:65535"},
		{"192.0.2.1:1234", "[2001:db8::2]:443"},
		{"[::ffff:192.0.2.1]:1234", "198.51.100.7:443"},
	}
	for _, version := range []uint8{1, 2} {
		for _, p := range pairs {
			b := Append(nil, version, addr(p[0]), addr(p[1]))
			h, n, err := Parse(append(b, "GET /"...))
			if err != nil || n != len(b) || h.Local || h.Version != version {
				t.Fatalf("Parse(%q) = %+v, %d, %v; want version %d and %d bytes", b, h, n, err, version, len(b))
			}
			want := netip.AddrPortFrom(addr(p[0]).Addr().Unmap(), addr(p[0]).Port())
			if h.Source != want {
				t.Errorf("Parse(%q).Source = %v; want %v", b, h.Source, want)
			}
			for i := range b {
				if _, n, err := Parse(b[:i]); n != 0 || err != nil {
					t.Errorf("Parse(%q) = %d, %v; want that more is needed", b[:i], n, err)
				}
			}
		}
		b := Append(nil, version, netip.AddrPort{}, addr("192.0.2.1:1"))
		if h, n, err := Parse(b); err != nil || n != len(b) || !h.Local {
			t.Errorf("Parse(%q) = %+v, %d, %v; want a header without addresses", b, h, n, err)
		}
	}
}

func TestParseAcceptsWhatTheSpecificationAllows(t *testing.T) {
	ip4 := "\xc0\x00\x02\x01\xc6\x33\x64\x07\x04\xd2\x01\xbb"
	tests := []struct {
		in    string
		local bool
	}{
		{"PROXY UNKNOWN\r\n", true},
		{"PROXY UNKNOWN ff:: ff:: 1 1\r\n", true},
		{"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", false},
		{v2(0x21, 0x11, ip4), false},
		{v2(0x21, 0x11, ip4+"\x04\x00\x02ab\x04\x00\x00"), false},
		{v2(0x20, 0x00, ""), true},
		{v2(0x20, 0x11, ip4), true},
		{v2(0x20, 0x00, "anything"), true},
		{v2(0x21, 0x00, ""), true},
		{v2(0x21, 0x12, ip4), true},
		{v2(0x21, 0x31, strings.Repeat("/", 216)), true},
	}
	for _, tt := range tests {
		h, n, err := Parse([]byte(tt.in))
		if err != nil || n != len(tt.in) || h.Local != tt.local {
			t.Errorf("Parse(%q) = %+v, %d, %v; want all of it, local = %v", tt.in, h, n, err, tt.local)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	ip4 := "\xc0\x00\x02\x01\xc6\x33\x64\x07\x04\xd2\x01\xbb"
	for _, in := range []string{
		"GET / HTTP/1.1\r\n", "proxy TCP4 1.2.3.4 1.2.3.4 1 1\r\n", "\r\n\r\n\x00\r\nQUIT\r",
		"PROXY TCP4 1.2.3.4 1.2.3.4 1 1\n", "PROXY \n", "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
		"PROXY TCP4  1.2.3.4 1.2.3.4 1 1\r\n", "PROXY TCP4 ::1 ::1 1 1\r\n", "PROXY TCP6 1.2.3.4 1.2.3.4 1 1\r\n",
		"PROXY TCP6 fe80::1%eth0 ::1 1 1\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 65536 1\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 +1 1\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 01 1\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 1 \r\n", "PROXY UDP4 1.2.3.4 1.2.3.4 1 1\r\n",
		"PROXY TCP4 1.2.3.004 1.2.3.4 1 1\r\n", "PROXY UNKNOWN" + strings.Repeat(" ", 200),
		v2(0x11, 0x11, ip4), v2(0x21, 0x11, ""), v2(0x22, 0x11, ip4), v2(0x21, 0x41, ip4), v2(0x21, 0x13, ip4),
		v2(0x21, 0x11, ip4[:11]), v2(0x21, 0x21, ip4), v2(0x21, 0x11, ip4+"\x04"), v2(0x21, 0x11, ip4+"\x04\x00\x05ab"),
		v2(0x21, 0x11, ip4+"\x03\x00\x04abcd"), v2(0x21, 0x11, ip4+"\x03\x00\x02ab"), v2(0x21, 0x11, strings.Repeat("x", 5000)),
	} {
		if h, n, err := Parse([]byte(in)); err == nil {
			t.Errorf("Parse(%q) = %+v, %d, nil; want an error", in, h, n)
		}
	}
}

func TestARightChecksumIsAccepted(t *testing.T) {
	in := []byte(v2(0x21, 0x11, "\xc0\x00\x02\x01\xc6\x33\x64\x07\x04\xd2\x01\xbb\x03\x00\x04\x00\x00\x00\x00\x04\x00\x01x"))
	off := fixedV2 + 12 + 3
	binary.BigEndian.PutUint32(in[off:], checksum(in, off))
	if _, n, err := Parse(in); n != len(in) || err != nil {
		t.Errorf("Parse with a right checksum = %d, %v; want %d, nil", n, err, len(in))
	}
	in[off-8]++
	if _, _, err := Parse(in); err == nil {
		t.Error("Parse with a wrong checksum = nil; want an error")
	}
}

// pair returns two ends of a TCP connection.
func pair(t *testing.T) (net.Conn, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

func TestReadLeavesWhatFollows(t *testing.T) {
	for _, version := range []uint8{1, 2} {
		a, b := pair(t)
		head := Append(nil, version, addr("192.0.2.1:1234"), addr("198.51.100.7:443"))
		go func() {
			for i := range head {
				_, _ = a.Write(head[i : i+1])
			}
			_, _ = a.Write([]byte("rest"))
			_ = a.Close()
		}()
		h, err := Read(b)
		if err != nil || h.Source != addr("192.0.2.1:1234") {
			t.Fatalf("Read = %+v, %v; want the source", h, err)
		}
		if rest, err := io.ReadAll(b); string(rest) != "rest" || err != nil {
			t.Errorf("behind the header came %q, %v; want %q", rest, err, "rest")
		}
	}
}

func TestReadTakesALongHeader(t *testing.T) {
	a, b := pair(t)
	ip4 := "\xc0\x00\x02\x01\xc6\x33\x64\x07\x04\xd2\x01\xbb"
	long := v2(0x21, 0x11, ip4+"\x04\x03\xe8"+strings.Repeat("x", 1000))
	go func() { _, _ = a.Write([]byte(long + "rest")); _ = a.Close() }()
	if _, err := Read(b); err != nil {
		t.Fatalf("Read = %v; want nil", err)
	}
	if rest, _ := io.ReadAll(b); string(rest) != "rest" {
		t.Errorf("behind the header came %q; want %q", rest, "rest")
	}
}

func TestReadRefusesASilentOrStrangePeer(t *testing.T) {
	a, b := pair(t)
	_ = b.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if _, err := Read(b); err == nil {
		t.Error("Read from a silent peer = nil; want an error")
	}
	_ = b.SetReadDeadline(time.Time{})
	_, _ = a.Write([]byte("GET"))
	if _, err := Read(b); !errors.Is(err, ErrNone) {
		t.Errorf("Read of another protocol = %v; want %v", err, ErrNone)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nx"))
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Add([]byte(v2(0x21, 0x11, "")))
	f.Add([]byte(v2(0x21, 0x11, "\xc0\x00\x02\x01\xc6\x33\x64\x07\x04\xd2\x01\xbb\x03\x00\x04abcd")))
	f.Add(Append(nil, 2, addr("[2001:db8::1]:1"), addr("[2001:db8::2]:65535")))
	f.Fuzz(func(t *testing.T, in []byte) {
		h, n, err := Parse(in)
		if n < 0 || n > len(in) || err != nil && n != 0 {
			t.Fatalf("Parse(%q) = %d, %v", in, n, err)
		}
		if n == 0 {
			return
		}
		if h.Local == h.Source.IsValid() {
			t.Fatalf("Parse(%q) = %+v: local and addresses contradict", in, h)
		}
		for i := range n {
			if _, m, err := Parse(in[:i]); m != 0 || err != nil {
				t.Fatalf("Parse(%q) = %d, %v; a whole one starts so", in[:i], m, err)
			}
		}
		again, _, err := Parse(Append(nil, h.Version, h.Source, h.Dest))
		if err != nil || again != h {
			t.Fatalf("written again: %+v, %v; want %+v", again, err, h)
		}
	})
}
