package elastic

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/roles/logship/out"
	"github.com/sidecar-kit/sidecar/roles/logship/out/elastic/estest"
	"github.com/sidecar-kit/sidecar/roles/logship/out/link"
	"github.com/sidecar-kit/sidecar/roles/logship/out/outtest"
	"github.com/sidecar-kit/sidecar/roles/logship/out/web"
)

func target(t testing.TB, text string) *url.URL {
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func sink(t testing.TB, s *estest.Server, change ...func(*Config)) *Sink {
	t.Helper()
	o := Config{Index: "logs", Web: web.Config{Targets: []*url.URL{target(t, s.URL)}, Conns: 2}}
	for _, c := range change {
		c(&o)
	}
	es, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = es.Close() })
	return es
}

func TestEveryEventIsStoredOnce(t *testing.T) {
	refused := estest.Result{Status: 429, Kind: "es_rejected_execution_exception", Reason: "rejected execution"}
	broken := estest.Result{Status: 400, Kind: "document_parsing_exception", Reason: "failed to parse field [x] of type [long]"}
	first := func(f estest.Faults) func(int) estest.Faults {
		return func(n int) estest.Faults {
			if n == 0 {
				return f
			}
			return estest.Faults{}
		}
	}
	tests := map[string]struct {
		fault    func(int) estest.Faults
		change   func(*Config)
		set      func(*estest.Server)
		rejected int
	}{
		"plain":             {},
		"gzip":              {change: func(o *Config) { o.Web.Gzip = true }},
		"old server":        {set: func(s *estest.Server) { s.Whole = true }},
		"op index":          {change: func(o *Config) { o.Op = "index" }},
		"index of the day":  {change: func(o *Config) { o.Index = "logs-%{team}-%{+yyyy.MM.dd}" }},
		"data stream":       {set: func(s *estest.Server) { s.Streams = true }},
		"503":               {fault: first(estest.Faults{Status: 503, Body: "no shard"})},
		"429":               {fault: first(estest.Faults{Status: 429})},
		"429 of items":      {fault: first(estest.Faults{EachNth: 7, Nth: refused})},
		"400 of items":      {fault: first(estest.Faults{Item: map[int]estest.Result{0: broken, 999: broken, 500: broken}}), rejected: 3},
		"stored, no answer": {fault: first(estest.Faults{Drop: true})},
		"short":             {fault: first(estest.Faults{Short: 10})},
		"shorter":           {fault: first(estest.Faults{Short: 1000})},
		"too many":          {fault: first(estest.Faults{Extra: 1})},
		"broken off":        {fault: first(estest.Faults{Cut: 20000})},
		"broken off early":  {fault: first(estest.Faults{Cut: 5})},
		"huge":              {fault: first(estest.Faults{Huge: 5000, EachNth: 3, Nth: refused}), set: func(s *estest.Server) { s.Whole = true }},
		"errors at the end": {fault: first(estest.Faults{Late: true, EachNth: 3, Nth: refused})},
		"errors is a lie":   {fault: first(estest.Faults{Lie: true, EachNth: 3, Nth: refused})},
		"413":               {set: func(s *estest.Server) { s.MaxBody = 20000 }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := estest.New(t)
			s.Fault = tt.fault
			if tt.set != nil {
				tt.set(s)
			}
			if tt.change == nil {
				tt.change = func(*Config) {}
			}
			es := sink(t, s, tt.change)
			if got := outtest.Deliver(t, es, outtest.Batch(t, es, 0, 1000), 50); got != tt.rejected {
				t.Errorf("%d rejected; want %d", got, tt.rejected)
			}
			if got := s.Docs(); got != 1000-tt.rejected {
				t.Errorf("%d documents; want %d", got, 1000-tt.rejected)
			}
		})
	}
}

func TestFailuresSayWhatToDo(t *testing.T) {
	item := func(status int, kind, reason string) estest.Faults {
		return estest.Faults{Item: map[int]estest.Result{1: {Status: status, Kind: kind, Reason: reason}}}
	}
	tests := map[string]struct {
		fault estest.Faults
		how   out.How
		after time.Duration
		slow  bool
		text  string
	}{
		"401":           {estest.Faults{Status: 401}, out.Pause, 0, false, "401 Unauthorized"},
		"403":           {estest.Faults{Status: 403, Body: `{"error":"security_exception"}`}, out.Pause, 0, false, "security_exception"},
		"flood stage":   {estest.Faults{Status: 403, Body: `{"type":"cluster_block_exception"}`}, out.Retry, 0, true, "cluster_block"},
		"404":           {estest.Faults{Status: 404}, out.Pause, 0, false, "/logs/_bulk"},
		"413":           {estest.Faults{Status: 413}, out.TooLarge, 0, false, "413"},
		"400":           {estest.Faults{Status: 400}, out.TooLarge, 0, false, "400"},
		"429":           {estest.Faults{Status: 429, After: "7"}, out.Retry, 7 * time.Second, true, "429"},
		"503":           {estest.Faults{Status: 503, After: "86400"}, out.Retry, 10 * time.Minute, true, "503"},
		"500":           {estest.Faults{Status: 500}, out.Retry, 0, false, "500"},
		"302":           {estest.Faults{Status: 302}, out.Pause, 0, false, "redirects are not followed"},
		"drop":          {estest.Faults{Drop: true}, out.Retry, 0, false, "EOF"},
		"no items":      {estest.Faults{Short: 3}, out.Retry, 0, false, "no results"},
		"no index":      {item(404, "index_not_found_exception", "no such index [logs]"), out.Pause, 0, false, "no such index [logs]"},
		"no pipeline":   {item(400, "illegal_argument_exception", "pipeline with id [x] does not exist"), out.Pause, 0, false, "pipeline"},
		"no permission": {item(403, "security_exception", "action is unauthorized"), out.Pause, 0, false, "unauthorized"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := estest.New(t)
			s.Fault = func(int) estest.Faults { return tt.fault }
			es := sink(t, s)
			err := es.Send(t.Context(), outtest.Batch(t, es, 0, 3))
			if err == nil {
				t.Fatal("Send = nil; want an error")
			}
			f := out.AsFailure(err)
			if f.How != tt.how || f.After != tt.after || f.Slow != tt.slow || !strings.Contains(err.Error(), tt.text) || !strings.Contains(err.Error(), s.URL) {
				t.Errorf("Send = %v, How %d, After %s, Slow %t; want %d, %s, %t and %q and the address", err, f.How, f.After, f.Slow, tt.how, tt.after, tt.slow, tt.text)
			}
		})
	}
}

func TestHangEndsWithTheContext(t *testing.T) {
	s := estest.New(t)
	s.Fault = func(int) estest.Faults { return estest.Faults{Hang: true} }
	es := sink(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := es.Send(ctx, outtest.Batch(t, es, 0, 3)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Send = %v; want the end of the context", err)
	}
}

func TestAnotherHostTakesOver(t *testing.T) {
	s := estest.New(t)
	dead := estest.New(t)
	dead.Close()
	es := sink(t, s, func(o *Config) { o.Web.Targets = []*url.URL{target(t, dead.URL), target(t, s.URL)} })
	for i := range 10 {
		outtest.Deliver(t, es, outtest.Batch(t, es, i*10, i*10+10), 2)
	}
	if got := es.Traffic().Requests.Load(); got != 11 || s.Docs() != 100 {
		t.Errorf("%d requests for %d documents; want 11, one of which failed, for 100", got, s.Docs())
	}
}

// TestSecretsAreReadAgain changes the file of an API key while events are sent; no error may show it.
func TestSecretsAreReadAgain(t *testing.T) {
	s := estest.New(t)
	s.Login = "ApiKey new-key"
	file := filepath.Join(t.TempDir(), "key")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("old-key\n")
	es := sink(t, s, func(o *Config) { o.Web.Auth.APIKey = &link.Secret{File: file} })
	b := outtest.Batch(t, es, 0, 3)
	err := es.Send(t.Context(), b)
	if f := out.AsFailure(err); err == nil || f.How != out.Pause || strings.Contains(err.Error(), "old-key") {
		t.Errorf("Send with the old key = %v; want Pause without the key", err)
	}
	write("new-key\n")
	if err := es.Send(t.Context(), b); err != nil {
		t.Errorf("Send with the new key = %v; want nil", err)
	}
}

func TestCredentialsNeedTLS(t *testing.T) {
	for address, ok := range map[string]bool{"http://es:9200": false, "https://es:9200": true, "http://127.0.0.1:9200": true, "http://localhost:9200": true, "http://[::1]:9200": true} {
		o := Config{Index: "logs", Web: web.Config{Targets: []*url.URL{target(t, address)}}}
		o.Web.Auth = web.Auth{User: "u", Password: &link.Secret{Fixed: secret.New("p")}}
		if _, err := New(o); (err == nil) != ok {
			t.Errorf("New for %s = %v; want ok %t", address, err, ok)
		}
		o.Web.Auth.PlainOK = true
		if _, err := New(o); err != nil {
			t.Errorf("New for %s that may be plain = %v; want nil", address, err)
		}
	}
}

func TestSetupWritesTheTemplateOnce(t *testing.T) {
	s := estest.New(t)
	es := sink(t, s, func(o *Config) {
		o.Index, o.Setup = "logs-app-%{input}", &Setup{Stream: true, Keep: 7 * 24 * time.Hour, Replicas: -1}
	})
	var work sync.WaitGroup
	for i := range 4 {
		b := outtest.Batch(t, es, i*10, i*10+10)
		work.Go(func() {
			if err := es.Send(t.Context(), b); err != nil {
				t.Errorf("Send = %v; want nil", err)
			}
		})
	}
	work.Wait()
	got := s.Template("sidecar-logs-app")
	if !json.Valid([]byte(got)) {
		t.Errorf("template = %s; want JSON", got)
	}
	for _, want := range []string{`"index_patterns":["logs-app-*"]`, `"data_stream":{}`, `"data_retention":"604800s"`} {
		if !strings.Contains(got, want) {
			t.Errorf("template = %s; want %s in it", got, want)
		}
	}
	if n := es.Traffic().Requests.Load(); n != 6 || s.Docs() != 40 {
		t.Errorf("%d requests, %d documents; want 6 and 40", n, s.Docs())
	}
}

func TestIndexNames(t *testing.T) {
	tests := []struct {
		index string
		ok    bool
	}{
		{"logs", true}, {"logs-app-default", true}, {"logs-%{+yyyy.MM.dd}", true}, {"logs-%Y.%m.%d-%H", true}, {"%{team}", true},
		{"", false}, {"Logs", false}, {"a/b", false}, {"-a", false}, {"_all", false}, {".x", false}, {"a..b", false}, {"a b", false}, {"a*", false},
		{strings.Repeat("a", 256), false},
	}
	for _, tt := range tests {
		if _, err := parseIndex(tt.index); (err == nil) != tt.ok {
			t.Errorf("parseIndex(%q) = %v; want ok %t", tt.index, err, tt.ok)
		}
	}
}

func TestNoAllocationPerEvent(t *testing.T) {
	s := estest.New(t)
	es := sink(t, s)
	f := outtest.File()
	r := outtest.Event(f, 5)
	r.Fields = nil
	b := &out.Batch{Body: make([]byte, 0, 1<<20)}
	if n := testing.AllocsPerRun(100, func() {
		b.Body = b.Body[:0]
		if _, err := es.Append(b, r); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("Append makes %v allocations; want 0", n)
	}
}

func BenchmarkAppend(b *testing.B) {
	es, err := New(Config{Index: "logs", Web: web.Config{Targets: []*url.URL{target(b, "http://localhost")}}})
	if err != nil {
		b.Fatal(err)
	}
	f := outtest.File()
	r := outtest.Event(f, 5)
	r.Fields = nil
	batch := &out.Batch{Body: make([]byte, 0, 4<<20)}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if len(batch.Body) > 2<<20 {
			batch.Body = batch.Body[:0]
		}
		r.Offset = int64(i) * 135
		_, _ = es.Append(batch, r)
	}
}
