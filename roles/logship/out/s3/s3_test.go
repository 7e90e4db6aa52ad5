package s3

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/roles/logship/out"
	"github.com/sidecar-kit/sidecar/roles/logship/out/link"
	"github.com/sidecar-kit/sidecar/roles/logship/out/outtest"
	"github.com/sidecar-kit/sidecar/roles/logship/out/web"
)

func key(text string) *link.Secret { return &link.Secret{Fixed: secret.New(text)} }

// TestSignature is Amazon's own example of a PUT.
func TestSignature(t *testing.T) {
	s := &signer{
		region: "us-east-1", id: key("AKIAIOSFODNN7EXAMPLE"), secret: key("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
		now: func() time.Time { return time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC) },
	}
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://examplebucket.s3.amazonaws.com/test.txt", nil)
	req.Header.Set("Range", "bytes=0-9")
	if err := s.sign(req, nil); err != nil {
		t.Fatal(err)
	}
	want := "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
	if got := req.Header.Get("Authorization"); !strings.HasSuffix(got, "Signature="+want) {
		t.Errorf("Authorization = %s; want the signature %s", got, want)
	}
	if got := escape("/a b/ä%~.x"); got != "/a%20b/%C3%A4%25~.x" {
		t.Errorf("escape = %s", got)
	}
}

// store verifies signatures by making them again, and keeps objects.
type store struct {
	*httptest.Server
	objects map[string]string
	puts    int
	status  int
}

func start(t *testing.T) *store {
	s := &store{objects: map[string]string{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		when, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
		again := r.Clone(r.Context())
		check := &signer{region: "eu-1", id: key("ID"), secret: key("SECRET"), token: key("TOKEN"), now: func() time.Time { return when }}
		if err2 := check.sign(again, body); err != nil || err2 != nil || again.Header.Get("Authorization") != r.Header.Get("Authorization") || time.Since(when) > time.Minute {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, "<Error><Code>SignatureDoesNotMatch</Code></Error>")
			return
		}
		if s.status != 0 {
			w.WriteHeader(s.status)
			return
		}
		if r.Header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(bytes.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			body, _ = io.ReadAll(z)
		}
		s.puts++
		s.objects[r.URL.Path] = string(body)
	}))
	t.Cleanup(s.Close)
	return s
}

func sink(t *testing.T, s *store, change func(*Config)) *Sink {
	t.Helper()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	o := Config{Endpoint: u, Region: "eu-1", Bucket: "logs", Key: "shop/%{team}/%Y", ID: key("ID"), Secret: key("SECRET"), Token: key("TOKEN"), Gzip: true, Web: web.Config{}}
	change(&o)
	k, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close() })
	return k
}

func TestObjects(t *testing.T) {
	for _, pack := range []bool{false, true} {
		s := start(t)
		k := sink(t, s, func(o *Config) { o.Gzip = pack })
		b := outtest.Batch(t, k, 0, 500)
		r := outtest.Event(outtest.File(), 500)
		r.Fields[0].Value = []byte("../red team")
		outtest.Append(t, k, b, r)
		for range 2 {
			outtest.Deliver(t, k, b, 1)
		}
		suffix := map[bool]string{false: ".ndjson", true: ".ndjson.gz"}[pack]
		blue, red := s.objects["/logs/shop/blue/2026-batch-0"+suffix], s.objects["/logs/shop/.__red_team/2026-batch-0"+suffix]
		if len(s.objects) != 2 || s.puts != 4 || strings.Count(blue, "\n") != 500 || strings.Count(red, "\n") != 1 {
			t.Errorf("%d puts of %d objects, %d lines of blue, %q", s.puts, len(s.objects), strings.Count(blue, "\n"), red)
			for name := range s.objects {
				t.Log(name)
			}
		}
	}
}

func TestFailures(t *testing.T) {
	for status, how := range map[int]out.How{400: out.Pause, 403: out.Pause, 404: out.Pause, 413: out.TooLarge, 503: out.Retry} {
		s := start(t)
		s.status = status
		k := sink(t, s, func(*Config) {})
		b := outtest.Batch(t, k, 0, 3)
		err := k.Send(t.Context(), b)
		if err == nil || out.AsFailure(err).How != how {
			t.Errorf("Send with %d = %v; want How %d", status, err, how)
		}
		if done, _, _ := outtest.Count(b); done != 0 {
			t.Errorf("%d events are done; want 0", done)
		}
	}
	s := start(t)
	k := sink(t, s, func(o *Config) { o.Secret = key("WRONG") })
	if err := k.Send(t.Context(), outtest.Batch(t, k, 0, 3)); err == nil || !strings.Contains(err.Error(), "SignatureDoesNotMatch") || strings.Contains(err.Error(), "WRONG") {
		t.Errorf("Send with a wrong secret = %v; want the reason of the server", err)
	}
}

func TestHosts(t *testing.T) {
	for bucket, want := range map[string]string{"logs": "https://logs.s3.eu-1.amazonaws.com/", "a.b": "https://s3.eu-1.amazonaws.com/a.b/"} {
		k, err := New(Config{Region: "eu-1", Bucket: bucket, ID: key("ID"), Secret: key("SECRET")})
		if err != nil {
			t.Fatal(err)
		}
		if got := k.o.Web.Targets[0].String() + k.prefix; got != want {
			t.Errorf("address of %s = %s; want %s", bucket, got, want)
		}
	}
	for _, bad := range []Config{{}, {Bucket: "a/b", ID: key("x"), Secret: key("y")}, {Bucket: "a"}, {Bucket: "a", ID: key("x"), Secret: key("y"), Key: "%q"}} {
		if _, err := New(bad); err == nil {
			t.Errorf("New(%+v) = nil; want an error", bad)
		}
	}
}
