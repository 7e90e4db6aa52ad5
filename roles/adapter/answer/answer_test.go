package answer

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/internal/proto"
	"github.com/sidecar-kit/sidecar/roles/adapter/check"
)

// fixture has a check "db" of ready that follows well, "disk" of live and "slow" of ready and batch, which are well.
func fixture(t *testing.T) (*Handler, *atomic.Bool) {
	t.Helper()
	var well atomic.Bool
	spec := func(name string, do check.Doer, groups ...string) *check.Spec {
		return &check.Spec{Name: name, Kind: "exec", Every: 5 * time.Millisecond, Timeout: 20 * time.Second, MaxAge: time.Minute, Rise: 1, Fall: 1, Groups: groups, Do: do}
	}
	fine := func(context.Context) check.Result { return check.Result{OK: true, Detail: "fine", Value: "7"} }
	b := check.New([]*check.Spec{
		spec("db", func(context.Context) check.Result {
			return check.Result{OK: well.Load(), Detail: "db.internal said no"}
		}, Ready),
		spec("disk", fine, Live), spec("slow", fine, Ready, "batch"),
	}, nil, nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); b.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	h := New(b)
	until(t, func() bool {
		for _, st := range b.States() {
			if !st.Known {
				return false
			}
		}
		return true
	})
	return h, &well
}

func until(t *testing.T, fn func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !fn(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not within 30 s")
		}
	}
}

func ask(h http.Handler, target, accept string) (int, string) {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestEndpoints(t *testing.T) {
	h, well := fixture(t)
	tests := []struct {
		target string
		down   int // status while db is not well
		up     int
	}{
		{"/livez", 200, 200}, {"/readyz", 503, 200}, {"/healthz", 503, 200}, {"/health", 503, 200}, {"/readyz?exclude=db", 200, 200}, {"/readyz/db", 503, 200},
		{"/readyz/slow", 200, 200}, {"/health/batch", 200, 200}, {"/health/ready", 503, 200}, {"/health/nobody", 404, 404}, {"/livez/db", 503, 200}, {"/startupz", 200, 200},
	}
	for _, tt := range tests {
		if got, body := ask(h, tt.target, ""); got != tt.down {
			t.Errorf("%s = %d %q; want %d while db is down", tt.target, got, body, tt.down)
		}
	}
	if _, body := ask(h, "/readyz?verbose", ""); body != "[-] db: db.internal said no\n[+] slow: fine\nfailed\n" {
		t.Errorf("verbose = %q", body)
	}
	h.Trusted = func(*http.Request) bool { return false }
	if _, body := ask(h, "/readyz?verbose", ""); body != "[-] db\n[+] slow\nfailed\n" {
		t.Errorf("verbose for strangers = %q", body)
	}
	well.Store(true)
	until(t, func() bool { code, _ := ask(h, "/readyz", ""); return code == 200 })
	for _, tt := range tests {
		if got, body := ask(h, tt.target, ""); got != tt.up {
			t.Errorf("%s = %d %q; want %d while db is up", tt.target, got, body, tt.up)
		}
	}
	if _, body := ask(h, "/readyz", ""); body != "ok\n" {
		t.Errorf("body = %q; want ok", body)
	}
}

func TestStartupStaysTrue(t *testing.T) {
	var well atomic.Bool
	b := check.New([]*check.Spec{{
		Name: "a", Every: time.Millisecond, Timeout: 20 * time.Second, MaxAge: time.Minute, Rise: 1, Fall: 1, Groups: []string{Startup},
		Do: func(context.Context) check.Result { return check.Result{OK: well.Load()} },
	}}, nil, nil)
	go b.Run(t.Context())
	h := New(b)
	if code, _ := ask(h, "/startupz", ""); code != 503 {
		t.Errorf("before = %d; want 503", code)
	}
	well.Store(true)
	until(t, func() bool { code, _ := ask(h, "/startupz", ""); return code == 200 })
	well.Store(false)
	until(t, func() bool { code, _ := ask(h, "/healthz", ""); return code == 503 })
	if code, _ := ask(h, "/startupz", ""); code != 200 {
		t.Errorf("after = %d; want 200", code)
	}
}

func TestHealthJSON(t *testing.T) {
	h, _ := fixture(t)
	code, body := ask(h, "/readyz", "application/health+json")
	var d document
	if err := json.Unmarshal([]byte(body), &d); err != nil {
		t.Fatal(err)
	}
	if code != 503 || d.Status != "fail" || d.Checks["db"][0].Output != "db.internal said no" || d.Checks["slow"][0].Status != "pass" || d.Checks["slow"][0].Observed != "7" {
		t.Errorf("answer = %d %s", code, body)
	}
	h.Trusted = func(*http.Request) bool { return false }
	if _, body := ask(h, "/readyz?format=json", ""); strings.Contains(body, "internal") || !strings.Contains(body, `"fail"`) {
		t.Errorf("for strangers = %s", body)
	}
}

func grpcServer(t *testing.T, h *Handler) (*http.Client, string) {
	t.Helper()
	s := httptest.NewUnstartedServer(h.GRPC())
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	c := &http.Client{Transport: &http.Transport{Protocols: p}}
	t.Cleanup(func() { c.CloseIdleConnections(); s.Close() })
	return c, s.URL
}

func call(t *testing.T, c *http.Client, url, method string, request []byte) (code string, message []byte) {
	t.Helper()
	answer, err := c.Post(url+GRPCPath+method, "application/grpc", bytes.NewReader(request))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	code = answer.Trailer.Get("Grpc-Status")
	if len(body) >= 5 {
		message = body[5:]
	}
	return code, message
}

func request(service string) []byte { return frame(proto.Bytes(nil, 1, service)) }

func TestGRPCCheck(t *testing.T) {
	h, well := fixture(t)
	c, url := grpcServer(t, h)
	for _, tt := range []struct {
		service, code string
		status        byte
	}{{"", "0", notServing}, {"live", "0", serving}, {"db", "0", notServing}, {"slow", "0", serving}, {"batch", "0", serving}, {"nobody", "5", 0}} {
		code, message := call(t, c, url, "Check", request(tt.service))
		if code != tt.code || tt.status != 0 && !bytes.Equal(message, []byte{8, tt.status}) {
			t.Errorf("Check(%q) = code %s, %v; want code %s, status %d", tt.service, code, message, tt.code, tt.status)
		}
	}
	well.Store(true)
	until(t, func() bool { _, m := call(t, c, url, "Check", request("")); return bytes.Equal(m, []byte{8, serving}) })
	if code, m := call(t, c, url, "List", request("")); code != "0" || !bytes.Contains(m, []byte("batch")) {
		t.Errorf("List = %s, %q", code, m)
	}
	for name, bad := range map[string][]byte{"nothing": nil, "half": {0, 0, 0, 0, 9, 1}, "compressed": {1, 0, 0, 0, 0}, "huge": {0, 255, 0, 0, 0}} {
		if code, _ := call(t, c, url, "Check", bad); code != "3" {
			t.Errorf("Check with %s = code %s; want 3", name, code)
		}
	}
	if code, _ := call(t, c, url, "Fly", request("")); code != "12" {
		t.Errorf("Fly = code %s; want 12", code)
	}
}

func TestGRPCWatch(t *testing.T) {
	h, well := fixture(t)
	c, url := grpcServer(t, h)
	answer, err := c.Post(url+GRPCPath+"Watch", "application/grpc", bytes.NewReader(request("db")))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	for _, want := range []byte{notServing, serving, notServing} {
		var head [5]byte
		if _, err := io.ReadFull(answer.Body, head[:]); err != nil {
			t.Fatal(err)
		}
		m := make([]byte, binary.BigEndian.Uint32(head[1:]))
		if _, err := io.ReadFull(answer.Body, m); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(m, []byte{8, want}) {
			t.Errorf("Watch said %v; want %d", m, want)
		}
		well.Store(want == notServing)
	}
}

func TestAnotherBoardIsToldToWhoWatches(t *testing.T) {
	h, _ := fixture(t)
	c, url := grpcServer(t, h)
	answer, err := c.Post(url+GRPCPath+"Watch", "application/grpc", bytes.NewReader(request("db")))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	next := func() (m [7]byte) {
		if _, err := io.ReadFull(answer.Body, m[:]); err != nil {
			t.Fatal(err)
		}
		return m
	}
	if m := next(); m[6] != notServing {
		t.Errorf("before = %v; want not serving", m)
	}
	spec := &check.Spec{Name: "db", Every: time.Minute, Timeout: 20 * time.Second, MaxAge: time.Hour, Rise: 1, Fall: 1, Groups: []string{Startup}, Do: func(context.Context) check.Result { return check.Result{OK: true} }}
	b := check.New([]*check.Spec{spec}, nil, nil)
	go b.Run(t.Context())
	h.Use(b)
	if m := next(); m[6] != serving {
		t.Errorf("of the other board = %v; want serving", m)
	}
	h.Close()
	if m := next(); m[6] != notServing {
		t.Errorf("at the end = %v; want not serving", m)
	}
	if _, err := io.ReadAll(answer.Body); err != nil || answer.Trailer.Get("Grpc-Status") != "14" {
		t.Errorf("trailer = %v, %v; want code 14", answer.Trailer, err)
	}
}

func FuzzReadRequest(f *testing.F) {
	f.Add(request("db"))
	f.Add([]byte{0, 0, 0, 0, 2, 0x0a, 9})
	f.Fuzz(func(t *testing.T, in []byte) {
		if service, ok := readRequest(bytes.NewReader(in)); ok && len(service) > maxRequest {
			t.Errorf("a name of %d bytes", len(service))
		}
	})
}

// TestWatchersAreToldOfTheEnd: who saw serving hears that it is not any more; who saw nothing of the kind hears the end of the stream only.
func TestWatchersAreToldOfTheEnd(t *testing.T) {
	h, _ := fixture(t)
	c, url := grpcServer(t, h)
	type watcher struct {
		name  string
		first byte
		more  []byte
		body  *http.Response
	}
	list := []watcher{{name: "live", first: serving, more: frame([]byte{8, notServing})}, {name: "db", first: notServing}, {name: "nobody", first: serviceUnknown}}
	for i := range list {
		answer, err := c.Post(url+GRPCPath+"Watch", "application/grpc", bytes.NewReader(request(list[i].name)))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		var m [7]byte
		if _, err := io.ReadFull(answer.Body, m[:]); err != nil || m[6] != list[i].first {
			t.Fatalf("%s: %v, %v; want %d", list[i].name, m, err, list[i].first)
		}
		list[i].body = answer
	}
	h.Close()
	for _, w := range list {
		rest, err := io.ReadAll(w.body.Body)
		if err != nil || !bytes.Equal(rest, w.more) || w.body.Trailer.Get("Grpc-Status") != "14" {
			t.Errorf("%s: then %v, %v, status %s; want %v and status 14", w.name, rest, err, w.body.Trailer.Get("Grpc-Status"), w.more)
		}
	}
}
