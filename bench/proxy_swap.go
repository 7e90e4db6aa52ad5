package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sidecar-kit/sidecar/bench/lab"
)

// swapLoad is who asks while certificates change.
type swapLoad struct {
	addr              string
	stop              chan struct{}
	all               sync.WaitGroup
	kept, new, echoed atomic.Int64
	failed            atomic.Int64
	mu                sync.Mutex
	first             error
}

func (l *swapLoad) total() int64 { return l.kept.Load() + l.new.Load() + l.echoed.Load() }

func (l *swapLoad) fail(what string, err error) {
	l.failed.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first == nil {
		l.first = fmt.Errorf("%s: %w", what, err)
	}
}

func (l *swapLoad) running() bool {
	select {
	case <-l.stop:
		return false
	default:
		return true
	}
}

// proxySwap changes the certificate again and again under load. A connection that breaks, a request without its answer and a handshake
// that fails are failures; none is tried again.
func (b *bench) proxySwap(r *rig) ([]row, error) {
	app := &http.Server{Handler: http.HandlerFunc(echoApp)}
	defer app.Close()
	var err error
	if r.backend, err = listenAndServe(app); err != nil {
		return nil, err
	}
	here, _, err := r.enlist(duty{scheme: "https"}, b.us())
	defer stopAll(here)
	if err != nil {
		return nil, err
	}
	l := &swapLoad{addr: here[0].addr, stop: make(chan struct{})}
	for range 6 {
		l.all.Go(l.keep)
		l.all.Go(l.come)
		l.all.Go(l.upgraded)
	}
	swaps, want := b.sized(50, 5), int64(b.sized(100_000, 2_000))
	var seen []float64
	for i := range swaps {
		took, serr := swap(r.dir, l.addr, int64(i)+2)
		if err = serr; err != nil {
			break
		}
		seen = append(seen, took.Seconds())
		time.Sleep(200 * time.Millisecond)
	}
	for end := time.Now().Add(time.Minute); err == nil && l.total() < want && time.Now().Before(end); {
		time.Sleep(50 * time.Millisecond)
	}
	close(l.stop)
	l.all.Wait()
	if err != nil {
		return nil, err
	}
	bad := float64(l.failed.Load())
	if l.first != nil {
		fmt.Fprintln(os.Stderr, "first failure:", l.first)
	}
	what := fmt.Sprintf("requests that failed, of %d (%d on kept connections, %d on new ones, %d over WebSocket), while the certificate changed %d times", l.total(), l.kept.Load(), l.new.Load(), l.echoed.Load(), len(seen))
	return []row{
		judged(what, whole(bad), "-", "-", reached(bad, l.total() < 1000, l.total() < want), 0, 0, "0 / 0"),
		info("from the new file to the first handshake with it: median and longest", ms2(lab.Quantile(seen, 0.5), lab.Quantile(seen, 1)), "-", "-"),
	}, nil
}

// swap puts a certificate in place and waits until it is served.
func swap(dir, addr string, serial int64) (time.Duration, error) {
	if err := writeCert(dir, serial); err != nil {
		return 0, err
	}
	for began := time.Now(); time.Since(began) < 15*time.Second; time.Sleep(2 * time.Millisecond) {
		c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, ServerName: "bench.local"})
		if err != nil {
			return 0, err
		}
		got := c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
		_ = c.Close()
		if got == serial {
			return time.Since(began), nil
		}
	}
	return 0, fmt.Errorf("certificate %d is not served after 15s", serial)
}

// echoApp answers, and speaks something like WebSocket: bytes come back after the upgrade.
func echoApp(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "" {
		_, _ = io.WriteString(w, strings.Repeat("x", 100))
		return
	}
	c, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	_, _ = io.Copy(c, buf)
}

// listenAndServe runs a server on a port of its own.
func listenAndServe(s *http.Server) (addr string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go func() { _ = s.Serve(l) }() // until it is closed
	return l.Addr().String(), nil
}

func (l *swapLoad) dial() (*tls.Conn, *bufio.Reader, error) {
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", l.addr, &tls.Config{InsecureSkipVerify: true, ServerName: "bench.local"})
	if err != nil {
		return nil, nil, err
	}
	return c, bufio.NewReader(c), nil
}

// ask is one request on a connection.
func ask(c net.Conn, in *bufio.Reader, more string) error {
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: bench.local\r\n"+more+"\r\n"); err != nil {
		return err
	}
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if err == nil && (resp.StatusCode != 200 || n != 100) {
		err = fmt.Errorf("status %d, %d bytes", resp.StatusCode, n)
	}
	return err
}

func (l *swapLoad) keep() {
	for l.running() {
		c, in, err := l.dial()
		if err != nil {
			l.fail("kept", err)
			continue
		}
		for l.running() && err == nil {
			if err = ask(c, in, ""); err == nil {
				l.kept.Add(1)
			} else {
				l.fail("kept", err)
			}
		}
		_ = c.Close()
	}
}

func (l *swapLoad) come() {
	for l.running() {
		c, in, err := l.dial()
		if err == nil {
			err = ask(c, in, "Connection: close\r\n")
			_ = c.Close()
		}
		if err != nil {
			l.fail("new", err)
			continue
		}
		l.new.Add(1)
	}
}

func (l *swapLoad) upgraded() {
	for l.running() {
		if err := l.socket(); err != nil {
			l.fail("upgraded", err)
		}
	}
}

// socket is one upgraded connection, which stays for the whole run.
func (l *swapLoad) socket() error {
	c, in, err := l.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, "GET /ws HTTP/1.1\r\nHost: bench.local\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"); err != nil {
		return err
	}
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return errors.New(resp.Status)
	}
	word := []byte("hello")
	for l.running() {
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := c.Write(word); err != nil {
			return err
		}
		if _, err := io.ReadFull(in, word); err != nil {
			return err
		}
		l.echoed.Add(1)
	}
	return nil
}
