package listen

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"
)

// starved accepts only errors, n times.
type starved struct {
	net.Listener
	n int
}

func (s *starved) Accept() (net.Conn, error) {
	if s.n--; s.n >= 0 {
		return nil, &net.OpError{Op: "accept", Err: errors.Join(syscall.EMFILE)}
	}
	return s.Listener.Accept()
}

func TestWithoutDescriptorsAcceptingBacksOffAndRecovers(t *testing.T) {
	s, err := Bind(t.Context(), Config{Network: "tcp", Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	s.inner = &starved{s.inner, 4}
	done := make(chan error, 1)
	start := time.Now()
	go func() { done <- s.Serve(t.Context(), hold) }()
	c := connect(t, s)
	if !greeted(c) {
		t.Fatal("not served once there were descriptors")
	}
	if n, took := s.Stats.AcceptErrors.Load(), time.Since(start); n != 4 || took < 75*time.Millisecond {
		t.Errorf("%d errors in %v; want 4, with 5+10+20+40 ms between them", n, took)
	}
	c.Close()
	s.Close()
	if err := <-done; err != nil {
		t.Errorf("Serve = %v; want nil", err)
	}
}
