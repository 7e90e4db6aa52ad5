package ident

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sidecar-kit/sidecar/roles/logship/state"
)

func TestRotated(t *testing.T) {
	for _, tt := range []struct {
		live, name string
		want       bool
	}{
		{"app.log", "app.log.1", true}, {"app.log", "app.log.12.gz", true}, {"app.log", "app.log-20260101", true},
		{"app.log", "app.log-20260101.gz", true}, {"app.log", "app-2026-01-01.log", true}, {"app.log", "app.1.log", true},
		{"app.log", "app-2026-01-01T10.20.30Z.log.zst", true}, {"app.log", "app.log.old", true}, {"app.log", "app.log_bak", true},
		{"app.log.1", "app.log.1.gz", true}, {"app.log", "app.log.gz", true}, {"app.log", "app-20260101-1767225600.log", true},
		{"app.log", "app.log", false}, {"app.log", "other.log", false}, {"app.log", "app2.log", false}, {"app.log", "app.log.err", false},
		{"app.log", "app-web.log", false}, {"app", "app.log", false}, {"a", "", false}, {"", ".1", false},
	} {
		if got := Rotated(tt.live, tt.name); got != tt.want {
			t.Errorf("Rotated(%q, %q) = %v; want %v", tt.live, tt.name, got, tt.want)
		}
	}
}

func TestAgree(t *testing.T) {
	for _, tt := range []struct {
		earlier, now string
		want         bool
	}{{"abc", "abc", true}, {"abc", "abcd", true}, {"abc", "ab", false}, {"abc", "abd", false}, {"a\x00c", "abc", true}, {"", "x", true}} {
		if got := Agree([]byte(tt.earlier), []byte(tt.now)); got != tt.want {
			t.Errorf("Agree(%q, %q) = %v; want %v", tt.earlier, tt.now, got, tt.want)
		}
	}
}

func TestHashNeverChanges(t *testing.T) {
	if got := Hash([]byte("foobar")); got != 0x85944171f73967e8 {
		t.Errorf("Hash(foobar) = %x; want the FNV-1a that journals have", got)
	}
}

func TestStatKnowsAFileByNameAndByHandle(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	if err := os.WriteFile(path, []byte("abc"), 0o640); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	a, errA := Lstat(path)
	b, errB := Fstat(f)
	if errA != nil || errB != nil || a != b || a.Size != 3 || !a.Regular() || a.Links != 1 {
		t.Errorf("Lstat = %+v, %v; Fstat = %+v, %v; want the same", a, errA, b, errB)
	}
	id := state.Identity{Dev: a.Dev, Ino: a.Ino, Born: a.Born}
	if !a.Is(id) {
		t.Errorf("%+v is not %+v", a, id)
	}
	if id.Born++; a.Born != 0 && a.Is(id) {
		t.Error("a file that was born at another time is taken for the same")
	}
}

// FuzzLive looks for names that are taken for rotations of something that is not part of them.
func FuzzLive(f *testing.F) {
	f.Add("app.log.1.gz")
	f.Add("app-2026-01-01.log")
	f.Fuzz(func(t *testing.T, name string) {
		for _, live := range Live(name) {
			if live == "" || live == name || len(live) >= len(name) || !strings.HasPrefix(name, live[:1]) {
				t.Errorf("Live(%q) has %q", name, live)
			}
			if len(live) < 200 && !slices.Contains(Live(live+".1"), live) {
				t.Errorf("Live(%q) has not %q", live+".1", live)
			}
		}
	})
}
