package allow

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
)

func TestHost(t *testing.T) {
	l, err := Parse([]string{"db.example.com:5432", "*.svc.cluster.local", "10.1.0.0/16", "127.0.0.1", "[::1]:80", "0.0.0.0/0"})
	if err != nil {
		t.Fatal(err)
	}
	narrow, err := Parse([]string{"db.example.com:5432", "*.svc.cluster.local", "127.0.0.1:80"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		list       *List
		host, port string
		want       bool
	}{
		{narrow, "db.example.com", "5432", true}, {narrow, "DB.example.com.", "5432", true}, {narrow, "db.example.com", "22", false}, {narrow, "a.svc.cluster.local", "1", true},
		{narrow, "svc.cluster.local", "1", false}, {narrow, "evilsvc.cluster.local", "1", false}, {narrow, "127.0.0.1", "80", true}, {narrow, "127.0.0.1", "81", false},
		{narrow, "::ffff:127.0.0.1", "80", true}, {narrow, "10.1.2.3", "80", false},
		{l, "10.1.2.3", "80", true}, {l, "169.254.169.254", "80", false}, {l, "::ffff:169.254.169.254", "80", false}, {l, "fe80::1%eth0", "80", false}, {l, "0.0.0.0", "80", false},
		{l, "224.0.0.1", "80", false}, {l, "100.100.100.200", "80", false}, {l, "fd00:ec2::254", "80", false}, {l, "::1", "80", true}, {l, "::1", "81", false},
		{&List{}, "127.0.0.1", "80", false},
	} {
		if got := tt.list.Host(tt.host, tt.port) == nil; got != tt.want {
			t.Errorf("Host(%s, %s) = %v; want %v", tt.host, tt.port, got, tt.want)
		}
	}
	if !l.address("x", "1", netip.MustParseAddr("8.8.8.8")) || l.address("x", "1", netip.MustParseAddr("169.254.0.1")) {
		t.Error("address: want 8.8.8.8 allowed by 0.0.0.0/0, and 169.254.0.1 never")
	}
	if narrow.address("other", "80", netip.MustParseAddr("10.0.0.1")) {
		t.Error("address: a name that no rule has is allowed")
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{"", "*", "*.", "a.*.b", "http://a", "a:0", "a:b", "a b", "unix://a", "unix:///a/../b", "unix:///a/"} {
		if _, err := Parse([]string{text}); err == nil {
			t.Errorf("Parse(%q) = nil; want an error", text)
		}
	}
}

func TestDialChecksWhatANameResolvesTo(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		rule string
		want bool
	}{{"localhost", true}, {"127.0.0.0/8", true}, {"10.0.0.0/8", false}, {"localhost:1", false}} {
		l, err := Parse([]string{tt.rule})
		if err != nil {
			t.Fatal(err)
		}
		c, err := l.Dial(context.Background(), "tcp4", "localhost:"+port)
		if (err == nil) != tt.want || !tt.want && !errors.Is(err, ErrNotAllowed) {
			t.Errorf("Dial with %s = %v; want allowed %v", tt.rule, err, tt.want)
		}
		if err == nil {
			_ = c.Close()
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"a:1", "*.b", "10.0.0.0/8", "[::1]:80", "::1"} {
		f.Add(s, "a", "1")
	}
	f.Fuzz(func(t *testing.T, text, host, port string) {
		l, err := Parse([]string{text})
		if err != nil {
			return
		}
		addr, bad := netip.ParseAddr(host)
		if l.Host(host, port) == nil && bad == nil && forbidden(addr) {
			t.Errorf("%q allows %s", text, host)
		}
	})
}
