package host

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/internal/exit"
	"github.com/sidecar-kit/sidecar/internal/probe"
)

func TestPatienceTakesBareSeconds(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"30": 30 * time.Second, "0": 0, "1m30s": 90 * time.Second, "500ms": 500 * time.Millisecond,
		"-1": -1, "-1s": -1, "": -1, "soon": -1, "1.5": -1, "99999999999": -1,
	} {
		var p patience
		if err := p.Set(in); (err != nil) != (want < 0) || err == nil && time.Duration(p) != want {
			t.Errorf("Set(%q) = %s, %v; want %s", in, &p, err, want)
		}
	}
}

// Two failures that alternate are not told at each look.
func TestTellerIsQuietAboutWhatAlternates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		teller := newTeller(zerolog.New(&out), time.Now(), 1)
		refused := seenOf(t, "tcp://127.0.0.1:1")
		missing := seenOf(t, "file:///no/such/file")
		for range 100 {
			teller.tell(refused)
			teller.tell(refused)
			teller.tell(missing)
			time.Sleep(300 * time.Millisecond)
		}
		if n := strings.Count(out.String(), "\n"); n != 2 {
			t.Errorf("%d lines in 30s; want one for each failure:\n%s", n, &out)
		}
		time.Sleep(time.Minute)
		teller.tell(refused)
		if n := strings.Count(out.String(), "\n"); n != 3 {
			t.Errorf("%d lines after another minute; want it told again", n)
		}
	})
}

// seenOf is a look at something that is not ok.
func seenOf(t *testing.T, raw string) probe.Seen {
	t.Helper()
	check, err := probe.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	result := check.Do(t.Context())
	if result.OK {
		t.Fatalf("%s; want it not ok", result)
	}
	return probe.Seen{Last: result, Tries: 1}
}

func TestASignalBeforeTheCommandEndsTheWaiting(t *testing.T) {
	s := fakeSignals()
	called := errors.New("called")
	if err := s.surrender(func() error { return called }); err != called {
		t.Errorf("surrender = %v; want the command begun", err)
	}
	s.stop <- os.Signal(syscall.SIGTERM)
	if err := s.surrender(func() error { return called }); exit.Code(err) != 143 {
		t.Errorf("surrender with a signal = %v; want 143", err)
	}
}
