package keep

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/internal/draft"
)

func mapping(pairs ...string) draft.Value {
	v := draft.Value{Place: "f:1", Shape: draft.Map}
	for i := 0; i < len(pairs); i += 2 {
		v.Pairs = append(v.Pairs, draft.Pair{Key: pairs[i], Place: "f:1", Value: draft.Of("f:1", pairs[i+1])})
	}
	return v
}

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		v    draft.Value
		want Policy
		err  string
	}{
		{draft.Value{}, Policy{}, ""},
		{mapping("delete", "true", "punch", "true"), Policy{Delete: true, Punch: true}, ""},
		{mapping("delete-after", "1h"), Policy{Delete: true, DeleteAfter: time.Hour}, ""},
		{mapping("rotate-size", "1MiB", "rotate-signal", "nginx:usr1"), Policy{RotateSize: 1 << 20, Process: "nginx", Signal: syscall.SIGUSR1}, ""},
		{mapping("rotate-age", "1d", "rotate-signal", "none"), Policy{RotateAge: 24 * time.Hour}, ""},
		{mapping("rotate-age", "1d"), Policy{RotateAge: 24 * time.Hour}, "rotate-signal: say who"},
		{mapping("rotate-signal", "nginx:USR1"), Policy{Process: "nginx", Signal: syscall.SIGUSR1}, "nothing is rotated"},
		{mapping("rotate-size", "1MiB", "rotate-signal", "nginx:KILL"), Policy{RotateSize: 1 << 20}, "would end"},
		{mapping("rotate-size", "1MiB", "rotate-signal", "nginx"), Policy{RotateSize: 1 << 20}, "PROCESS:SIGNAL"},
	} {
		got, err := Parse(tt.v)
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("Parse(%v) = %+v, %v; want %+v, %q", tt.v.Pairs, got, err, tt.want, tt.err)
		}
	}
}

// at writes a file and returns it as one that every output has.
func at(t *testing.T, path, text string) File {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	mine, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return File{
		Input: "app", Path: path, Gen: 7, Size: int64(len(text)), Low: int64(len(text)), Plain: true, Found: time.Unix(0, 0), Grew: time.Unix(0, 0),
		Same: func(info fs.FileInfo) bool { return os.SameFile(mine, info) },
	}
}

func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func TestOnlyWhatEveryOutputHasIsRemoved(t *testing.T) {
	now := time.Unix(1000, 0)
	for name, tt := range map[string]struct {
		change func(*File)
		gone   bool
	}{
		"acknowledged":  {func(*File) {}, true},
		"one byte less": {func(f *File) { f.Low-- }, false},
		"live":          {func(f *File) { f.Rotated = false }, false},
		"young":         {func(f *File) { f.Grew = now.Add(-30 * time.Second) }, false},
		"another file":  {func(f *File) { f.Same = func(fs.FileInfo) bool { return false } }, false},
		"grown":         {func(f *File) { f.Size, f.Low = 2, 2 }, false},
	} {
		dir := t.TempDir()
		f := at(t, filepath.Join(dir, "app.log.1"), "text\n")
		f.Rotated = true
		tt.change(&f)
		k := New(map[string]Policy{"app": {Delete: true, DeleteAfter: time.Minute}}, zerolog.Nop())
		k.Tick(t.Context(), now, []File{f})
		if gone := len(names(t, dir)) == 0; gone != tt.gone || (k.Deleted.Load() == 1) != tt.gone {
			t.Errorf("%s: gone %v, counted %d; want %v", name, gone, k.Deleted.Load(), tt.gone)
		}
	}
}

func TestRotateReplacesNothing(t *testing.T) {
	dir := t.TempDir()
	now := time.Unix(1700000000, 0)
	k := New(map[string]Policy{"app": {RotateSize: 4}}, zerolog.Nop())
	for range 3 {
		k.Tick(t.Context(), now, []File{at(t, filepath.Join(dir, "app.log"), "text\n")})
	}
	want := []string{"app.log-20231114T221320Z", "app.log-20231114T221320Z.1", "app.log-20231114T221320Z.2"}
	if got := names(t, dir); !slices.Equal(got, want) || k.Rotated.Load() != 3 {
		t.Errorf("files %v, counted %d; want %v", got, k.Rotated.Load(), want)
	}
}

// TestAFileThatTookTheNameInBetweenKeepsIt: the application rotates by itself between our look and our rename.
func TestAFileThatTookTheNameInBetweenKeepsIt(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("renames that replace nothing exist on Linux only")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "app.log")
	f := at(t, path, "text\n")
	looks := 0
	mine := f.Same
	f.Same = func(info fs.FileInfo) bool {
		if looks++; looks == 1 { // what rotate asks before it renames
			if err := errors.Join(os.Rename(path, path+".1"), os.WriteFile(path, []byte("new\n"), 0o600)); err != nil {
				t.Fatal(err)
			}
			return true
		}
		return mine(info)
	}
	k := New(map[string]Policy{"app": {RotateSize: 4}}, zerolog.Nop())
	k.Tick(t.Context(), time.Unix(1700000000, 0), []File{f})
	data, err := os.ReadFile(path)
	if err != nil || string(data) != "new\n" || k.Rotated.Load() != 0 || !slices.Equal(names(t, dir), []string{"app.log", "app.log.1"}) {
		t.Errorf("%s says %q, %v, files %v; want the new file at its place", path, data, err, names(t, dir))
	}
}

func TestASignalThatReachesNobodyIsSaidOnce(t *testing.T) {
	dir := t.TempDir()
	var log strings.Builder
	k := New(map[string]Policy{"app": {RotateSize: 4, Process: "no-such-process", Signal: syscall.SIGUSR1}}, zerolog.New(&log))
	for range 2 {
		k.Tick(t.Context(), time.Unix(1700000000, 0), []File{at(t, filepath.Join(dir, "app.log"), "text\n")})
	}
	if n := strings.Count(log.String(), "who writes it does not know"); n != 1 || k.Errors.Load() != 2 {
		t.Errorf("said %d times, %d errors; want once and 2: %s", n, k.Errors.Load(), log.String())
	}
}

func TestPunchKeepsToTheAcknowledged(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("blocks are given back on Linux only")
	}
	dir := t.TempDir()
	text := strings.Repeat("0123456789abcde\n", 3<<16)
	f := at(t, filepath.Join(dir, "app.log"), text)
	f.Low = 2<<20 + 5
	k := New(map[string]Policy{"app": {Punch: true}}, zerolog.Nop())
	k.Tick(t.Context(), time.Unix(1000, 0), []File{f})
	if k.Errors.Load() > 0 {
		t.Skip("not on this file system")
	}
	data, err := os.ReadFile(f.Path)
	if err != nil || len(data) != len(text) || string(data[f.Low:]) != text[f.Low:] || data[0] != 0 {
		t.Errorf("%d bytes, %v; want %d with everything from %d on, and a hole at the front", len(data), err, len(text), f.Low)
	}
}
