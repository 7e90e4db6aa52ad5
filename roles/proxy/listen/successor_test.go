package listen

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestSuccessorLosesNoConnection changes the options of a busy address many times.
func TestSuccessorLosesNoConnection(t *testing.T) {
	s, err := Bind(t.Context(), Config{Network: "tcp", Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	var served, generation atomic.Int64
	serve := func(ctx context.Context, c net.Conn, _ *Info) {
		defer c.Close()
		served.Add(1)
		_, _ = io.WriteString(c, "hi")
	}
	var loops, clients sync.WaitGroup
	loops.Go(func() { _ = s.Serve(t.Context(), serve) })
	done := make(chan struct{})
	var asked atomic.Int64
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				c, err := net.Dial("tcp", s.Addr().String())
				if err != nil {
					t.Errorf("dial: %v", err)
					return
				}
				asked.Add(1)
				_ = c.SetDeadline(time.Now().Add(20 * time.Second))
				if got, err := io.ReadAll(c); err != nil || string(got) != "hi" {
					t.Errorf("answer = %q, %v; want hi", got, err)
				}
				_ = c.Close()
			}
		})
	}
	last := s
	for range 50 {
		next := last.Successor(Config{MaxConns: 100})
		loops.Go(func() { _ = next.Serve(t.Context(), serve) })
		generation.Add(1)
		was := served.Load()
		for served.Load() == was { // it really serves
			time.Sleep(time.Millisecond)
		}
		last = next
	}
	close(done)
	clients.Wait()
	_ = last.Close()
	loops.Wait()
	if asked.Load() != served.Load() || asked.Load() < 50 {
		t.Errorf("%d connections asked for, %d served; want as many", asked.Load(), served.Load())
	}
}

// TestSuccessorThatIsNotUsedChangesNothing: a reload that fails leaves the address as it is.
func TestSuccessorThatIsNotUsedChangesNothing(t *testing.T) {
	s, err := Bind(t.Context(), Config{Network: "tcp", Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Successor(Config{})
	var loop sync.WaitGroup
	loop.Go(func() { _ = s.Serve(t.Context(), func(_ context.Context, c net.Conn, _ *Info) { _ = c.Close() }) })
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(c); err != nil {
		t.Errorf("read = %v; want a clean end", err)
	}
	_ = c.Close()
	_ = s.Close()
	loop.Wait()
}
