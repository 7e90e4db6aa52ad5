package link

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/roles/logship/out"
)

func TestSecretIsReadAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		scrub := &secret.Scrubber{}
		s := &Secret{File: file}
		s.Scrub(scrub)
		want := func(text string) {
			t.Helper()
			if got, err := s.Value(); err != nil || got != text {
				t.Errorf("Value() = %q, %v; want %q", got, err, text)
			}
		}
		write("one-1\n")
		want("one-1")
		write("two-2\n")
		want("one-1") // for five seconds
		time.Sleep(fresh)
		want("two-2")
		write("three-3")
		s.Stale()
		want("three-3")
		if got := scrub.Clean("one-1 two-2 three-3"); strings.ContainsAny(got, "123") {
			t.Errorf("Clean = %q; want no secret", got)
		}
		write("\n")
		s.Stale()
		if got, err := s.Value(); err == nil {
			t.Errorf("Value() of an empty file = %q; want an error", got)
		}
	})
}

func TestNoSecret(t *testing.T) {
	var s *Secret
	if s.Set() || (&Secret{}).Set() || !(&Secret{Fixed: secret.New("x")}).Set() {
		t.Error("Set is wrong of nothing, or of something")
	}
	s.Scrub(nil)
	s.Stale()
}

// TestHostsRest: who fails is left alone, longer each time, unless all fail.
func TestHostsRest(t *testing.T) {
	h, now := NewHosts(3), time.Unix(1000, 0)
	h.Tell(1, false, now)
	var picked []int
	for range 4 {
		picked = append(picked, h.Pick(now))
	}
	if picked[0] != 0 || picked[1] != 2 || picked[2] != 0 || picked[3] != 2 {
		t.Errorf("picked %v; want 0 2 0 2", picked)
	}
	later := now.Add(restMin)
	h.Tell(0, false, later)
	h.Tell(2, false, later)
	if n := h.Pick(later); n != 1 {
		t.Errorf("Pick = %d; want 1, which has rested", n)
	}
	h.Tell(1, false, later)
	if n := h.Pick(later); n == 1 {
		t.Error("Pick = 1; want one that has to rest less")
	}
	for range 20 {
		h.Tell(2, false, later)
	}
	if rest := h.all[2].until.Sub(later); rest != restMax {
		t.Errorf("rest %s; want %s", rest, restMax)
	}
	h.Tell(2, true, later)
	if n := h.Pick(later); n != 2 {
		t.Errorf("Pick = %d; want 2, which is well", n)
	}
}

func TestDialNamesTheAddress(t *testing.T) {
	d, err := NewDialer(TLS{}, "127.0.0.1", &out.Traffic{}, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	if c, err := d.Dial(t.Context(), "127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "connect to 127.0.0.1:1") {
		t.Errorf("Dial = %v, %v; want an error with the address", c, err)
	}
}
