package syslog

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/internal/tlsconf/tlstest"
	"github.com/sidecar-kit/sidecar/roles/logship/out"
	"github.com/sidecar-kit/sidecar/roles/logship/out/link"
	"github.com/sidecar-kit/sidecar/roles/logship/out/outtest"
	"github.com/sidecar-kit/sidecar/roles/logship/record"
)

// header is what RFC 5424 says about a message.
var header = regexp.MustCompile(`^<(\d{1,3})>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}Z [!-~]{1,255} [!-~]{1,48} [!-~]{1,128} [!-~]{1,32} (\[[!#-<>-\\^-~]{1,32}( [!-~]{1,32}="([^"\\\]]|\\["\\\]])*")*\])+ [^\n]*$`)

// server reads messages and tells of those that are none.
type server struct {
	net.Listener
	t     *testing.T
	work  sync.WaitGroup
	mu    sync.Mutex
	got   []string
	conns []net.Conn
}

func start(t *testing.T, config *tls.Config) *server {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if config != nil {
		l = tls.NewListener(l, config)
	}
	s := &server{Listener: l, t: t}
	s.work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, c)
			s.mu.Unlock()
			s.work.Go(func() { s.read(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		s.cut()
		s.work.Wait()
	})
	return s
}

func (s *server) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		_ = c.Close()
	}
	s.conns = nil
}

func (s *server) read(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		count, err := r.ReadString(' ')
		if err != nil {
			return
		}
		n, err := strconv.Atoi(strings.TrimSuffix(count, " "))
		msg := make([]byte, n)
		if err == nil {
			_, err = io.ReadFull(r, msg)
		}
		if err != nil || !header.Match(msg) {
			s.t.Errorf("no message: %q %q, %v", count, msg, err)
			return
		}
		s.mu.Lock()
		s.got = append(s.got, string(msg))
		s.mu.Unlock()
	}
}

func (s *server) messages() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.got...)
}

func (s *server) wait(n int) []string {
	for range 5000 {
		if len(s.messages()) >= n {
			break
		}
		time.Sleep(2 * time.Millisecond)
	}
	return s.messages()
}

func sink(t *testing.T, o Config) *Sink {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestMessage(t *testing.T) {
	srv := start(t, nil)
	s := sink(t, Config{Hosts: []string{srv.Addr().String()}, Facility: 16, Hostname: "pod 1", App: "%{team}", MsgID: "LOG"})
	b := &out.Batch{}
	f := &record.File{Path: `/a "b]\c`, Input: "x", Gen: 35}
	outtest.Append(t, s, b, &record.Record{
		File: f, Offset: 36, Time: outtest.Read.UnixNano() + 9, Level: record.Error, Message: []byte("two\nlines\x1b[0m \xff"),
		Fields: []record.Field{{Key: "team", Value: []byte("blue team")}},
	}, &record.Record{File: f, Read: outtest.Read.UnixNano()})
	outtest.Deliver(t, s, b, 1)
	want := `<131>1 2026-01-02T03:04:05.678000Z pod_1 blue_team - LOG [sidecar@32473 id="z-10" path="/a \"b\]\\c"] two\nlines\x1b[0m \xff`
	if got := srv.wait(2); len(got) != 2 || got[0] != want || !strings.Contains(got[1], " unknown - LOG ") {
		t.Errorf("messages %q; want %q", got, want)
	}
}

// TestConfirmLosesNothing: every batch is read by the other side before it is done, over TLS, too.
func TestConfirmLosesNothing(t *testing.T) {
	ca := tlstest.NewCA(t, "root")
	cert := ca.Issue(tlstest.Want{})
	caFile := tlstest.Write(t, t.TempDir()+"/ca.crt", ca.CertPEM())
	for name, config := range map[string]*tls.Config{"plain": nil, "tls": {Certificates: []tls.Certificate{cert.TLS()}}} {
		srv := start(t, config)
		o := Config{Hosts: []string{srv.Addr().String()}, Confirm: true, TLS: link.TLS{On: config != nil, CA: []string{caFile}}}
		if config == nil {
			o.TLS = link.TLS{}
		}
		s := sink(t, o)
		for i := range 5 {
			outtest.Deliver(t, s, outtest.Batch(t, s, i*100, i*100+100), 1)
			if got := len(srv.messages()); got != i*100+100 {
				t.Errorf("%s: %d messages when batch %d is done; want %d", name, got, i, i*100+100)
			}
		}
	}
}

func TestDeadConnectionIsNotUsed(t *testing.T) {
	srv := start(t, nil)
	s := sink(t, Config{Hosts: []string{srv.Addr().String()}})
	outtest.Deliver(t, s, outtest.Batch(t, s, 0, 10), 1)
	srv.wait(10)
	srv.cut()
	for range 5000 {
		if c, ok := s.pool.Get(); ok {
			<-c.gone
			s.pool.Put(c)
			break
		}
	}
	outtest.Deliver(t, s, outtest.Batch(t, s, 10, 20), 1)
	if got := len(srv.wait(20)); got != 20 || s.Traffic().Dials.Load() != 2 {
		t.Errorf("%d messages over %d connections; want 20 over 2", got, s.Traffic().Dials.Load())
	}
}

func TestStuckServerEndsWithTheContext(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := sink(t, Config{Hosts: []string{l.Addr().String()}, Confirm: true})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err = s.Send(ctx, outtest.Batch(t, s, 0, 10))
	if err == nil || !strings.Contains(err.Error(), "deadline") || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("Send = %v; want a deadline and the address", err)
	}
}
