package otlp

import (
	"compress/gzip"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/sidecar-kit/sidecar/internal/proto"
	"github.com/sidecar-kit/sidecar/roles/logship/out"
	"github.com/sidecar-kit/sidecar/roles/logship/out/outtest"
	"github.com/sidecar-kit/sidecar/roles/logship/out/web"
	"github.com/sidecar-kit/sidecar/roles/logship/record"
)

// attr prints a KeyValue as key=type:value.
func attr(t *testing.T, kv []byte) string {
	key, text := "", ""
	each(t, kv, func(f int, _ uint64, v []byte) {
		if f == 1 {
			key = string(v)
			return
		}
		each(t, v, func(f int, n uint64, v []byte) {
			switch f {
			case 1:
				text = "s:" + string(v)
			case 4:
				text = fmt.Sprint("f:", math.Float64frombits(n))
			default:
				text = fmt.Sprintf("%d:%d", f, int64(n))
			}
		})
	})
	return key + "=" + text
}

func each(t *testing.T, msg []byte, fn func(int, uint64, []byte)) {
	t.Helper()
	if err := proto.Each(msg, func(f int, n uint64, v []byte) error { fn(f, n, v); return nil }); err != nil {
		t.Errorf("message %q: %v", msg, err)
	}
}

// server collects log records as text; answer is what it says.
type server struct {
	*httptest.Server
	resource []string
	records  []string
	answer   []byte
}

func start(t *testing.T) *server {
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var from io.Reader = r.Body
		if r.Header.Get("Content-Encoding") == "gzip" {
			from, _ = gzip.NewReader(r.Body)
		}
		body, _ := io.ReadAll(from)
		if r.URL.Path != "/v1/logs" || r.Header.Get("Content-Type") != "application/x-protobuf" {
			t.Errorf("%s with %s", r.URL.Path, r.Header.Get("Content-Type"))
		}
		each(t, body, func(_ int, _ uint64, logs []byte) {
			each(t, logs, func(f int, _ uint64, v []byte) {
				if f == 1 {
					s.resource = s.resource[:0]
					each(t, v, func(_ int, _ uint64, kv []byte) { s.resource = append(s.resource, attr(t, kv)) })
					return
				}
				each(t, v, func(f int, _ uint64, v []byte) {
					if f == 2 {
						s.records = append(s.records, show(t, v))
					}
				})
			})
		})
		w.Header().Set("Content-Type", "application/x-protobuf")
		_, _ = w.Write(s.answer)
	}))
	t.Cleanup(s.Close)
	return s
}

func show(t *testing.T, rec []byte) string {
	var parts []string
	each(t, rec, func(f int, n uint64, v []byte) {
		switch f {
		case 1, 2, 11:
			parts = append(parts, fmt.Sprintf("%d:%d", f, n))
		case 5:
			each(t, v, func(_ int, _ uint64, v []byte) { parts = append(parts, "body:"+string(v)) })
		case 6:
			parts = append(parts, attr(t, v))
		default:
			parts = append(parts, fmt.Sprintf("%d:%x", f, v))
		}
	})
	return strings.Join(parts, " ")
}

func sink(t *testing.T, s *server, pack bool) *Sink {
	t.Helper()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	o, err := New(Config{Web: web.Config{Targets: []*url.URL{u}, Gzip: pack}, Resource: [][2]string{{"service.name", "shop"}}, Scope: "x"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.Close() })
	return o
}

func TestRecord(t *testing.T) {
	s := start(t)
	o := sink(t, s, true)
	r := &record.Record{
		File: outtest.File(), Offset: 72, Read: 1000, Time: 2000, Level: record.Warn, Message: []byte(`a\n\u00e9`), Kind: record.Escaped,
		Fields: []record.Field{
			{Key: "n", Value: []byte("-5"), Kind: record.Literal}, {Key: "f", Value: []byte("1.5"), Kind: record.Literal},
			{Key: "t", Value: []byte("true"), Kind: record.Literal}, {Key: "z", Value: []byte("null"), Kind: record.Literal},
			{Key: "o", Value: []byte(`{"a":1}`), Kind: record.Nested}, {Key: "e", Value: []byte(`\"`), Kind: record.Escaped},
			{Key: "trace.id", Value: []byte("00112233445566778899aabbccddeeff")}, {Key: "span_id", Value: []byte("none")},
		},
	}
	b := &out.Batch{}
	outtest.Append(t, o, b, r)
	outtest.Deliver(t, o, b, 1)
	want := "1:2000 2:13 3:7761726e body:a\né log.file.path=s:/var/log/app/app.log log.file.name=s:app.log log.record.uid=s:" +
		string(r.AppendID(nil)) + ` n=3:-5 f=f:1.5 t=2:1 z= o=s:{"a":1} e=s:" 9:00112233445566778899aabbccddeeff span_id=s:none 11:1000`
	if len(s.records) != 1 || s.records[0] != want || !slices.Equal(s.resource, []string{"service.name=s:shop"}) {
		t.Errorf("records %q of %q; want %q", s.records, s.resource, want)
	}
}

func TestPartialSuccess(t *testing.T) {
	for _, tt := range []struct {
		rejected uint64
		how      out.How
		ok       bool
	}{{0, 0, true}, {2, out.TooLarge, false}, {5, out.Refused, false}, {9, out.Refused, false}} {
		s := start(t)
		s.answer = proto.Bytes(nil, 1, proto.Bytes(proto.Uint(nil, 1, tt.rejected), 2, "bad\nones"))
		o := sink(t, s, false)
		err := o.Send(t.Context(), outtest.Batch(t, o, 0, 5))
		if f := out.AsFailure(fmt.Errorf("%w", errOr(err))); (err == nil) != tt.ok || !tt.ok && (f.How != tt.how || !strings.Contains(err.Error(), `bad\nones`)) {
			t.Errorf("Send with %d rejected = %v; want How %d", tt.rejected, err, tt.how)
		}
		if len(s.records) != 5 {
			t.Errorf("%d records; want 5", len(s.records))
		}
	}
}

func errOr(err error) error {
	if err == nil {
		return io.EOF
	}
	return err
}

// FuzzPartial reads any answer: it may only say that events were refused, never panic.
func FuzzPartial(f *testing.F) {
	f.Add([]byte{10, 2, 8, 5})
	f.Fuzz(func(t *testing.T, answer []byte) {
		if err := partial(answer, 5); err != nil && len(answer) == 0 {
			t.Errorf("partial(nothing) = %v; want nil", err)
		}
	})
}
