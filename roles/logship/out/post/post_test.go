package post

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/sidecar-kit/sidecar/roles/logship/out/outtest"
	"github.com/sidecar-kit/sidecar/roles/logship/out/plain"
	"github.com/sidecar-kit/sidecar/roles/logship/out/web"
)

func TestFormats(t *testing.T) {
	var body, kind, method, key, query string
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		body, kind, method, key, query = string(data), r.Header.Get("Content-Type"), r.Method, r.Header.Get("Idempotency-Key"), r.URL.Path+"?"+r.URL.RawQuery
	}))
	defer srv.Close()
	u, err := url.Parse(srv.URL + "/in?a=b")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		o    Config
		kind string
		ok   func() bool
	}{
		"lines": {Config{}, "application/x-ndjson", func() bool { return strings.Count(body, "\n") == 3 && strings.Count(body, `"message":`) == 3 }},
		"array": {Config{Array: true, Method: "PUT"}, "application/json", func() bool {
			var docs []map[string]any
			return json.Unmarshal([]byte(body), &docs) == nil && len(docs) == 3 && docs[2]["team"] == "blue" && method == "PUT"
		}},
		"text": {Config{Format: plain.Text, Type: "text/x"}, "text/x", func() bool { return strings.HasPrefix(body, "level=info") && method == "POST" }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.o.Web = web.Config{Targets: []*url.URL{u}}
			s, err := New(tt.o)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			outtest.Deliver(t, s, outtest.Batch(t, s, 7, 10), 1)
			if !tt.ok() || kind != tt.kind || key != "batch-7" || query != "/in?a=b" {
				t.Errorf("%s %s with %s, key %s: %q", method, query, kind, key, body)
			}
		})
	}
	if _, err := New(Config{Method: "GET", Web: web.Config{Targets: []*url.URL{u}}}); err == nil {
		t.Error("New with GET = nil; want an error")
	}
}
