package loki

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	reference "github.com/klauspost/compress/snappy"

	"github.com/sidecar-kit/sidecar/internal/proto"
	"github.com/sidecar-kit/sidecar/roles/logship/out"
	"github.com/sidecar-kit/sidecar/roles/logship/out/outtest"
	"github.com/sidecar-kit/sidecar/roles/logship/out/web"
	"github.com/sidecar-kit/sidecar/roles/logship/record"
)

// server is as strict as Loki: what it cannot read is 400, and of equal entries one is stored.
type server struct {
	*httptest.Server
	mu      sync.Mutex
	entries map[string]string // by stream, time and line: metadata
	sent    int
	tenant  string
	status  int
}

func start(t *testing.T) *server {
	s := &server{entries: map[string]string{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tenant = r.Header.Get("X-Scope-OrgID")
	body, _ := io.ReadAll(r.Body)
	raw, err := reference.Decode(nil, body)
	if err != nil || r.URL.Path != "/loki/api/v1/push" || r.Header.Get("Content-Type") != "application/x-protobuf" || s.status != 0 {
		http.Error(w, fmt.Sprint("no: ", err), max(s.status, 400))
		return
	}
	err = proto.Each(raw, func(field int, _ uint64, stream []byte) error {
		labels := ""
		return proto.Each(stream, func(field int, _ uint64, value []byte) error {
			if field == 1 {
				labels = string(value)
				return nil
			}
			return s.entry(labels, value)
		})
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *server) entry(labels string, entry []byte) error {
	var when [3]uint64
	var line, meta string
	s.sent++
	err := proto.Each(entry, func(field int, _ uint64, value []byte) error {
		switch field {
		case 1:
			return proto.Each(value, func(f int, n uint64, _ []byte) error { when[f] = n; return nil })
		case 2:
			line = string(value)
		case 3:
			return proto.Each(value, func(f int, _ uint64, v []byte) error { meta += string(v) + " "; return nil })
		}
		return nil
	})
	s.entries[fmt.Sprintf("%s %d.%09d %s", labels, when[1], when[2], line)] = meta
	return err
}

func sink(t *testing.T, s *server, change ...func(*Config)) *Sink {
	t.Helper()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	o := Config{Web: web.Config{Targets: []*url.URL{u}}}
	for _, c := range change {
		c(&o)
	}
	l, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestStreams(t *testing.T) {
	s := start(t)
	l := sink(t, s, func(o *Config) {
		o.Tenant = "blue"
		o.Labels = [][2]string{{"team", "%{team}"}, {"level", "%{level}"}, {"app", `a "b"`}}
		o.Metadata = [][2]string{{"file", "%{file}"}}
	})
	f := outtest.File()
	b := &out.Batch{ID: "x"}
	for i, level := range []record.Level{record.Info, record.Error, record.Info} {
		r := &record.Record{File: f, Offset: int64(i) * 10, Read: outtest.Read.UnixNano(), Level: level, Message: []byte("line \xff")}
		outtest.Append(t, l, b, r)
	}
	for range 2 { // the answer was lost, for one
		outtest.Deliver(t, l, b, 1)
	}
	want := []string{
		`{app="a \"b\"", level="info", team="unknown"} 1767323045.678000000 line ` + "\uFFFD",
		`{app="a \"b\"", level="error", team="unknown"} 1767323045.678000010 line ` + "\uFFFD",
		`{app="a \"b\"", level="info", team="unknown"} 1767323045.678000020 line ` + "\uFFFD",
	}
	for _, w := range want {
		if s.entries[w] != "file app.log " {
			t.Errorf("entries = %q; want %q with metadata", s.entries, w)
		}
	}
	if len(s.entries) != 3 || s.sent != 6 || s.tenant != "blue" {
		t.Errorf("%d entries of %d, tenant %q; want 3 of 6, blue", len(s.entries), s.sent, s.tenant)
	}
}

func TestManyEventsAndParts(t *testing.T) {
	s := start(t)
	l := sink(t, s)
	b := outtest.Batch(t, l, 0, 2000)
	outtest.Deliver(t, l, b, 1)
	var odd []int
	for i := 1; i < 2000; i += 2 {
		odd = append(odd, i)
	}
	outtest.Deliver(t, l, b.Sub(odd, "-r"), 1)
	if len(s.entries) != 2000 || s.sent != 3000 {
		t.Errorf("%d entries of %d; want 2000 of 3000", len(s.entries), s.sent)
	}
	for e := range s.entries {
		if !strings.HasPrefix(e, `{filename="/var/log/app/app.log", input="app"} 1767323045.67`) {
			t.Fatalf("entry %q; want the default labels", e)
		}
	}
}

func TestUniqueTimes(t *testing.T) {
	f := outtest.File()
	for _, tt := range []struct{ time, read, offset, want int64 }{
		{0, 1_234_567_891, 77, 1_234_000_077}, {5_000_000, 9, 1_000_077, 5_000_077}, {5_001_000, 9, 1_077, 5_001_077}, {5_001_001, 9, 77, 5_001_001},
	} {
		r := &record.Record{File: f, Time: tt.time, Read: tt.read, Offset: tt.offset}
		if got := unique(r); got != tt.want {
			t.Errorf("unique(%+v) = %d; want %d", tt, got, tt.want)
		}
	}
}

func TestNewRefusesLabels(t *testing.T) {
	for _, bad := range [][][2]string{{{"a-b", "x"}}, {{"1", "x"}}, {{"", "x"}}, {{"a", "%q"}}, {{"a", "x"}, {"a", "y"}}} {
		if _, err := New(Config{Labels: bad, Web: web.Config{Targets: []*url.URL{{Scheme: "http", Host: "x"}}}}); err == nil {
			t.Errorf("New(%v) = nil; want an error", bad)
		}
	}
}

func TestRefusalIsHalved(t *testing.T) {
	s := start(t)
	s.status = 400
	l := sink(t, s)
	if got := outtest.Deliver(t, l, outtest.Batch(t, l, 0, 4), 20); got != 4 {
		t.Errorf("%d rejected; want 4", got)
	}
}
