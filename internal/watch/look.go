package watch

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// sum stands for the content of a path, or for the reason why there is none.
type sum [sha256.Size]byte

// small files are read at every look. Larger ones are read when their size, time or inode differ, or when they were so young at the last
// look that a write may hide behind the clock's granularity.
const (
	small = 1 << 20
	young = 2 * time.Second
)

// seen is what is known of a large file.
type seen struct {
	info fs.FileInfo
	sum  sum
	sure bool
}

// look returns the paths whose content differs from the last look.
func (w *Watcher) look() []string {
	var changed []string
	before := w.files
	w.files = map[string]seen{}
	for i, path := range w.paths {
		now := w.content(path, before)
		if now != w.last[i] {
			changed = append(changed, path)
		}
		w.last[i] = now
	}
	return changed
}

func (w *Watcher) content(path string, before map[string]seen) sum {
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return w.file(path, info, err, before)
	}
	names, err := entries(path)
	if err != nil {
		return reason(err)
	}
	all := sha256.New()
	for _, name := range names {
		full := filepath.Join(path, name)
		info, err := os.Stat(full)
		one := w.file(full, info, err, before)
		_, _ = fmt.Fprintf(all, "%q %x\n", name, one)
	}
	return sum(all.Sum(nil))
}

// entries are the names in a folder that count, sorted.
func entries(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	names = slices.DeleteFunc(names, func(n string) bool { return strings.HasPrefix(n, ".") })
	slices.Sort(names)
	return names, err
}

func (w *Watcher) file(path string, info fs.FileInfo, err error, before map[string]seen) sum {
	switch {
	case err != nil:
		return reason(err)
	case !info.Mode().IsRegular(): // a folder in a folder, or something that blocks who opens it
		return sha256.Sum256([]byte(info.Mode().Type().String()))
	}
	old, known := before[path]
	if known && old.sure && os.SameFile(old.info, info) && old.info.Size() == info.Size() && old.info.ModTime().Equal(info.ModTime()) {
		w.files[path] = old
		return old.sum
	}
	now, err := read(path)
	if err != nil {
		return reason(err)
	}
	if info.Size() > small {
		w.files[path] = seen{info, now, time.Since(info.ModTime()) > young}
	}
	return now
}

// read does not keep the content, however large it is.
func read(path string) (sum, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // it may have become a FIFO
	if err != nil {
		return sum{}, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return sum{}, err
	}
	return sum(h.Sum(nil)), nil
}

// reason is the same as long as the file cannot be read for the same cause.
func reason(err error) sum {
	if errors.Is(err, fs.ErrNotExist) {
		return sha256.Sum256([]byte("none"))
	}
	number, _ := errors.AsType[syscall.Errno](err)
	return sha256.Sum256(fmt.Appendf(nil, "error %d", number))
}
