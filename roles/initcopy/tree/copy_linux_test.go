package tree

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
)

func TestCopyIsExact(t *testing.T) {
	from := plant(t, map[string]string{
		"a": "1", "empty": "", "d/b": "2", "d/e/f/c": strings.Repeat("x", smallFile+1), "big": strings.Repeat("0123456789", 300_000),
		"none/": "", "l -> a": "", "d/dangling -> ../../nowhere": "", "again = a": "", "d/again = a": "", "exactly": strings.Repeat("y", smallFile),
		"non\xff\xfeutf8": "3", strings.Repeat("n", 255): "4", "read-only": "5", "closed/x": "6",
	})
	when := time.Date(2001, 2, 3, 4, 5, 6, 789_000_001, time.UTC)
	for name, mode := range map[string]os.FileMode{"a": 0o600, "read-only": 0o444, "d/b": 0o755, "empty": 0o000, "closed": 0o555, "d": 0o750, "big": 0o666, "exactly": 0o777} {
		must(t, os.Chmod(filepath.Join(from, name), mode))
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(from, "closed"), 0o755) })
	if os.Getuid() != 0 {
		must(t, os.Chmod(filepath.Join(from, "empty"), 0o400))
	}
	for _, name := range []string{"a", "d/e/f", "d/b", "none", "big", ""} {
		must(t, os.Chtimes(filepath.Join(from, name), when, when))
	}
	must(t, unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Join(from, "l"), times(when.UnixNano()), unix.AT_SYMLINK_NOFOLLOW))
	before := look(t, from)
	for _, xattrs := range []bool{false, true} {
		to, j, r := copied(t, from, func(j *Job) { j.Xattrs = xattrs })
		t.Cleanup(func() { _ = os.Chmod(filepath.Join(to, "closed"), 0o755) })
		if got := look(t, to); got != before {
			t.Errorf("Copy made\n%s; want\n%s", got, before)
		}
		if r.ChownRefused != 0 || r.XattrsRefused != 0 {
			t.Errorf("Copy refused something: %+v", r)
		}
		for _, it := range j.Items {
			if it.Kind != item.File {
				continue
			}
			if content, _ := os.ReadFile(filepath.Join(to, it.Path)); it.Sum != sha256.Sum256(content) {
				t.Errorf("Sum of %q is wrong", it.Path)
			}
		}
	}
	if after := look(t, from); after != before {
		t.Errorf("the source became\n%s; was\n%s", after, before)
	}
}
