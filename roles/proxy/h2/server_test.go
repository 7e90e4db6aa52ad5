package h2

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/roles/proxy/web"
)

func echo() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%s %s %s %v", r.Proto, r.Method, r.RequestURI, From(r.Context()).Remote)
	})
}

func TestRequestsAreServedOnOneConnection(t *testing.T) {
	f := serve(t, Config{Handler: echo()})
	client := f.client()
	peers := map[string]bool{}
	for range 3 {
		resp, err := client.Get(f.url("/x?y"))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if !strings.HasPrefix(string(body), "HTTP/2.0 GET /x?y 127.0.0.1:") {
			t.Errorf("answer %q", body)
		}
		peers[string(body)] = true
	}
	if len(peers) != 1 {
		t.Errorf("%d peers; want one", len(peers))
	}
}

func TestPriorKnowledge(t *testing.T) {
	s, err := New(Config{Handler: echo()})
	if err != nil {
		t.Fatal(err)
	}
	addr := listen(t, func(c net.Conn) {
		if _, err := io.ReadFull(c, make([]byte, len(Preface))); err != nil {
			_ = c.Close()
			return
		}
		s.ServeConn(t.Context(), c, web.Peer{})
	})
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	tr := &http.Transport{Protocols: protocols}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Get("http://" + addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if string(body) != "HTTP/2.0 GET / invalid AddrPort" {
		t.Errorf("answer %q", body)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown() = %v", err)
	}
}

// TestLameSendsGoAwayAndCutsNothing: streams under way end well, also new connections are served, and told after their first request.
func TestLameSendsGoAwayAndCutsNothing(t *testing.T) {
	release := make(chan struct{})
	f := serve(t, Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			w.WriteHeader(200)
			_ = http.NewResponseController(w).Flush()
			<-release
			_, _ = io.WriteString(w, "whole")
		}
	})})
	client := f.client()
	resp, err := client.Get(f.url("/slow"))
	if err != nil {
		t.Fatal(err)
	}
	idle := f.frames()
	for range 3 { // the connection may be told a moment after it answered
		f.Lame()
	}
	goaway, err := idle.until(typeGoAway, 0)
	if err != nil || binary.BigEndian.Uint32(goaway.payload[4:]) != 0 {
		t.Errorf("an idle connection got %+v, %v; want GOAWAY without an error", goaway, err)
	}
	fresh := f.frames()
	fresh.must(fresh.send(typeHeaders, flagEnd|flagHeaders, 1, get()))
	if _, err := fresh.until(typeHeaders, 1); err != nil {
		t.Errorf("a connection made afterwards was not served: %v", err)
	}
	if _, err := fresh.until(typeGoAway, 0); err != nil {
		t.Errorf("a connection made afterwards was not told: %v", err)
	}
	if active, _ := f.Busy(); active != 1 {
		t.Errorf("Busy() = %d; want the slow stream", active)
	}
	close(release)
	body, err := io.ReadAll(resp.Body)
	if string(body) != "whole" || err != nil {
		t.Errorf("the stream under way gave %q, %v; want all of it", body, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := f.Shutdown(ctx); err != nil || f.Conns() != 0 {
		t.Errorf("Shutdown() = %v with %d connections; want none left", err, f.Conns())
	}
}

func TestShutdownCutsWhatDoesNotEnd(t *testing.T) {
	gone := make(chan struct{})
	f := serve(t, Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(gone)
	})})
	resp, err := f.client().Get(f.url("/"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := f.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) || f.Conns() != 0 {
		t.Errorf("Shutdown() = %v with %d connections; want the deadline's error and none", err, f.Conns())
	}
	<-gone
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Error("the answer that was cut looks whole")
	}
}

// TestFloods: each of them ends with the connection, and never are there more handlers than streams are allowed.
func TestFloods(t *testing.T) {
	var running, most atomic.Int64
	release := make(chan struct{})
	f := serve(t, Config{Streams: 50, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		now := running.Add(1)
		defer running.Add(-1)
		for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
		}
		if r.URL.Path == "/deaf" {
			<-release // does not notice that it was cancelled
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
	})})
	defer close(release)
	stream := func(i int) uint32 { return uint32(2*i + 1) }
	request, deaf := get(), block(":method", "GET", ":scheme", "https", ":authority", "a.example", ":path", "/deaf")
	long := block("x", strings.Repeat("y", 16000))
	tests := map[string]struct {
		code int // of GOAWAY
		send func(f frames, i int) error
	}{
		"rapid reset of handlers that run on": {11, func(f frames, i int) error {
			return errors.Join(f.send(typeHeaders, flagEnd|flagHeaders, stream(i), deaf), f.send(typeReset, 0, stream(i), []byte{0, 0, 0, 8}))
		}},
		"CONTINUATION without end": {1, func(f frames, i int) error {
			if i == 0 {
				return f.send(typeHeaders, flagEnd, 1, request)
			}
			return f.send(typeContinuation, 0, 1, long)
		}},
		"a frame above the limit": {6, func(f frames, _ int) error { return f.send(typePing, 0, 0, make([]byte, 17000)) }},
	}
	for name, tt := range tests {
		sent, code := f.frames().flood(200_000, tt.send)
		if sent == 200_000 || code != tt.code && code != -1 {
			t.Errorf("%s: %d sent, GOAWAY %d; want an early end with %d", name, sent, code, tt.code)
		}
	}
	// A flood at a pace that net/http keeps up with is what our own budget is for.
	for name, second := range map[string]func(f frames, stream uint32) error{
		"reset":                    func(f frames, stream uint32) error { return f.send(typeReset, 0, stream, []byte{0, 0, 0, 8}) },
		"made to reset by servers": func(f frames, stream uint32) error { return f.send(typeWindow, 0, stream, []byte{0, 0, 0, 0}) },
	} {
		fr := f.frames()
		done := fr.paced(2000, func(round int) error {
			var errs []error
			for i := range 20 {
				errs = append(errs, fr.send(typeHeaders, flagHeaders, stream(20*round+i), request), second(fr, stream(20*round+i)))
			}
			return errors.Join(errs...)
		})
		if done == 2000 {
			t.Errorf("%s: all rounds were served; want the connection cut", name)
		}
		f.counted("reset_budget")
	}
	if n := most.Load(); n > 2*50 { // those that run on keep their connection's share
		t.Errorf("%d handlers ran at once; want no more than streams are allowed on the connections", n)
	}
}

// TestPingFlood: who asks and does not read the answers is cut. SETTINGS are no such thing, because one answer stands for many.
func TestPingFlood(t *testing.T) {
	f := serve(t, Config{Handler: echo()})
	fr := f.frames()
	pings := make([]byte, 0, 17*500)
	for range 500 {
		pings = append(pings, 0, 0, 8, typePing, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8)
	}
	sent, err := 0, error(nil)
	for ; sent < 20_000 && err == nil; sent++ {
		_, err = fr.conn.Write(pings)
	}
	if err == nil {
		t.Errorf("%d PINGs sent and still served", 500*sent)
	}
}

// TestResetsOfPatientClientsAreNotCounted: cancelling what took long, or less than half of all, is what clients do.
func TestResetsOfPatientClientsAreNotCounted(t *testing.T) {
	var r resets
	now := time.Now()
	for i := range 10000 {
		if r.over(now, i%2 == 1, 500) {
			t.Fatalf("over after %d streams of which half were reset; want never", i)
		}
	}
	r = resets{}
	over := 0
	for i := range 3000 {
		now = now.Add(30 * time.Millisecond) // 333 in a window
		if r.over(now, true, 500) {
			over = i
			break
		}
	}
	if over != 0 {
		t.Errorf("over after %d slow resets; want never", over)
	}
}

// TestFaultsAreReported: net/http keeps a panic to itself, and a request that fails now and then is hard to find.
func TestFaultsAreReported(t *testing.T) {
	faults := make(chan any, 2)
	f := serve(t, Config{Panic: func(v any) { faults <- v }, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/torn" {
			panic(http.ErrAbortHandler)
		}
		panic("a fault")
	})})
	for _, path := range []string{"/torn", "/fault"} {
		if resp, err := f.client().Get(f.url(path)); err == nil {
			_ = resp.Body.Close()
			t.Errorf("%s: status %d; want a reset", path, resp.StatusCode)
		}
	}
	if v := <-faults; v != "a fault" || len(faults) > 0 {
		t.Errorf("reported %v; want the fault alone", v)
	}
}
