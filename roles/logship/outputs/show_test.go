package outputs

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/roles/logship/out/outtest"
)

func TestOutputsAreShownWithoutSecrets(t *testing.T) {
	for in, want := range map[string]string{
		"stdout": "stdout",
		"elasticsearch://es:9200/x?gzip=true&api-key-file=F":            "elasticsearch://es:9200/x?gzip=true&api-key-file=F",
		"elasticsearch://u:p@ss@es:9200/x":                              "elasticsearch://u:***@es:9200/x",
		"elasticsearch://u@es:9200/a@b?headers=X-A:k1,X-B:k2&gzip=true": "elasticsearch://u@es:9200/a@b?headers=X-A:***,X-B:***&gzip=true",
		"https://h/y?token=k1&a=k2#headers=X:k3&method=PUT":             "https://h/y?token=***&a=***#headers=X:***&method=PUT",
		"HTTPS://h/y?token=k1":                                          "HTTPS://h/y?token=***",
		"http+https://h/y?token=k1":                                     "http+https://h/y?token=***",
		"htps://h/y?token=k1#gzip=true&x=k2":                            "htps://h/y?token=***#gzip=true&x=***",
		"https:/h/y?token=k1":                                           "https:/h/y?token=***",
		"loki://h/?password=k1&a&tenant=b":                              "loki://h/?password=***&***&tenant=b",
		"loki://u:k1/k2@h/x":                                            "loki://u:***@h/x",
		"loki://u:k1?k2@h/x":                                            "loki://u:***?***",
		"otlp://h1:1,[::1]:2/x?headers=X=k1,k2":                         "otlp://h1:1,[::1]:2/x?headers=X=***,***",
		"s3://b/%{a:-b}@%Y":                                             "s3://b/%{a:-b}@%Y",
		"file:///a:b@c?keep=1":                                          "file:///a:b@c?keep=1",
		"https://h:80/a:b@c":                                            "https://h:80/a:b@c",
	} {
		if got := Show(in); got != want {
			t.Errorf("Show(%q) = %q; want %q", in, got, want)
		}
	}
}

// A server that repeats the request in its refusal does not make us log what is masked elsewhere.
func TestRepeatedHeadersAndQueriesAreNotTold(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, "no "+r.Header.Get("X-Key")+" "+r.Header.Get("X-Token")+" in "+r.Header.Get("X-Env")+" "+r.URL.RawQuery)
	}))
	defer srv.Close()
	spec, err := Parse(draft.Of("--to", srv.URL+"/in?code=geheim-query#headers=X-Key:geheim-key,X-Token:Token geheim-token,X-Env:prod"))
	if err != nil {
		t.Fatal(err)
	}
	sink, err := spec.New(Env{})
	if err != nil {
		t.Fatal(err)
	}
	err = sink.Send(t.Context(), outtest.Batch(t, sink, 0, 1))
	if err == nil || strings.Contains(err.Error(), "geheim") || !strings.Contains(err.Error(), "in prod code=") {
		t.Errorf("Send = %v; want the reason without secrets", err)
	}
	_ = sink.Close()
}
