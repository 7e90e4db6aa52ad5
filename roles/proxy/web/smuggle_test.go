package web

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// anomalous requests by class of the security list. Every one must be answered
// by an error and a close, and nothing of what follows it may reach a backend.
func anomalous() map[string]string {
	const l = "POST /evil HTTP/1.1\r\nHost: h\r\n"
	const chunk = "0\r\n\r\n"
	return map[string]string{
		"length and coding":       l + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk,
		"two lengths":             l + "Content-Length: 5\r\nContent-Length: 0\r\n\r\nhello",
		"equal lengths":           l + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
		"listed length":           l + "Content-Length: 5, 5\r\n\r\nhello",
		"signed length":           l + "Content-Length: +5\r\n\r\nhello",
		"spaced length":           l + "Content-Length: 0 5\r\n\r\nhello",
		"hex length":              l + "Content-Length: 0x5\r\n\r\nhello",
		"empty length":            l + "Content-Length: \r\n\r\nhello",
		"overflowing length":      l + "Content-Length: 18446744073709551621\r\n\r\nhello",
		"coding list":             l + "Transfer-Encoding: identity, chunked\r\n\r\n" + chunk,
		"coding twice":            l + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + chunk,
		"coding with control":     l + "Transfer-Encoding: \x0bchunked\r\n\r\n" + chunk,
		"coding with blank":       l + "Transfer-Encoding : chunked\r\n\r\n" + chunk,
		"coding folded":           l + "Transfer-Encoding:\r\n chunked\r\n\r\n" + chunk,
		"coding behind bare CR":   l + "X: a\rTransfer-Encoding: chunked\r\n\r\n" + chunk,
		"coding behind bare LF":   l + "X: a\nTransfer-Encoding: chunked\r\n\r\n" + chunk,
		"coding with no-break":    l + "Transfer-Encoding: chunked\xa0\r\n\r\n" + chunk,
		"coding in 1.0":           "POST /evil HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk,
		"coding unknown":          l + "Transfer-Encoding: cow\r\n\r\n" + chunk,
		"name empty":              l + ": x\r\n\r\n",
		"name with byte":          l + "X\x80: x\r\n\r\n",
		"NUL in value":            l + "X: a\x00b\r\n\r\n",
		"NUL in target":           "GET /evil\x00 HTTP/1.1\r\nHost: h\r\n\r\n",
		"control in value":        l + "X: a\x01b\r\n\r\n",
		"no host":                 "GET /evil HTTP/1.1\r\n\r\n",
		"two hosts":               "GET /evil HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n",
		"host and target differ":  "GET http://i/evil HTTP/1.1\r\nHost: h\r\n\r\n",
		"three words too many":    "GET /evil HTTP/1.1 HTTP/1.1\r\nHost: h\r\n\r\n",
		"two spaces":              "GET  /evil HTTP/1.1\r\nHost: h\r\n\r\n",
		"bad version":             "GET /evil HTTP/1.1x\r\nHost: h\r\n\r\n",
		"version 0.9":             "GET /evil\r\n\r\n",
		"LF lines":                "GET /evil HTTP/1.1\nHost: h\n\n",
		"field over 32 KB":        l + "X: " + strings.Repeat("a", 33<<10) + "\r\n\r\n",
		"too many fields":         l + strings.Repeat("X: a\r\n", 101) + "\r\n",
		"HTTP/2 preface":          "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"chunk size prefix":       l + "Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n" + chunk,
		"chunk size LF":           l + "Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n" + chunk,
		"chunk size overflow":     l + "Transfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n" + chunk,
		"chunk extension LF":      l + "Transfer-Encoding: chunked\r\n\r\n5;a\nb\r\nhello\r\n" + chunk,
		"chunk extension long":    l + "Transfer-Encoding: chunked\r\n\r\n5;" + strings.Repeat("a", 5000) + "\r\nhello\r\n" + chunk,
		"chunk data without CRLF": l + "Transfer-Encoding: chunked\r\n\r\n5\r\nhelloXX" + chunk,
		"chunk data with LF":      l + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\n" + chunk,
		"framing trailer":         l + "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n",
		"folded trailer":          l + "Transfer-Encoding: chunked\r\n\r\n0\r\nX: a\r\n b\r\n\r\n",
	}
}

func TestAnomalousRequestsDoNotReachTheBackend(t *testing.T) {
	rec := record(t, always(ok))
	l := newLog()
	f := serve(t, to(Config{Observer: l}, rec.addr, nil), false)
	const hidden = "GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n"
	for name, in := range anomalous() {
		got := f.all(t, in+hidden)
		if !strings.HasPrefix(got, "HTTP/1.1 4") && !strings.HasPrefix(got, "HTTP/1.1 50") || strings.Count(got, "HTTP/1.1 ") != 1 {
			t.Errorf("%s: answers = %q; want one error", name, got)
		}
		if r := l.wait(t); r.Cause != BadRequest || r.Err == nil {
			t.Errorf("%s: cause = %v, %v; want bad-request", name, r.Cause, r.Err)
		}
	}
	if got := rec.bytes(); got != "" {
		t.Errorf("the backend got %q", got)
	}
}

// TestWhatReachesTheBackendIsCanonical sends odd but valid requests; a strict
// reader must find in what arrives exactly what was meant.
func TestWhatReachesTheBackendIsCanonical(t *testing.T) {
	rec := record(t, always(ok))
	f := serve(t, to(Config{}, rec.addr, nil), false)
	f.all(t, "PoSt http://h/a?b HTTP/1.1\r\nhost:h\r\ncontent-LENGTH: \t005\t \r\nX-A:b\r\nConnection: x-a, keep-alive,,\r\nKeep-Alive: 5\r\nTE: trailers\r\nProxy: x\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\nhello"+
		"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: cHuNkEd\r\n\r\n0003;x\r\nabc\r\n00\r\nY: z\r\n\r\nGET /d HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	r := bufio.NewReader(strings.NewReader(rec.bytes()))
	for _, want := range []struct{ method, uri, body string }{{"PoSt", "/a?b", "hello"}, {"POST", "/c", "abc"}, {"GET", "/d", ""}} {
		req, err := http.ReadRequest(r)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(req.Body)
		if err != nil || req.Method != want.method || req.RequestURI != want.uri || string(b) != want.body {
			t.Errorf("the backend reads %s %s %q, %v; want %v", req.Method, req.RequestURI, b, err, want)
		}
		for _, name := range []string{"X-A", "Keep-Alive", "Te", "Proxy", "Upgrade", "Http2-Settings", "Connection"} {
			if v := req.Header[name]; v != nil {
				t.Errorf("the backend got %s: %q", name, v)
			}
		}
	}
	for _, line := range strings.SplitAfter(rec.bytes(), "\n") {
		if line != "" && !strings.HasSuffix(line, "\r\n") && !strings.HasPrefix(line, "hello") {
			t.Errorf("a line without CRLF: %q", line)
		}
	}
}

// TestAnomalousAnswersDoNotReachTheClient also shows that the connection to
// such a backend is not used again.
func TestAnomalousAnswersDoNotReachTheClient(t *testing.T) {
	const l = "HTTP/1.1 200 OK\r\n"
	tests := map[string]string{
		"length and coding":   l + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"two lengths":         l + "Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
		"coding in 1.0":       "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"coding unknown":      l + "Transfer-Encoding: gzip\r\n\r\nx",
		"bare LF":             "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
		"bare CR":             l + "X: a\rSet-Cookie: evil\r\nContent-Length: 0\r\n\r\n",
		"fold":                l + "X: a\r\n evil\r\nContent-Length: 0\r\n\r\n",
		"NUL":                 l + "X: evil\x00\r\nContent-Length: 0\r\n\r\n",
		"204 with a body":     "HTTP/1.1 204 No\r\nContent-Length: 4\r\n\r\nevil",
		"no HTTP":             "evil\r\n\r\n",
		"status":              "HTTP/1.1 evil\r\n\r\n",
		"uninvited 101":       "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: evil\r\n\r\n",
		"endless 1xx":         strings.Repeat("HTTP/1.1 102 evil\r\n\r\n", 17),
		"long head":           l + "X: " + strings.Repeat("a", 40<<10) + "\r\n\r\n",
		"broken first chunk":  l + "Transfer-Encoding: chunked\r\n\r\n0x5\r\nevil!\r\n0\r\n\r\n",
		"chunk ends by LF":    l + "Transfer-Encoding: chunked\r\n\r\n4\nevil\r\n0\r\n\r\n",
		"head breaks off":     "HTTP/1.1 200 OK\r\nContent-Le",
		"closes without word": "",
	}
	for name, answer := range tests {
		t.Run(name, func(t *testing.T) {
			rec := record(t, func(int, string) (string, bool) { return answer, false })
			f := serve(t, to(Config{}, rec.addr, nil), false)
			got := f.all(t, "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
			got = strings.ReplaceAll(got, "HTTP/1.1 102 evil\r\n\r\n", "")
			if !strings.HasPrefix(got, "HTTP/1.1 502 ") || strings.Contains(got, "evil") {
				t.Errorf("answer = %q; want 502", got)
			}
		})
	}
}

// TestBytesBehindAnAnswerAreNoAnswer: a backend that says more than it was
// asked must not have the rest taken for the answer to the next client.
func TestBytesBehindAnAnswerAreNoAnswer(t *testing.T) {
	evil := "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
	for name, answer := range map[string]string{
		"length": ok + evil,
		"chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + evil,
		"304":    "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n" + evil,
		"late":   ok,
	} {
		t.Run(name, func(t *testing.T) {
			addr := listen(t, func(c net.Conn) {
				r := bufio.NewReader(c)
				for {
					if _, err := readMessage(r); err != nil {
						return
					}
					_, _ = io.WriteString(c, answer)
					if name == "late" {
						time.Sleep(20 * time.Millisecond)
						_, _ = io.WriteString(c, evil)
					}
				}
			})
			f := serve(t, to(Config{}, addr, nil), false)
			for range 3 {
				got := f.all(t, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
				if strings.Contains(got, "evil") || strings.Count(got, "HTTP/1.1 ") != 1 {
					t.Errorf("answer = %q", got)
				}
				time.Sleep(40 * time.Millisecond) // the late bytes are there
			}
		})
	}
}

// strictBackend answers what net/http reads from each connection by itself, and
// keeps what it could not read. A message that breaks off is the end of its
// connection; it is no fault.
type strictBackend struct {
	addr   string
	mu     sync.Mutex
	faults []string
}

func newStrictBackend(t testing.TB) *strictBackend {
	t.Helper()
	b := &strictBackend{}
	b.addr = listen(t, func(c net.Conn) {
		var got bytes.Buffer
		r := bufio.NewReader(io.TeeReader(c, &got))
		for {
			req, err := http.ReadRequest(r)
			if err == nil {
				_, err = io.Copy(io.Discard, req.Body)
			}
			if err != nil {
				b.add(err, got.String())
				return
			}
			if _, err := io.WriteString(c, ok); err != nil {
				return
			}
		}
	})
	return b
}

func (b *strictBackend) add(err error, got string) {
	var network net.Error
	if err == io.EOF || err == io.ErrUnexpectedEOF || errors.As(err, &network) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = append(b.faults, fmt.Sprintf("%v in %q", err, got))
}

func (b *strictBackend) take() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	faults := b.faults
	b.faults = nil
	return faults
}

func TestStrictBackendFinds(t *testing.T) {
	for in, want := range map[string]int{
		"GET / HTTP/1.1\r\nHost: h\r\n\r\n":                                                   0,
		"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab":             0,
		"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nPOST / HTTP/1.1\r\n": 1,
		"GET / HTTP/1.1\r\nHost: h\r\n\r\nET / x\r\n\r\n":                                     1,
	} {
		b := newStrictBackend(t)
		c, err := net.Dial("tcp", b.addr)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, in)
		_ = c.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, c)
		_ = c.Close()
		if got := b.take(); len(got) != want {
			t.Errorf("%q: faults = %q; want %d", in, got, want)
		}
	}
}

// FuzzConversation sends arbitrary bytes through the engine. Whatever reaches
// the backend must be whole requests that net/http reads. A fault that shows
// late counts against a later input; its text has the bytes.
func FuzzConversation(f *testing.F) {
	for _, in := range anomalous() {
		f.Add([]byte(in))
	}
	f.Add([]byte("GET / HTTP/1.1\r\nHost: h\r\n\r\nPOST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"))
	f.Add([]byte("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\nGET / HTTP/1.0\r\n\r\n"))
	b := newStrictBackend(f)
	p := serve(f, to(Config{}, b.addr, nil), false)
	f.Fuzz(func(t *testing.T, in []byte) {
		c, err := net.Dial("tcp", p.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(patience))
		_, _ = c.Write(in)
		_ = c.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, c)
		for _, fault := range b.take() {
			t.Errorf("the backend cannot read: %s", fault)
		}
	})
}
