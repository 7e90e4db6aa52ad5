package tree

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
)

// TestSourceThatChangesIsNoticed changes the source after it was listed.
func TestSourceThatChangesIsNoticed(t *testing.T) {
	long := strings.Repeat("x", smallFile+1)
	tests := map[string]struct {
		path string
		do   func(t *testing.T, path string)
	}{
		"replaced by a link": {"d/f", func(t *testing.T, p string) {
			must(t, os.Remove(p))
			must(t, os.Symlink("/etc/hostname", p))
		}},
		"replaced by a FIFO": {"d/f", func(t *testing.T, p string) {
			must(t, os.Remove(p))
			must(t, unix.Mkfifo(p, 0o600))
		}},
		"replaced by a folder": {"d/f", func(t *testing.T, p string) {
			must(t, os.Remove(p))
			must(t, os.Mkdir(p, 0o700))
		}},
		"replaced by a file": {"d/f", func(t *testing.T, p string) {
			must(t, os.WriteFile(p+".new", []byte("content"), 0o600))
			st := stat(t, p)
			must(t, unix.UtimesNanoAt(unix.AT_FDCWD, p+".new", times(st.Mtim.Nano()), 0))
			must(t, os.Rename(p+".new", p))
		}},
		"removed":     {"d/f", func(t *testing.T, p string) { must(t, os.Remove(p)) }},
		"longer":      {"d/f", func(t *testing.T, p string) { must(t, os.WriteFile(p, []byte("content and more"), 0o600)) }},
		"shorter":     {"d/f", func(t *testing.T, p string) { must(t, os.Truncate(p, 3)) }},
		"written":     {"d/f", func(t *testing.T, p string) { must(t, os.WriteFile(p, []byte("CONTENT"), 0o600)) }},
		"long longer": {"long", func(t *testing.T, p string) { must(t, os.WriteFile(p, []byte(long+"y"), 0o600)) }},
		"folder replaced by a link": {"d", func(t *testing.T, p string) {
			must(t, os.Rename(p, p+".old"))
			must(t, os.Symlink(p+".old", p))
		}},
	}
	for name, tt := range tests {
		from := plant(t, map[string]string{"d/f": "content", "long": long})
		past := time.Now().Add(-time.Hour)
		must(t, os.Chtimes(filepath.Join(from, "d/f"), past, past))
		j := Job{From: from, To: t.TempDir(), Items: scan(t, from, ScanOptions{}).Items, Rules: item.Default(), Digest: true}
		path := filepath.Join(from, tt.path)
		tt.do(t, path)
		_, err := Copy(t.Context(), j)
		if !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "hint:") {
			t.Errorf("%s: Copy = %v; want ErrChanged and %s", name, err, path)
		}
	}
}

// TestNewAttributesAreNoChange: what is copied is the content; a mode changed before it is simply the mode.
func TestNewAttributesAreNoChange(t *testing.T) {
	from := plant(t, map[string]string{"f": "content"})
	j := Job{From: from, To: t.TempDir(), Items: scan(t, from, ScanOptions{}).Items, Rules: item.Default()}
	must(t, os.Chmod(filepath.Join(from, "f"), 0o604))
	if _, err := Copy(t.Context(), j); err != nil {
		t.Fatalf("Copy = %v", err)
	}
	if got, want := look(t, j.To), look(t, from); got != want {
		t.Errorf("Copy made\n%s; want\n%s", got, want)
	}
}

func TestChangeDuringTheCopyIsNoticed(t *testing.T) {
	from := plant(t, map[string]string{"big": strings.Repeat("0123456789abcdef", 1<<19)})
	path := filepath.Join(from, "big")
	past := time.Now().Add(-time.Hour)
	for name, do := range map[string]func(){
		"grows":   func() { f, _ := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0); f.WriteString("more"); f.Close() },
		"shrinks": func() { _ = os.Truncate(path, 1<<20) },
		"differs": func() { f, _ := os.OpenFile(path, os.O_WRONLY, 0); f.WriteString("other"); f.Close() },
		"chmod":   func() { _ = os.Chmod(path, 0o611) },
	} {
		must(t, os.WriteFile(path, []byte(strings.Repeat("0123456789abcdef", 1<<19)), 0o600))
		must(t, os.Chtimes(path, past, past))
		j := Job{From: from, To: t.TempDir(), Items: scan(t, from, ScanOptions{}).Items, Rules: item.Default(), Digest: true}
		done := false
		j.Done = func(files int, bytes int64) {
			if !done && bytes > 0 {
				done = true
				do()
			}
		}
		if _, err := Copy(t.Context(), j); !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: Copy = %v; want ErrChanged", name, err)
		}
		src, err := os.Open(path)
		must(t, err)
		must(t, os.Chtimes(path, past, past))
		dst, err := os.CreateTemp(t.TempDir(), "")
		must(t, err)
		done = false
		_, err = CopyFile(t.Context(), dst, src, FileOptions{Rules: item.Default(), Done: func(int64) {
			if !done {
				done = true
				_ = os.Truncate(path, 1)
			}
		}})
		if !errors.Is(err, ErrChanged) {
			t.Errorf("%s: CopyFile = %v; want ErrChanged", name, err)
		}
		must(t, errors.Join(src.Close(), dst.Close()))
	}
}

// TestTargetIsNeverWrittenThrough: what somebody put into the target is neither followed nor overwritten.
func TestTargetIsNeverWrittenThrough(t *testing.T) {
	from := plant(t, map[string]string{"d/f": "new", "l -> d": "", "z": "new"})
	outside := t.TempDir()
	victim := filepath.Join(outside, "f")
	for name, put := range map[string]func(to string){
		"a link for a file":   func(to string) { must(t, os.Symlink(victim, to+"/z")) },
		"a dangling link":     func(to string) { must(t, os.Symlink(victim+"2", to+"/z")) },
		"a further name":      func(to string) { must(t, os.Link(victim, to+"/z")) },
		"a link for a folder": func(to string) { must(t, os.Symlink(outside, to+"/d")) },
		"a file for a link":   func(to string) { must(t, os.WriteFile(to+"/l", []byte("old"), 0o600)) },
	} {
		must(t, os.WriteFile(victim, []byte("old"), 0o600))
		to := t.TempDir()
		put(to)
		j := Job{From: from, To: to, Items: scan(t, from, ScanOptions{}).Items, Rules: item.Default()}
		if _, err := Copy(t.Context(), j); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: Copy = %v; want ErrExist", name, err)
		}
		if _, err := os.Lstat(victim + "2"); err == nil {
			t.Errorf("%s: a file was made outside", name)
		}
		if content, _ := os.ReadFile(victim); string(content) != "old" {
			t.Errorf("%s: the file outside became %q", name, content)
		}
	}
}

// TestCursorStaysBelow: a folder that became a link while the copy runs is not followed.
func TestCursorStaysBelow(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	must(t, os.Symlink(outside, filepath.Join(root, "d")))
	must(t, os.Mkdir(filepath.Join(outside, "e"), 0o700))
	fd, err := openRoot(root)
	must(t, err)
	defer unix.Close(fd)
	for _, path := range []string{"d/f", "d/e/f"} {
		c := cursor{root: fd}
		if _, _, err := c.at(path); err == nil {
			t.Errorf("at(%q) followed a link", path)
		}
		c.close()
	}
	s := scanner{root: fd, name: root}
	if err := s.attributes(&cursor{root: fd}, &item.Item{Path: "d", Kind: item.Dir}); !errors.Is(err, ErrChanged) {
		t.Errorf("a folder that became a link is listed: %v; want ErrChanged", err)
	}
	for _, path := range []string{"d", "d/e", "d/.."} {
		if fd, err := openStep(fd, path, unix.O_RDONLY); err == nil {
			t.Errorf("openStep(%q) followed a link", path)
			_ = unix.Close(fd)
		}
	}
}

func TestCopyEndsWithItsContext(t *testing.T) {
	from := plant(t, map[string]string{"a": "1", "b": "2", "big": strings.Repeat("0123456789abcdef", 1<<19)})
	ctx, cancel := context.WithCancel(t.Context())
	j := Job{From: from, To: t.TempDir(), Items: scan(t, from, ScanOptions{}).Items, Rules: item.Default(), Done: func(int, int64) { cancel() }}
	if _, err := Copy(ctx, j); !errors.Is(err, context.Canceled) {
		t.Errorf("Copy = %v; want context.Canceled", err)
	}
}

func TestUnreadableSourceIsNamed(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may read everything")
	}
	from := plant(t, map[string]string{"d/closed": "1"})
	items := scan(t, from, ScanOptions{}).Items
	must(t, os.Chmod(filepath.Join(from, "d/closed"), 0))
	_, err := Copy(t.Context(), Job{From: from, To: t.TempDir(), Items: items, Rules: item.Default()})
	if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "d/closed") || !strings.Contains(err.Error(), "hint:") {
		t.Errorf("Copy = %v; want ErrPermission, the path and a hint", err)
	}
}
