package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// tally is what workers count together.
type tally struct {
	count, failed, bytes, full atomic.Int64
	mu                         sync.Mutex
	first                      error
}

func (t *tally) fail(err error) {
	t.failed.Add(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.first == nil {
		t.first = err
	}
}

// figures are those of a run; one that did nothing is an error.
func (t *tally) figures(took time.Duration) (map[string]float64, error) {
	if t.count.Load() == 0 && t.bytes.Load() == 0 {
		return nil, fmt.Errorf("nothing worked: %w", t.first)
	}
	if t.first != nil {
		fmt.Fprintln(os.Stderr, "proxyload: first of", t.failed.Load(), "failures:", t.first)
	}
	return map[string]float64{
		"count": float64(t.count.Load()), "failed": float64(t.failed.Load()), "bytes": float64(t.bytes.Load()),
		"full": float64(t.full.Load()), "seconds": took.Seconds(),
	}, nil
}

// hand makes connections, each for one small request.
func hand(t task) (map[string]float64, error) {
	t.tls = true
	var sum tally
	var all sync.WaitGroup
	began := time.Now()
	for range t.conns {
		all.Go(func() {
			var cache tls.ClientSessionCache
			if t.resume {
				cache = tls.NewLRUClientSessionCache(4)
			}
			for time.Since(began) < t.duration {
				resumed, err := t.visit(cache)
				if err != nil {
					sum.fail(err)
					continue
				}
				sum.count.Add(1)
				if !resumed {
					sum.full.Add(1)
				}
			}
		})
	}
	all.Wait()
	return sum.figures(time.Since(began))
}

func (t *task) visit(cache tls.ClientSessionCache) (resumed bool, err error) {
	c, err := t.dial(cache)
	if err != nil {
		return false, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, "GET /100 HTTP/1.1\r\nHost: bench.local\r\nConnection: close\r\n\r\n"); err != nil {
		return false, err
	}
	answer, err := io.ReadAll(c)
	if !strings.HasPrefix(string(answer), "HTTP/1.1 200") {
		return false, errors.Join(fmt.Errorf("answer %.40q", answer), err)
	}
	return c.(*tls.Conn).ConnectionState().DidResume, nil
}

// bulk moves as many bytes as there is time for.
func bulk(t task) (map[string]float64, error) {
	var sum tally
	var all sync.WaitGroup
	began := time.Now()
	for range t.conns {
		all.Go(func() {
			c, err := t.dial(nil)
			if err != nil {
				sum.fail(err)
				return
			}
			defer c.Close()
			_ = c.SetDeadline(began.Add(t.duration))
			letter, move := "d", c.Read
			if t.up {
				letter, move = "u", c.Write
			}
			if _, err := io.WriteString(c, letter); err != nil {
				sum.fail(err)
				return
			}
			buf := make([]byte, 256<<10)
			for {
				n, err := move(buf)
				sum.bytes.Add(int64(n))
				if errors.Is(err, os.ErrDeadlineExceeded) {
					return
				}
				if err != nil {
					sum.fail(err)
					return
				}
			}
		})
	}
	all.Wait()
	return sum.figures(time.Since(began))
}

// hold opens connections, uses each once and keeps them until stdin ends.
func hold(t task) (map[string]float64, error) {
	var sum tally
	var all sync.WaitGroup
	conns := make([]net.Conn, t.conns)
	began := time.Now()
	var next atomic.Int64
	for range 16 {
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(t.conns); i = next.Add(1) - 1 {
				c, err := t.dial(nil)
				if err == nil {
					conns[i] = c
					err = t.once(c)
				}
				if err != nil {
					sum.fail(err)
					continue
				}
				sum.count.Add(1)
			}
		})
	}
	all.Wait()
	figures, err := sum.figures(time.Since(began))
	if err != nil {
		return nil, err
	}
	fmt.Println("open", int64(figures["count"]))
	_, err = io.Copy(io.Discard, os.Stdin)
	for _, c := range conns {
		if c != nil {
			c.Close()
		}
	}
	return figures, err
}

// once asks for t.path, or for one byte.
func (t *task) once(c net.Conn) error {
	send, want := "e", 1
	if t.path != "" {
		send = "GET " + t.path + " HTTP/1.1\r\nHost: bench.local\r\n\r\n"
	}
	if _, err := io.WriteString(c, send); err != nil {
		return err
	}
	buf := make([]byte, 4096)
	if t.path == "" {
		_, err := io.ReadFull(c, buf[:want])
		return err
	}
	return readAnswer(c, buf)
}
