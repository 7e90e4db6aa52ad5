package emit

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sidecar-kit/sidecar/internal/backoff"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// number is a page whose one sample is how often it was asked for.
func number() func(context.Context) model.Page {
	n := 0.0
	return func(context.Context) model.Page {
		n++
		return model.Page{Families: []model.Family{{Name: "n", Samples: []model.Sample{{Value: n}}}}}
	}
}

func lines(dst []byte, p *model.Page) ([]byte, model.Drops) {
	for _, f := range p.Families {
		for _, s := range f.Samples {
			dst = fmt.Appendf(dst, "%s %v\n", f.Name, s.Value)
		}
	}
	return dst, model.Drops{}
}

func mustNew(t *testing.T, o Options) *Emitter {
	t.Helper()
	o.Encode, o.Lines = lines, true
	e, err := New(o, number())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// fake is an output that fails as long as it is told to.
type fake struct {
	mu   sync.Mutex
	err  error
	slow time.Duration
	got  []string
}

func (f *fake) send(ctx context.Context, p *payload, _ *Stats) error {
	if !backoff.Sleep(ctx, f.slow) {
		return ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.got = append(f.got, strings.TrimSpace(string(p.body)))
	}
	return f.err
}

func (f *fake) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *fake) close() {}

// bubble runs an emitter with out in a bubble of time.
func bubble(t *testing.T, o Options, out *fake, fn func(e *Emitter)) *Emitter {
	var e *Emitter
	synctest.Test(t, func(t *testing.T) {
		o.URL = "udp://127.0.0.1:1"
		e = mustNew(t, o)
		e.out = out
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- e.Run(ctx) }()
		time.Sleep(time.Until(time.Now().Truncate(10 * time.Second).Add(10 * time.Second)))
		time.Sleep(time.Millisecond)
		fn(e)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return e
}

func TestPagesAreSentInTime(t *testing.T) {
	out := &fake{}
	e := bubble(t, Options{}, out, func(*Emitter) { time.Sleep(25 * time.Second) })
	if got := strings.Join(out.got, ","); got != "n 1,n 2,n 3,n 4" { // the last one is that of the end
		t.Errorf("sent %s", got)
	}
	if s := e.Stats(); s.Collected != 4 || s.Sent != 4 || s.Samples != 4 || s.Dropped != 0 {
		t.Errorf("%+v", s)
	}
}

func TestTheOldestIsDropped(t *testing.T) {
	out := &fake{err: errors.New("down")}
	e := bubble(t, Options{Queue: 3}, out, func(e *Emitter) {
		time.Sleep(100 * time.Second) // pages 1 to 11
		if s := e.Stats(); s.Queue != 3 || s.Dropped != 8 || s.Retries == 0 || s.LastError != "down" {
			t.Errorf("%+v", s)
		}
		out.set(nil)
		time.Sleep(2 * time.Minute)
	})
	if got := strings.Join(out.got[:3], ","); !strings.HasPrefix(got, "n ") || len(out.got) < 12 {
		t.Errorf("sent %v", out.got)
	}
	if s := e.Stats(); s.Collected != s.Sent+s.Dropped || s.LastError != "" {
		t.Errorf("%+v", s)
	}
}

func TestWhatIsLeftAtTheEndIsCounted(t *testing.T) {
	out := &fake{err: errors.New("down")}
	e := bubble(t, Options{Grace: 3 * time.Second}, out, func(*Emitter) {})
	if s := e.Stats(); s.Collected != 2 || s.Dropped != 2 || s.Queue != 0 {
		t.Errorf("%+v", s)
	}
}

func TestTheEndDoesNotWaitOutAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said []error
		e := mustNew(t, Options{URL: "udp://127.0.0.1:1", Interval: 10 * time.Second, Grace: 30 * time.Second, Retry: backoff.Policy{Min: time.Hour, Max: time.Hour}, Said: func(err error) { said = append(said, err) }})
		f := &fake{err: errors.New("refused")}
		e.out = f
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); _ = e.Run(ctx) }()
		time.Sleep(15 * time.Second)
		f.mu.Lock()
		f.err = nil
		f.mu.Unlock()
		begun := time.Now()
		stop()
		<-done
		if s := e.Stats(); s.Dropped != 0 || s.Sent != 2 || time.Since(begun) > 2*time.Second {
			t.Errorf("stats = %+v after %s; want both payloads sent at once: the receiver is there again", s, time.Since(begun))
		}
		if len(said) != 3 || said[0] == nil || said[1] != nil {
			t.Errorf("said %v; want one failure and two successes", said)
		}
	})
}

func TestRefusedPayloadsAreNotTriedAgain(t *testing.T) {
	out := &fake{err: refused{errors.New("no")}}
	e := bubble(t, Options{}, out, func(*Emitter) {})
	if s := e.Stats(); s.Refused != 2 || s.Retries != 0 || s.Dropped != 0 {
		t.Errorf("%+v", s)
	}
}

func TestSlowReceiversDoNotDelayCollecting(t *testing.T) {
	out := &fake{slow: time.Hour}
	e := bubble(t, Options{Timeout: 9 * time.Second}, out, func(*Emitter) { time.Sleep(35 * time.Second) })
	if s := e.Stats(); s.Collected != 5 {
		t.Errorf("%+v; want 5 pages", s)
	}
}

// once sends a page by e.
func once(t *testing.T, e *Emitter) (*payload, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	p := &payload{body: []byte("n 1\nn 2\nn 3\n")}
	var s Stats
	err := e.out.send(ctx, p, &s)
	e.stats.Partial += s.Partial
	return p, err
}

func TestHTTP(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	status, header, body := 204, http.Header{}, ""
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header = r.Header
		z, err := gzip.NewReader(r.Body)
		if err == nil {
			data, _ := io.ReadAll(z)
			body = string(data)
		}
		w.Header().Set("Retry-After", "7")
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		if status != 204 {
			fmt.Fprint(w, "why\nnot")
		}
	}))
	defer srv.Close()
	e := mustNew(t, Options{
		URL: srv.URL + "/write", Gzip: true, Type: "text/plain", Headers: [][2]string{{"X-Org", "a"}}, Files: [][3]string{{"Authorization", "Token ", token}},
		Partial: func(b []byte) uint64 { return uint64(len(b)) },
	})
	if _, err := once(t, e); err != nil || body != "n 1\nn 2\nn 3\n" || header.Get("Authorization") != "Token s3cret" || header.Get("X-Org") != "a" || header.Get("Content-Type") != "text/plain" {
		t.Errorf("send = %v; %q with %v", err, body, header)
	}
	for _, status = range []int{429, 500, 503} {
		_, err := once(t, e)
		if l, ok := errors.AsType[later](err); !ok || l.wait != 7*time.Second {
			t.Errorf("%d: %v; want to wait 7 s", status, err)
		}
	}
	for _, status = range []int{302, 400, 401, 404, 413} {
		_, err := once(t, e)
		if _, ok := errors.AsType[refused](err); !ok || !strings.Contains(err.Error(), "why not") {
			t.Errorf("%d: %v; want it refused", status, err)
		}
	}
	status = 200
	if _, err := once(t, e); err != nil || e.stats.Partial != 7 {
		t.Errorf("%v, partial %d; want 7", err, e.stats.Partial)
	}
	srv.Close()
	if _, err := once(t, e); err == nil {
		t.Error("nobody is there, and send = nil")
	}
	if err := os.Remove(token); err != nil {
		t.Fatal(err)
	}
	if _, err := once(t, e); err == nil || !strings.Contains(err.Error(), token) {
		t.Errorf("without a token: %v; want its name", err)
	}
}

func TestDatagramsAreWholeLines(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	e := mustNew(t, Options{URL: "udp://" + conn.LocalAddr().String(), Packet: 9})
	if p, err := once(t, e); err != nil || p.from != len(p.body) {
		t.Fatal(err)
	}
	for _, want := range []string{"n 1\nn 2\n", "n 3\n"} {
		buffer := make([]byte, 100)
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		n, _, err := conn.ReadFrom(buffer)
		if got := string(buffer[:n]); err != nil || got != want {
			t.Errorf("datagram %q, %v; want %q", got, err, want)
		}
	}
}

func TestStreamsAreOpenedAgain(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	e := mustNew(t, Options{URL: "tcp://" + l.Addr().String()})
	for range 3 {
		if _, err := once(t, e); err != nil {
			t.Fatal(err)
		}
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		buffer := make([]byte, 12)
		if _, err := io.ReadFull(conn, buffer); err != nil || string(buffer) != "n 1\nn 2\nn 3\n" {
			t.Errorf("%q, %v", buffer, err)
		}
		conn.Close()
		for deadline := time.Now().Add(20 * time.Second); !e.out.(*socket).gone() && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
	}
}

func TestAddressesAreChecked(t *testing.T) {
	for _, bad := range []string{"", "host:1", "udp://host", "udp://", "ftp://x", "http://", "https://u:p@host/", "unix://", "://"} {
		if _, err := New(Options{URL: bad, Lines: true}, nil); err == nil {
			t.Errorf("New(%q) = nil; want an error", bad)
		}
	}
	if _, err := New(Options{URL: "udp://127.0.0.1:1"}, nil); err == nil {
		t.Error("datagrams of what are no lines: nil; want an error")
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{"5": 5 * time.Second, "Tue, 01 Jan 2030 00:00:09 GMT": 9 * time.Second, "Tue, 01 Jan 2029 00:00:09 GMT": 0, "99999": mostWait} {
		if got, ok := retryAfter(text, now); !ok || got != want {
			t.Errorf("retryAfter(%q) = %s, %v; want %s", text, got, ok, want)
		}
	}
	for _, bad := range []string{"", "x", "-1"} {
		if _, ok := retryAfter(bad, now); ok {
			t.Errorf("retryAfter(%q) is something", bad)
		}
	}
}
