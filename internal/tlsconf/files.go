package tlsconf

import (
	"bytes"
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
)

// Limits of what is read: far above what a server has, far below what hurts.
const (
	maxFile   = 16 << 20 // a revocation list of a large CA
	maxFolder = 1000     // files
)

// file is what was read of one file. Path is the one that the user knows, also when the content came from the folder behind ..data.
type file struct {
	path string
	data []byte
	mode fs.FileMode
}

// read returns the content of files, and of the files right in folders whose names end in one of suffixes. The same path is read once.
func read(paths []string, suffixes ...string) ([]file, error) {
	var all []file
	var errs []error
	for _, path := range paths {
		files, err := readPath(path, suffixes)
		if err != nil {
			errs = append(errs, err)
		}
		for _, f := range files {
			if !slices.ContainsFunc(all, func(other file) bool { return other.path == f.path }) {
				all = append(all, f)
			}
		}
	}
	return all, errors.Join(errs...)
}

func readPath(path string, suffixes []string) ([]file, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	if !info.IsDir() {
		f, err := readFile(path, path)
		return []file{f}, err
	}
	for attempt := 0; ; attempt++ {
		files, err := readFolder(path, suffixes)
		// The kubelet removes the old version right after the swap; the new one is there then.
		if err == nil || attempt == 3 || !errors.Is(err, fs.ErrNotExist) {
			return files, err
		}
	}
}

// readFolder reads one version of a volume: a kubelet swaps the link ..data, and two names read through it may belong to two versions.
func readFolder(path string, suffixes []string) ([]file, error) {
	from := path
	if target, err := filepath.EvalSymlinks(filepath.Join(path, "..data")); err == nil {
		from = target
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return nil, unreadable(path, err)
	}
	if len(entries) > maxFolder {
		return nil, fmt.Errorf("read %s: more than %d entries", path, maxFolder)
	}
	var files []file
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") || !slices.Contains(suffixes, filepath.Ext(name)) {
			continue
		}
		if info, err := os.Stat(filepath.Join(from, name)); err == nil && info.IsDir() {
			continue
		}
		f, err := readFile(filepath.Join(from, name), filepath.Join(path, name))
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("read %s: no file named %s in this folder", path, "*"+strings.Join(suffixes, ", *"))
	}
	return files, nil
}

func readFile(path, shown string) (file, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // never waits for the writer of a FIFO
	if err != nil {
		return file{}, unreadable(shown, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return file{}, unreadable(shown, err)
	}
	if !info.Mode().IsRegular() {
		return file{}, fmt.Errorf("read %s: not a regular file", shown)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return file{}, unreadable(shown, err)
	}
	if len(data) > maxFile {
		return file{}, fmt.Errorf("read %s: larger than %d MB", shown, maxFile>>20)
	}
	return file{shown, data, info.Mode()}, nil
}

// unreadable says who may read a file, when this process may not.
func unreadable(path string, err error) error {
	cause := err
	if wrapped, ok := errors.AsType[*fs.PathError](err); ok {
		cause = wrapped.Err
	}
	if !errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("read %s: %w", path, cause)
	}
	info, statErr := os.Stat(path)
	if statErr != nil {
		return fmt.Errorf("read %s: %w\nhint: a folder above it may not be entered by uid %d", path, cause, os.Geteuid())
	}
	owner := ""
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		owner = fmt.Sprintf("owner %d:%d, ", sys.Uid, sys.Gid)
	}
	return fmt.Errorf("read %s: %w (%smode %04o; this process is %d:%d)\nhint: in a pod, set fsGroup and defaultMode: 0440 for the volume",
		path, cause, owner, info.Mode().Perm(), os.Geteuid(), os.Getegid())
}

// reader remembers what was read, so that content that is as it was can be told from new one.
type reader struct{ files []file }

// read reads until two reads give the same.
func (r *reader) read(paths []string, suffixes ...string) ([]file, error) {
	files, err := steady(func() ([]file, error) { return read(paths, suffixes...) })
	r.files = append(r.files, files...)
	return files, err
}

// sum is a digest of what was read.
func (r *reader) sum() [32]byte {
	h := sha256.New()
	for _, f := range r.files {
		_, _ = fmt.Fprintf(h, "%q %d %x\n", f.path, f.mode, sha256.Sum256(f.data))
	}
	return [32]byte(h.Sum(nil))
}

func equalFiles(a, b []file) bool {
	return slices.EqualFunc(a, b, func(x, y file) bool { return x.path == y.path && bytes.Equal(x.data, y.data) })
}

// steady reads until two reads give the same: files of one secret, named one by one, may be swapped between two of them. A writer that
// takes its time is not noticed; what it leaves half done does not match, and is read again at its next write.
func steady(read func() ([]file, error)) ([]file, error) {
	before, err := read()
	for range 4 {
		if err != nil {
			return nil, err
		}
		var now []file
		if now, err = read(); err == nil && equalFiles(before, now) {
			return now, nil
		}
		before = now
	}
	return before, err
}
