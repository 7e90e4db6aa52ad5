package web

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

func TestLameAnswersAreTheLastOfTheirConnection(t *testing.T) {
	rec := record(t, always(ok))
	f := serve(t, to(Config{}, rec.addr, nil), false)
	c := f.dial(t)
	r := bufio.NewReader(c)
	write(t, c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	if msg, err := readMessage(r); msg != ok {
		t.Fatalf("answer = %q, %v", msg, err)
	}
	f.Lame() // the idle connection stays
	write(t, c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	want := "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
	if b, err := io.ReadAll(r); string(b) != want {
		t.Errorf("answer = %q, %v; want %q", b, err, want)
	}
}

func TestShutdownClosesIdleAndWaitsForOthers(t *testing.T) {
	in, wait := make(chan struct{}), make(chan struct{})
	rec := record(t, func(int, string) (string, bool) {
		in <- struct{}{}
		<-wait
		return ok, true
	})
	s := to(Config{}, rec.addr, nil)
	f := serve(t, s, true)
	idle, busy := f.dial(t), f.dial(t)
	write(t, idle, "GET /other HTTP/1.1\r\nHost: h\r\n\r\n")
	<-in
	wait <- struct{}{}
	if msg, err := readMessage(bufio.NewReader(idle)); msg != ok {
		t.Fatalf("answer = %q, %v", msg, err)
	}
	for begin := time.Now(); ; time.Sleep(time.Millisecond) { // the answer is there a moment before the request is over
		if n, _ := s.Busy(); n == 0 || time.Since(begin) > patience {
			break
		}
	}
	write(t, busy, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	<-in
	if n, last := s.Busy(); n != 1 || time.Since(last) > patience {
		t.Errorf("Busy = %d, %v; want 1, now", n, last)
	}
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(context.Background()) }()
	if b, err := io.ReadAll(idle); len(b) > 0 || err != nil {
		t.Errorf("the idle connection gets %q, %v; want a clean end", b, err)
	}
	select {
	case err := <-done:
		t.Fatalf("Shutdown = %v before the request was over", err)
	default:
	}
	wait <- struct{}{}
	b, err := io.ReadAll(busy)
	if want := "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"; string(b) != want || err != nil {
		t.Errorf("answer = %q, %v; want %q", b, err, want)
	}
	if err := <-done; err != nil {
		t.Errorf("Shutdown = %v; want nil", err)
	}
	if n, last := s.Busy(); n != 0 || last.IsZero() {
		t.Errorf("Busy = %d, %v; want 0 and a time", n, last)
	}
}

func TestShutdownCutsWhenItsContextEnds(t *testing.T) {
	in := make(chan struct{}, 3)
	addr := listen(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		if _, err := readMessage(r); err == nil {
			in <- struct{}{}
			_, _ = io.Copy(io.Discard, r)
		}
	})
	s := to(Config{}, addr, nil)
	f := serve(t, s, false)
	c := f.dial(t)
	write(t, c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	<-in
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown = %v; want the context's error", err)
	}
}

func TestUpgradedConnectionIsCutByShutdown(t *testing.T) {
	addr := listen(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		if _, err := readMessage(r); err == nil {
			_, _ = io.WriteString(c, "HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
			_, _ = io.Copy(c, r)
		}
	})
	s := to(Config{}, addr, nil)
	f := serve(t, s, true)
	c := f.dial(t)
	r := bufio.NewReader(c)
	write(t, c, "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
	if _, err := readMessage(r); err != nil {
		t.Fatal(err)
	}
	write(t, c, "a")
	if b, err := r.ReadByte(); b != 'a' {
		t.Fatal(err)
	}
	if n, _ := s.Busy(); n != 1 {
		t.Errorf("Busy = %d; want 1", n)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); err == nil {
		t.Error("Shutdown = nil with an open stream")
	}
	if _, err := r.ReadByte(); err == nil {
		t.Error("the stream is open after Shutdown")
	}
}

// TestSteadyStateDoesNotAllocate measures whole exchanges; the test's client
// and backend do not allocate either. TLS has two small allocations per record
// inside the standard library.
func TestSteadyStateDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("pools drop things at random under the race detector")
	}
	f := serve(t, to(Config{}, fixed(t, []byte(ok)), nil), false)
	c := f.dial(t)
	req := []byte("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nCookie: a=b\r\n\r\nhi")
	buf := make([]byte, 1000)
	got := testing.AllocsPerRun(2000, func() {
		if _, err := c.Write(req); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(buf); err != nil || n != len(ok) {
			t.Fatal(n, err)
		}
	})
	if got >= 1 {
		t.Errorf("an exchange allocates %v times; want 0", got)
	}
}
