package proxy

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// calls is a backend of both versions that answers each piece of a body at once, with a trailer at the end, until the client leaves.
func calls(t *testing.T, left chan<- string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Protocols: protocols(true, true), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		flush := http.NewResponseController(w)
		_ = flush.EnableFullDuplex()
		w.Header().Set("Trailer", "Grpc-Status")
		w.Header().Set("X-Proto", r.Proto)
		_ = flush.Flush()
		buf := make([]byte, 100)
		for {
			n, err := r.Body.Read(buf)
			_, _ = w.Write(buf[:n])
			_ = flush.Flush()
			if err == io.EOF {
				w.Header().Set("Grpc-Status", "0")
				return
			}
			if err != nil {
				left <- r.URL.Path
				return
			}
		}
	})}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return l.Addr().String()
}

func protocols(one, two bool) *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(one)
	p.SetUnencryptedHTTP2(two)
	return p
}

// TestCallsBothWays: pieces of a call go both ways at once, trailers come, and a client that leaves is noticed: whichever version
// is in front, behind, and whichever engine is between.
func TestCallsBothWays(t *testing.T) {
	left := make(chan string, 8)
	app := calls(t, left)
	for _, engine := range []string{"own", "std"} {
		one, two := free(t), free(t)
		run(t, "routes:\n  - http://"+one+" => http://"+app+"\n  - http://"+two+" => h2c://"+app+"\n", func(c *Config) { c.Engine = engine })
		for _, address := range []string{one, two} {
			for version, p := range map[int]*http.Protocols{1: protocols(true, false), 2: protocols(false, true)} {
				name := fmt.Sprintf("%s: HTTP/%d to %s", engine, version, map[string]string{one: "HTTP/1", two: "HTTP/2"}[address])
				tr := &http.Transport{Protocols: p}
				call(t, name, tr, "http://"+address, left)
				tr.CloseIdleConnections()
			}
		}
	}
}

func call(t *testing.T, name string, tr *http.Transport, url string, left <-chan string) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	begin := func(path string) (*http.Response, *io.PipeWriter) {
		pr, pw := io.Pipe()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+path, pr)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		piece := make([]byte, 5)
		for range 3 {
			_, _ = io.WriteString(pw, "piece")
			if _, err := io.ReadFull(resp.Body, piece); err != nil || string(piece) != "piece" {
				t.Fatalf("%s: echo %q, %v", name, piece, err)
			}
		}
		return resp, pw
	}
	resp, pw := begin("/whole")
	_ = pw.Close()
	rest, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if len(rest) > 0 || err != nil || resp.Trailer.Get("Grpc-Status") != "0" || !strings.HasPrefix(resp.Header.Get("X-Proto"), "HTTP/") {
		t.Errorf("%s: the end is %q, %v, trailers %v", name, rest, err, resp.Trailer)
	}
	resp, pw = begin("/left")
	cancel()
	_ = pw.CloseWithError(context.Canceled)
	_ = resp.Body.Close()
	select {
	case <-left:
	case <-time.After(20 * time.Second):
		t.Errorf("%s: the backend was not told that the client left", name)
	}
}

// TestLongHeadsAreToldOf: net/http refuses them itself, and tells nobody.
func TestLongHeadsAreToldOf(t *testing.T) {
	for _, engine := range []string{"own", "std"} {
		r := run(t, "routes:\n  - http://127.0.0.1:0?max-header=2k => http://127.0.0.1:1\n", func(c *Config) { c.Engine = engine })
		client := &http.Client{Transport: &http.Transport{Protocols: protocols(false, true)}}
		defer client.CloseIdleConnections()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.at(0)+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Cookie", strings.Repeat("a", 2500))
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%s: status %d; want 431", engine, resp.StatusCode)
		}
		const series = `sidecar_proxy_request_errors_total{route="",cause="bad-request"}`
		if got := r.value(series); got != "1" {
			t.Errorf("%s: %s is %s; want 1", engine, series, got)
		}
	}
}
