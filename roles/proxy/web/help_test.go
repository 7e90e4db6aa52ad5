package web

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestMain fails when goroutines or descriptors are left after all tests.
func TestMain(m *testing.M) {
	before := descriptors()
	code := m.Run()
	for range 200 {
		runtime.GC()                                                  // pipes of splice are closed by it
		if runtime.NumGoroutine() <= 2 && descriptors() <= before+3 { // the poller has its own
			os.Exit(code)
		}
		time.Sleep(10 * time.Millisecond)
	}
	buf := make([]byte, 64<<10)
	_, _ = os.Stderr.Write(buf[:runtime.Stack(buf, true)])
	_, _ = os.Stderr.WriteString(fmt.Sprintf("left: %d goroutines, %d descriptors; %d before\n", runtime.NumGoroutine(), descriptors(), before))
	list, _ := os.ReadDir("/proc/self/fd")
	for _, e := range list {
		to, _ := os.Readlink("/proc/self/fd/" + e.Name())
		_, _ = os.Stderr.WriteString(e.Name() + " " + to + "\n")
	}
	os.Exit(1)
}

func descriptors() int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(list)
}

const patience = 20 * time.Second

// dial connects to f and gives up when nothing happens for too long.
func (f *front) dial(t testing.TB) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", f.Addr)
	if err != nil {
		t.Fatal(err)
	}
	if f.conf != nil {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func write(t testing.TB, c net.Conn, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Fatal(err)
	}
}

// all sends s and returns what comes until the other side closes.
func (f *front) all(t testing.TB, s string) string {
	t.Helper()
	c := f.dial(t)
	_, _ = io.WriteString(c, s)
	b, _ := io.ReadAll(c)
	return string(b)
}

// readMessage reads a head, and a body by Content-Length or chunks, as bytes.
func readMessage(r *bufio.Reader) (string, error) {
	var out strings.Builder
	length, chunked := 0, false
	for {
		line, err := r.ReadString('\n')
		out.WriteString(line)
		if err != nil {
			return out.String(), err
		}
		low := strings.ToLower(strings.TrimSpace(line))
		if v, ok := strings.CutPrefix(low, "content-length: "); ok {
			for _, c := range v {
				length = length*10 + int(c-'0')
			}
		}
		chunked = chunked || low == "transfer-encoding: chunked"
		if low == "" {
			break
		}
	}
	if chunked {
		for last := false; ; {
			line, err := r.ReadString('\n')
			out.WriteString(line)
			if err != nil {
				return out.String(), err
			}
			if last && line == "\r\n" {
				return out.String(), nil
			}
			last = last || line == "0\r\n"
		}
	}
	body := make([]byte, length)
	n, err := io.ReadFull(r, body)
	out.Write(body[:n])
	return out.String(), err
}

// recorder is a backend that keeps every byte it gets, by connection, and lets
// fn answer each message.
type recorder struct {
	addr string
	mu   sync.Mutex
	got  []*bytes.Buffer
}

// record starts one. fn gets the message and its number on the connection; it
// returns what to answer, and whether to go on.
func record(t testing.TB, fn func(n int, msg string) (string, bool)) *recorder {
	t.Helper()
	rec := &recorder{}
	rec.addr = listen(t, func(c net.Conn) {
		buf := new(bytes.Buffer)
		rec.mu.Lock()
		rec.got = append(rec.got, buf)
		rec.mu.Unlock()
		r := bufio.NewReader(io.TeeReader(c, lockedWriter{&rec.mu, buf}))
		for n := 0; ; n++ {
			msg, err := readMessage(r)
			if err != nil {
				return
			}
			answer, more := fn(n, msg)
			if _, err := io.WriteString(c, answer); err != nil || !more {
				return
			}
		}
	})
	return rec
}

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// bytes returns all that came, of all connections.
func (r *recorder) bytes() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out strings.Builder
	for _, b := range r.got {
		out.Write(b.Bytes())
	}
	return out.String()
}

func (r *recorder) conns() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.got)
}

// always answers everything alike.
func always(answer string) func(int, string) (string, bool) {
	return func(int, string) (string, bool) { return answer, true }
}

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// log keeps what an observer is told.
type log struct {
	mu   sync.Mutex
	list []Record
	came chan struct{}
}

func newLog() *log { return &log{came: make(chan struct{}, 1000)} }

func (l *log) Request(r *Record) {
	c := *r
	c.Method, c.Host, c.Target = bytes.Clone(r.Method), bytes.Clone(r.Host), bytes.Clone(r.Target)
	l.mu.Lock()
	l.list = append(l.list, c)
	l.mu.Unlock()
	l.came <- struct{}{}
}

// wait returns the next record.
func (l *log) wait(t testing.TB) Record {
	t.Helper()
	select {
	case <-l.came:
	case <-time.After(patience):
		t.Fatal("no exchange was observed")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.list[0]
	l.list = l.list[1:]
	return r
}

func contains(t testing.TB, got string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("got %q; want %q in it", got, w)
		}
	}
}
