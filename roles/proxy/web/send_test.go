package web

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/roles/proxy/wire"
)

// content is a Source.
type content struct {
	io.Reader
	trailers []wire.Field
}

func (t *content) Trailers() []wire.Field { return t.trailers }
func (t *content) Close() error           { return nil }

func body(s string, trailers ...wire.Field) *content { return &content{strings.NewReader(s), trailers} }

// sink keeps an answer.
type sink struct {
	interim, status int
	head            string
	body            strings.Builder
	trailers        string
	ended           bool
}

func (s *sink) Interim(r *wire.Response) error { s.interim = r.Status; return nil }

func (s *sink) Head(r *wire.Response) error {
	s.status = r.Status
	for _, f := range r.Fields {
		s.head += string(f.Name) + ": " + string(f.Value) + "\n"
	}
	return nil
}

func (s *sink) Write(p []byte) (int, error) { return s.body.Write(p) }

func (s *sink) End(list []wire.Field) error {
	s.ended = true
	for _, f := range list {
		s.trailers += string(f.Name) + "=" + string(f.Value)
	}
	return nil
}

func parse(t testing.TB, head string) *wire.Request {
	t.Helper()
	r := new(wire.Request)
	if n, err := r.Parse([]byte(head), wire.Limits{}); err != nil || n != len(head) {
		t.Fatalf("Parse(%q) = %d, %v", head, n, err)
	}
	return r
}

func (f *front) send(t testing.TB, head string, b *content) (*sink, error) {
	t.Helper()
	s := &sink{}
	x := &Front{Request: parse(t, head), Client: &Client{Addr: netip.MustParseAddrPort("192.0.2.1:1")}, Sink: s, Major: 2}
	if b != nil {
		x.Body = b
	}
	return s, f.Send(t.Context(), x)
}

func TestSendReachesBackendsOfHTTP1(t *testing.T) {
	rec := record(t, func(_ int, msg string) (string, bool) {
		if strings.HasPrefix(msg, "GET /torn") {
			return "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart", false
		}
		return "HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n", true
	})
	f := serve(t, to(Config{}, rec.addr, nil), false)
	s, err := f.send(t, "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", body("hello", wire.Field{Name: []byte("x-sum"), Value: []byte("5")}))
	if err != nil || s.status != 200 || s.interim != 103 || s.body.String() != "abc" || !s.ended || s.trailers != "X-T=1" {
		t.Errorf("answer = %d %d %q %q, %v", s.interim, s.status, s.body.String(), s.trailers, err)
	}
	contains(t, rec.bytes(), "POST /a HTTP/1.1\r\n", "X-Forwarded-For: 192.0.2.1\r\n", "5\r\nhello\r\n0\r\nx-sum: 5\r\n\r\n")
	s, err = f.send(t, "POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n", body("world"))
	if err != nil || s.status != 200 {
		t.Errorf("answer = %d, %v", s.status, err)
	}
	contains(t, rec.bytes(), "Content-Length: 5\r\n", "\r\n\r\nworld")
	if rec.conns() != 1 {
		t.Errorf("%d connections to the backend; want 1", rec.conns())
	}
	if s, err = f.send(t, "GET /torn HTTP/1.1\r\nHost: h\r\n\r\n", nil); !errors.Is(err, ErrTorn) || s.ended {
		t.Errorf("a torn answer gives %v, ended %v; want ErrTorn", err, s.ended)
	}
	if s, err = f.send(t, "POST /short HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n", body("short")); s.status == 200 {
		t.Errorf("a short body gives %d, %v", s.status, err)
	}
}

// TestBothFrontsShareMemory: an exchange that served HTTP/1 serves another front next.
func TestBothFrontsShareMemory(t *testing.T) {
	rec := record(t, always("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
	f := serve(t, to(Config{}, rec.addr, nil), false)
	for range 20 { // the pool forgets at times
		contains(t, f.all(t, "GET /one HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"), "200 OK")
		if s, err := f.send(t, "GET /two HTTP/1.1\r\nHost: h\r\n\r\n", nil); err != nil || s.status != 200 || s.body.String() != "ok" {
			t.Fatalf("answer = %d %q, %v", s.status, s.body.String(), err)
		}
	}
}

func TestSendAnswersByItself(t *testing.T) {
	s := New(Config{Tick: 20 * time.Millisecond})
	f := serve(t, s, false)
	got, err := f.send(t, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", nil)
	if err != nil || got.status != 404 || !got.ended {
		t.Errorf("answer = %d, %v; want 404", got.status, err)
	}
}

// mirror is an Upstream that answers with the request's body.
type mirror struct{ heads chan string }

func (m mirror) RoundTrip(ctx context.Context, r *wire.Request, b Source, _ func(*wire.Response) error) (Answer, error) {
	m.heads <- string(r.Method) + " " + string(r.Target)
	if string(r.Target) == "/fail" {
		return nil, errors.New("no")
	}
	if string(r.Target) == "/hang" {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	a := &mirrored{src: b}
	if string(r.Target) != "/a" && b != nil { // the others do not answer before they have all
		all, err := io.ReadAll(b)
		if err != nil {
			return nil, err
		}
		a.src = &content{strings.NewReader(string(all)), b.Trailers()}
	}
	_, err := a.head.Parse([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), r.Method, wire.Limits{})
	return a, err
}

type mirrored struct {
	head wire.Response
	src  Source
}

func (m *mirrored) Head() *wire.Response { return &m.head }
func (m *mirrored) Close() error         { return nil }

func (m *mirrored) Read(p []byte) (int, error) {
	if m.src == nil {
		return 0, io.EOF
	}
	return m.src.Read(p)
}

func (m *mirrored) Trailers() []wire.Field {
	if m.src == nil {
		return nil
	}
	return m.src.Trailers()
}

func TestUpstreamsBehindBothFronts(t *testing.T) {
	up := mirror{make(chan string, 10)}
	l := newLog()
	f := serve(t, to(Config{Observer: l}, "", func(r *Route, b *Backend) {
		b.H2 = up
		r.Limits.Response = 300 * time.Millisecond
	}), false)
	s, err := f.send(t, "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", body("hello", wire.Field{Name: []byte("x-t"), Value: []byte("1")}))
	if err != nil || s.status != 200 || s.body.String() != "hello" || s.trailers != "x-t=1" {
		t.Errorf("answer = %d %q %q, %v", s.status, s.body.String(), s.trailers, err)
	}
	got := f.all(t, "POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\nGET /c HTTP/1.1\r\nHost: h\r\n\r\nGET /fail HTTP/1.1\r\nHost: h\r\n\r\nPOST /d HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc")
	h := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	if want := h + "5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n" + h + "0\r\n\r\nHTTP/1.1 502 "; !strings.HasPrefix(got, want) {
		t.Errorf("answers = %q; want %q first", got, want)
	}
	if want := "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc"; !strings.HasSuffix(got, want) {
		t.Errorf("answers = %q; want %q last", got, want)
	}
	contains(t, f.all(t, "GET /hang HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"), "HTTP/1.1 504 "+http.StatusText(http.StatusGatewayTimeout))
	for _, want := range []string{"/a", "/b", "/c", "/fail", "/d", "/hang"} {
		if r := l.wait(t); string(r.Target) != want {
			t.Errorf("record of %s; want %s", r.Target, want)
		}
	}
}

// TestFrontsTakeTurns: clients of HTTP/1 and HTTP/2 share the memory of a listener, and nothing of one may matter to the other.
func TestFrontsTakeTurns(t *testing.T) {
	rec := record(t, always(ok))
	f := serve(t, to(Config{}, rec.addr, nil), false)
	for range 50 {
		got := f.all(t, "POST /one HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody")
		if !strings.HasSuffix(got, "\r\n\r\nok") {
			t.Fatalf("HTTP/1: %q", got)
		}
		s, err := f.send(t, "POST /two HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n", body("body"))
		if err != nil || s.status != 200 || s.body.String() != "ok" {
			t.Fatalf("HTTP/2: %d %q, %v", s.status, s.body.String(), err)
		}
	}
}
