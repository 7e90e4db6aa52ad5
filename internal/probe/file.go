package probe

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"time"
)

// fileWant is what is expected of a file.
type fileWant struct {
	path    string
	maxAge  time.Duration
	minSize int64
	body    *regexp.Regexp
	absent  bool
}

func openFile(t target, o *options) (look, error) {
	path, err := t.path()
	if err != nil {
		return nil, err
	}
	w := fileWant{
		path: path, maxAge: o.duration("max-age"), minSize: o.number("min-size", 0),
		body: o.pattern("body"), absent: o.flag("absent"),
	}
	if w.absent {
		for _, name := range []string{"max-age", "min-size", "body"} {
			o.together("absent", name)
		}
	}
	return patient(w.look, "the file system gave no answer"), nil
}

// patient lets a look that cannot be cut short, on a file system whose server is
// away, be left behind when ctx ends. One at a time is left.
func patient(inner func() (string, error), ifLate string) look {
	busy := make(chan struct{}, 1)
	type answer struct {
		seen string
		err  error
	}
	return func(ctx context.Context) (string, error) {
		select {
		case busy <- struct{}{}:
		case <-ctx.Done():
			return "", &late{ifLate}
		}
		done := make(chan answer, 1)
		go func() {
			defer func() { <-busy }()
			seen, err := inner()
			done <- answer{seen, err}
		}()
		select {
		case a := <-done:
			return a.seen, a.err
		case <-ctx.Done():
			return "", &late{ifLate}
		}
	}
}

func (w fileWant) look() (string, error) {
	info, err := os.Stat(w.path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && w.absent:
		return "absent", nil
	case err != nil:
		return "", reason(err)
	case w.absent:
		return "", errors.New("is there, want it absent")
	}
	age := time.Since(info.ModTime())
	// One from before the clock was set back would stay fresh for as long as that was.
	if w.maxAge > 0 && age.Abs() > w.maxAge {
		return "", &unmet{fmt.Sprintf("last written %s, want at most %s ago", when(age), w.maxAge), "old"}
	}
	if info.Size() < w.minSize {
		return "", &unmet{fmt.Sprintf("%d bytes, want at least %d", info.Size(), w.minSize), "small"}
	}
	if w.body != nil {
		if err := w.content(info); err != nil {
			return "", err
		}
	}
	if info.IsDir() {
		return "a directory", nil
	}
	return fmt.Sprintf("%d bytes, last written %s", info.Size(), when(age)), nil
}

func when(age time.Duration) string {
	if age < 0 {
		return short(-age).String() + " in the future"
	}
	return short(age).String() + " ago"
}

// content opens regular files only: to open a FIFO means to wait for its writer.
func (w fileWant) content(info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return errors.New("not a regular file, want one to read")
	}
	f, err := os.Open(w.path)
	if err != nil {
		return reason(err)
	}
	defer f.Close()
	return match(w.body, f, "content")
}

// reason is an error of a file without its path, which the result names anyway.
func reason(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}
