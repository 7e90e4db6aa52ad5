package web

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

func TestKeepAliveUsesOneConnectionOnBothSides(t *testing.T) {
	for _, withTLS := range []bool{false, true} {
		rec := record(t, always(ok))
		f := serve(t, to(Config{}, rec.addr, nil), withTLS)
		c := f.dial(t)
		r := bufio.NewReader(c)
		for range 5 {
			write(t, c, "GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
			msg, err := readMessage(r)
			if err != nil || msg != ok {
				t.Fatalf("answer = %q, %v; want %q", msg, err, ok)
			}
		}
		if n := rec.conns(); n != 1 {
			t.Errorf("%d connections to the backend; want 1", n)
		}
	}
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	rec := record(t, func(_ int, msg string) (string, bool) {
		body := strings.Fields(msg)[1]
		return "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + body, true
	})
	for _, withTLS := range []bool{false, true} {
		f := serve(t, to(Config{}, rec.addr, nil), withTLS)
		got := f.all(t, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nPOST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcPOST /3 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /4 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nGET /5 HTTP/1.1\r\nHost: h\r\n\r\n")
		h := "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
		want := h + "/1" + h + "/2" + h + "/3" + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n/4"
		if got != want {
			t.Errorf("answers = %q; want %q", got, want)
		}
	}
}

func TestRequestInPieces(t *testing.T) {
	rec := record(t, always(ok))
	f := serve(t, to(Config{}, rec.addr, nil), true)
	c := f.dial(t)
	in := "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\nX-Sum: 1\r\n\r\n"
	for i := range in {
		write(t, c, in[i:i+1])
	}
	if msg, err := readMessage(bufio.NewReader(c)); err != nil || msg != ok {
		t.Fatalf("answer = %q, %v; want %q", msg, err, ok)
	}
	got := rec.bytes()
	contains(t, got, "Transfer-Encoding: chunked\r\n", "0\r\nX-Sum: 1\r\n\r\n")
	if strings.Contains(got, "x=y") {
		t.Errorf("the extension reached the backend: %q", got)
	}
	if body := unchunk(t, got[strings.Index(got, "\r\n\r\n")+4:]); body != "hello world" {
		t.Errorf("body = %q; want hello world", body)
	}
}

// unchunk reads a chunked body that must be canonical.
func unchunk(t *testing.T, s string) string {
	t.Helper()
	var out strings.Builder
	for {
		line, rest, _ := strings.Cut(s, "\r\n")
		n := 0
		for _, c := range line {
			n = n*16 + strings.IndexRune("0123456789abcdef", c)
		}
		if n == 0 {
			return out.String()
		}
		out.WriteString(rest[:n])
		s = rest[n+2:]
	}
}

func TestLargeBodiesBothWays(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 1<<16) // 1 MiB
	chunked := "8000\r\n" + big[:0x8000] + "\r\n" + "f8000\r\n" + big[0x8000:] + "\r\n0\r\nX-End: 1\r\n\r\n"
	rec := record(t, func(_ int, msg string) (string, bool) {
		switch {
		case strings.HasPrefix(msg, "POST /sized"):
			return "HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n" + msg[len(msg)-len(big):], true
		case strings.HasPrefix(msg, "POST /chunked"):
			return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked, true
		}
		return "HTTP/1.0 200 OK\r\n\r\n" + big, false
	})
	for _, withTLS := range []bool{false, true} {
		f := serve(t, to(Config{}, rec.addr, nil), withTLS)
		c := f.dial(t)
		r := bufio.NewReader(c)
		for range 2 {
			write(t, c, "POST /sized HTTP/1.1\r\nHost: h\r\nContent-Length: 1048576\r\n\r\n"+big)
			if msg, err := readMessage(r); err != nil || !strings.HasSuffix(msg, "\r\n\r\n"+big) {
				t.Fatalf("sized: %d bytes, %v", len(msg), err)
			}
			write(t, c, "POST /chunked HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"+chunked)
			msg, err := readMessage(r)
			if err != nil || !strings.HasSuffix(msg, "0\r\nX-End: 1\r\n\r\n") {
				t.Fatalf("chunked: %d bytes, %v", len(msg), err)
			}
			if unchunk(t, msg[strings.Index(msg, "\r\n\r\n")+4:]) != big {
				t.Error("chunked: the body is another one")
			}
			write(t, c, "GET /close HTTP/1.1\r\nHost: h\r\n\r\n")
			if msg, err = readMessage(r); err != nil || unchunk(t, msg[strings.Index(msg, "\r\n\r\n")+4:]) != big {
				t.Fatalf("until close: %d bytes, %v", len(msg), err)
			}
		}
		if got := f.all(t, "GET /close HTTP/1.0\r\n\r\n"); !strings.HasSuffix(got, "\r\n\r\n"+big) || strings.Contains(got, "chunked") {
			t.Errorf("HTTP/1.0: %d bytes", len(got))
		}
		if got := f.all(t, "POST /chunked HTTP/1.0\r\nContent-Length: 0\r\n\r\n"); !strings.HasSuffix(got, "\r\n\r\n"+big) {
			t.Errorf("HTTP/1.0 of chunked: %d bytes", len(got))
		}
	}
}

func TestAnswersWithoutBody(t *testing.T) {
	rec := record(t, func(_ int, msg string) (string, bool) {
		switch strings.Fields(msg)[1] {
		case "/head":
			return "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true
		case "/204":
			return "HTTP/1.1 204 No Content\r\n\r\n", true
		case "/304":
			return "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", true
		case "/chunked":
			return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true
		}
		return "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true
	})
	f := serve(t, to(Config{}, rec.addr, nil), false)
	got := f.all(t, "HEAD /head HTTP/1.1\r\nHost: h\r\n\r\nGET /204 HTTP/1.1\r\nHost: h\r\n\r\nGET /304 HTTP/1.1\r\nHost: h\r\n\r\nHEAD /chunked HTTP/1.1\r\nHost: h\r\n\r\nGET /hints HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	want := "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\nHTTP/1.1 200 OK\r\n\r\n" +
		"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
	if got != want {
		t.Errorf("answers = %q; want %q", got, want)
	}
	if rec.conns() != 1 {
		t.Errorf("%d connections to the backend; want 1", rec.conns())
	}
}

func TestExpectationIsRelayed(t *testing.T) {
	answer := make(chan string, 1)
	addr := listen(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		for line := ""; line != "\r\n"; {
			var err error
			if line, err = r.ReadString('\n'); err != nil {
				return
			}
		}
		first := <-answer
		_, _ = io.WriteString(c, first)
		if strings.Contains(first, "417") {
			_, _ = io.Copy(io.Discard, r)
			return
		}
		body := make([]byte, 4)
		if _, err := io.ReadFull(r, body); err == nil {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\n"+string(body))
		}
	})
	f := serve(t, to(Config{}, addr, nil), false)
	for _, first := range []string{"HTTP/1.1 100 Continue\r\n\r\n", ""} {
		answer <- first // nothing: the proxy asks for the body itself after a second
		c := f.dial(t)
		r := bufio.NewReader(c)
		write(t, c, "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
		if msg, err := readMessage(r); err != nil || msg != "HTTP/1.1 100 Continue\r\n\r\n" {
			t.Fatalf("answer = %q, %v; want 100", msg, err)
		}
		write(t, c, "body")
		if msg, err := readMessage(r); err != nil || !strings.HasSuffix(msg, "body") {
			t.Fatalf("answer = %q, %v; want the body", msg, err)
		}
		_ = c.Close()
	}
	answer <- "HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n"
	got := f.all(t, "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
	if want := "HTTP/1.1 417 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"; got != want {
		t.Errorf("answer = %q; want %q", got, want)
	}
}

func TestUpgradeCarriesBytesBothWays(t *testing.T) {
	addr := listen(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		msg, err := readMessage(r)
		if err != nil || !strings.Contains(msg, "Connection: Upgrade\r\nUpgrade: websocket\r\n") {
			_, _ = io.WriteString(c, "HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n")
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
		_, _ = io.Copy(c, r)
	})
	for _, withTLS := range []bool{false, true} {
		l := newLog()
		f := serve(t, to(Config{Observer: l}, addr, nil), withTLS)
		c := f.dial(t)
		r := bufio.NewReader(c)
		write(t, c, "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		msg, err := readMessage(r)
		if want := "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"; err != nil || msg != want {
			t.Fatalf("answer = %q, %v; want %q", msg, err, want)
		}
		b := make([]byte, 5)
		if _, err := io.ReadFull(r, b); err != nil || string(b) != "hello" {
			t.Fatalf("first bytes = %q, %v", b, err)
		}
		for range 3 {
			write(t, c, "frame")
			if _, err := io.ReadFull(r, b); err != nil || string(b) != "frame" {
				t.Fatalf("echo = %q, %v", b, err)
			}
		}
		_ = c.Close()
		if rec := l.wait(t); rec.Status != 101 || !rec.Upgrade || rec.In != 15 || rec.Out != 20 || string(rec.Target) != "/ws" {
			t.Errorf("record = %d, in %d, out %d, %s", rec.Status, rec.In, rec.Out, rec.Target)
		}
	}
}

func TestBytesBehindARefusedUpgradeAreNoRequest(t *testing.T) {
	rec := record(t, always(ok))
	f := serve(t, to(Config{}, rec.addr, nil), false)
	got := f.all(t, "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nGET /hidden HTTP/1.1\r\nHost: h\r\n\r\n")
	if want := "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"; got != want {
		t.Errorf("answer = %q; want %q", got, want)
	}
	if strings.Contains(rec.bytes(), "hidden") {
		t.Error("bytes of another protocol reached the backend as a request")
	}
}

func TestEventsArePassedOnAtOnce(t *testing.T) {
	for _, withTLS := range []bool{false, true} {
		next, over := make(chan struct{}), make(chan struct{})
		addr := listen(t, func(c net.Conn) {
			defer close(over)
			r := bufio.NewReader(c)
			if _, err := readMessage(r); err != nil {
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
			for range next {
				if _, err := io.WriteString(c, "6\r\ndata\n\n\r\n"); err != nil {
					return
				}
			}
			_, _ = r.ReadByte() // the proxy closes when the client is gone
		})
		f := serve(t, to(Config{}, addr, nil), withTLS)
		c := f.dial(t)
		r := bufio.NewReader(c)
		write(t, c, "GET /events HTTP/1.1\r\nHost: h\r\n\r\n")
		for line := ""; line != "\r\n"; {
			var err error
			if line, err = r.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
		for range 3 {
			next <- struct{}{} // the event is there before the next one is sent
			b := make([]byte, len("6\r\ndata\n\n\r\n"))
			if _, err := io.ReadFull(r, b); err != nil {
				t.Fatal(err)
			}
		}
		close(next)
		_ = c.Close()
		select {
		case <-over:
		case <-time.After(patience):
			t.Fatal("the client is gone and the backend goes on")
		}
	}
}

func TestEarlyAnswerEndsTheUpload(t *testing.T) {
	addr := listen(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		for line := ""; line != "\r\n"; {
			var err error
			if line, err = r.ReadString('\n'); err != nil {
				return
			}
		}
		_, _ = io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
		_, _ = io.Copy(io.Discard, r)
	})
	f := serve(t, to(Config{}, addr, nil), false)
	c := f.dial(t)
	write(t, c, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\nsome")
	b, _ := io.ReadAll(c)
	if want := "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"; string(b) != want {
		t.Errorf("answer = %q; want %q", b, want)
	}
}

func TestOldClients(t *testing.T) {
	rec := record(t, always(ok))
	f := serve(t, to(Config{}, rec.addr, nil), false)
	if got, want := f.all(t, "GET / HTTP/1.0\r\n\r\n"), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"; got != want {
		t.Errorf("answer = %q; want %q", got, want)
	}
	c := f.dial(t)
	r := bufio.NewReader(c)
	for range 2 {
		write(t, c, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
		msg, err := readMessage(r)
		if want := "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok"; err != nil || msg != want {
			t.Errorf("answer = %q, %v; want %q", msg, err, want)
		}
	}
}

func TestIdleConnectionsToBackendsAreClosed(t *testing.T) {
	closed := make(chan struct{})
	addr := listen(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		if _, err := readMessage(r); err == nil {
			_, _ = io.WriteString(c, ok)
			_, _ = r.ReadByte()
			close(closed)
		}
	})
	f := serve(t, to(Config{}, addr, func(_ *Route, b *Backend) { b.Idle = 20 * time.Millisecond }), false)
	c := f.dial(t)
	write(t, c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	select {
	case <-closed:
	case <-time.After(patience):
		t.Error("the idle connection stays open")
	}
}
