package notify

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/internal/backoff"
	"github.com/sidecar-kit/sidecar/internal/secret"
)

// fake is a target whose answers a test decides.
type fake func(ctx context.Context, e Event) error

func (f fake) Name() string                              { return "fake" }
func (f fake) Notify(ctx context.Context, e Event) error { return f(ctx, e) }

func TestQueueNewestWinsWhileBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		q := NewQueue(fake(func(context.Context, Event) error {
			time.Sleep(time.Minute)
			return nil
		}), Options{OnDone: func(e Event, took time.Duration, err error) {
			if took != time.Minute || err != nil {
				t.Errorf("OnDone took %s, err %v; want 1m0s, nil", took, err)
			}
			told = append(told, e.Version)
		}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = q.Run(ctx)
		}()
		for _, v := range []string{"1", "2", "3", "4"} {
			q.Send(Event{Version: v})
			synctest.Wait()
		}
		time.Sleep(time.Hour)
		cancel()
		<-done
		if want := []string{"1", "4"}; !slices.Equal(told, want) {
			t.Errorf("told = %v; want %v", told, want)
		}
	})
}

func TestQueueRetriesUntilANewerEventTakesThePlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tried []string
		begin := time.Now()
		q := NewQueue(fake(func(_ context.Context, e Event) error {
			tried = append(tried, e.Version+"@"+time.Since(begin).String())
			if e.Version == "bad" {
				return io.EOF
			}
			return nil
		}), Options{Backoff: backoff.Policy{Min: time.Second, Max: 4 * time.Second}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = q.Run(ctx)
		}()
		q.Send(Event{Version: "bad"})
		time.Sleep(8 * time.Second)
		q.Send(Event{Version: "good"})
		time.Sleep(time.Hour)
		q.Send(Event{Version: "bad"})
		synctest.Wait()
		cancel() // while it waits for the next attempt
		<-done
		want := []string{"bad@0s", "bad@1s", "bad@3s", "bad@7s", "good@8s", "bad@1h0m8s"}
		if !slices.Equal(tried, want) {
			t.Errorf("tried = %v; want %v", tried, want)
		}
	})
}

func TestFlushIsOneAttempt(t *testing.T) {
	q := NewQueue(fake(func(context.Context, Event) error { return io.EOF }), Options{})
	if err := q.Flush(t.Context()); err != nil {
		t.Errorf("Flush() of nothing = %v; want nil", err)
	}
	q.Send(Event{Version: "1"})
	if err := q.Flush(t.Context()); !errors.Is(err, io.EOF) {
		t.Errorf("Flush() = %v; want EOF", err)
	}
}

func TestHTTP(t *testing.T) {
	var got *http.Request
	status := 200
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
	}))
	defer server.Close()
	url := secret.NewURL(strings.Replace(server.URL, "http://", "http://user:hunter2@", 1) + "/hook?token=hunter2")
	tests := []struct {
		name   string
		target HTTP
		answer int
		want   string
	}{
		{"default", HTTP{URL: url, Status: 200}, 200, ""},
		{"other status", HTTP{URL: url, Status: 200}, 503, "answer 503, want 200"},
		{"forget", HTTP{URL: url}, 503, ""},
		{"redirect is not followed", HTTP{URL: url, Status: 302}, 302, ""},
		{"method and header", HTTP{URL: url, Status: 200, Method: "PUT", Header: "Gitsync-Hash"}, 200, ""},
		{"bad address", HTTP{URL: secret.NewURL("http://user:hunter2@:x/"), Status: 200}, 200, "invalid port"},
	}
	for _, tt := range tests {
		got, status = nil, tt.answer
		err := tt.target.Notify(t.Context(), Event{Version: "abc"})
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Notify = %v; want %q", tt.name, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") || strings.Contains(tt.target.Name(), "hunter2") {
			t.Errorf("%s: error %v or name %q shows the secret", tt.name, err, tt.target.Name())
		}
		header := orDefault(tt.target.Header, "Sidecar-Hash")
		if got == nil {
			continue
		}
		if got.Method != orDefault(tt.target.Method, "POST") || got.Header.Get(header) != "abc" {
			t.Errorf("%s: request %s with %s %q; want abc", tt.name, got.Method, header, got.Header.Get(header))
		}
	}
}

func TestHTTPTimesOut(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	target := HTTP{URL: secret.NewURL(server.URL), Status: 200, Timeout: 50 * time.Millisecond}
	if err := target.Notify(t.Context(), Event{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Notify = %v; want the deadline", err)
	}
	target.Status = 0
	if err := target.Notify(t.Context(), Event{}); err != nil {
		t.Errorf("Notify with status 0 = %v; want nil, it is sent and forgotten", err)
	}
}

func TestExecRunsInThePublishedDirectory(t *testing.T) {
	dir := t.TempDir()
	x := Exec{Command: "/bin/sh", Args: []string{"-c", "echo $GITSYNC_HASH $SIDECAR_HASH $MORE > out"}, Env: []string{"MORE=x"}}
	if err := x.Notify(t.Context(), Event{Version: "abc", Path: dir}); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "out"))
	if err != nil || string(data) != "abc abc x\n" {
		t.Errorf("out = %q, %v; want the hash twice and x", data, err)
	}
}

func TestExecFailureIsLoggedWithoutSecretsAndCapped(t *testing.T) {
	var log strings.Builder
	var scrub secret.Scrubber
	scrub.Add("hunter2")
	x := Exec{
		Command: "/bin/sh", Args: []string{"-c", "head -c 9000 /dev/zero | tr '\\0' x; echo hunter2; exit 7"},
		Scrub: &scrub, Log: zerolog.New(&log),
	}
	err := x.Notify(t.Context(), Event{Path: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "exit status 7") {
		t.Errorf("Notify = %v; want exit status 7", err)
	}
	if out := log.String(); strings.Contains(out, "hunter2") || !strings.Contains(out, "x***") || len(out) > outputLimit+500 {
		t.Errorf("log is %d bytes, %.80q; want the masked end of the output", len(out), out)
	}
	x = Exec{Command: "/bin/sh", Args: []string{"-c", "sleep 30"}, Timeout: 50 * time.Millisecond}
	if err := x.Notify(t.Context(), Event{Path: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "timed out") {
		t.Errorf("Notify = %v; want timed out", err)
	}
}

func TestSignalNeedsAProcess(t *testing.T) {
	s := Signal{Process: "no-such-process-here", Signal: syscall.SIGHUP}
	if err := s.Notify(t.Context(), Event{}); err == nil || !strings.Contains(err.Error(), "shareProcessNamespace") {
		t.Errorf("Notify = %v; want the remedy", err)
	}
}
