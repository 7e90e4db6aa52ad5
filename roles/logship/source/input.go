package source

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/roles/logship/source/engine"
)

// Input is a group of files that are read in the same way.
type Input struct {
	Name    string
	Paths   []string // absolute patterns: *, ?, [a-z], {a,b} and ** for any number of folders
	Exclude []string // patterns of paths, or of names when they have no slash

	Pin    string // auto (the default): a hard link only for what an output lacks for some time, or that was renamed; always; never
	Engine string // block (the default) or tail
	Start  string // beginning (the default), or end: skip what is there when logship meets a file for the first time at its start

	IgnoreOlder  time.Duration // files that were written to longer ago are left alone until they grow; 0: none are
	CloseIdle    time.Duration // a file that does not grow is closed after that, and opened again when it does
	Quiet        time.Duration // a file that was renamed or removed is over when it has not grown for that long
	PartialAfter time.Duration // a last line without line end is read after that; 0: when the file is over

	MaxLine    int    // bytes
	LongLines  string // split (the default) or cut
	Encoding   string // empty or auto: UTF-8, or UTF-16 where a byte order mark says so
	Symlinks   bool   // follow links that stay in Roots
	Roots      []string
	Compressed bool // read gzip and zstd
	FIFO       bool // read named pipes
}

// Keys lists what ParseInput knows of an entry of inputs.
func Keys() []string {
	return []string{
		"name", "paths", "exclude", "engine", "start", "ignore-older", "close-idle", "quiet", "partial-after", "max-line", "long-lines",
		"encoding", "symlinks", "compressed", "fifo", "pin",
	}
}

// Default is an input with everything as it is unless it is said.
func Default() Input {
	return Input{
		Pin: "auto", Engine: "block", Start: "beginning", CloseIdle: time.Minute, Quiet: time.Minute, MaxLine: 1 << 20, LongLines: "split", Compressed: true,
	}
}

// ParseInput reads an entry of inputs: a path, or a mapping. Keys that are none of Keys are left to others.
func ParseInput(v draft.Value) (Input, error) {
	in := Default()
	if v.Shape == draft.Word {
		in.Paths = []string{v.Text}
		return in, in.check(v)
	}
	var errs []error
	err := v.All(func(key string, v draft.Value) error {
		if !slices.Contains(Keys(), key) {
			return nil
		}
		if err := in.set(key, v); err != nil {
			errs = append(errs, fmt.Errorf("%w (%s)", err, key))
		}
		return nil
	})
	return in, errors.Join(append(errs, err, in.check(v))...)
}

func (in *Input) set(key string, v draft.Value) error {
	const year = 366 * 24 * time.Hour
	switch key {
	case "name":
		return v.Word(&in.Name)
	case "paths":
		return v.Words(&in.Paths)
	case "exclude":
		return v.Words(&in.Exclude)
	case "pin":
		return v.OneOf(&in.Pin, "auto", "always", "never")
	case "engine":
		return v.OneOf(&in.Engine, "block", "tail")
	case "start":
		return v.OneOf(&in.Start, "beginning", "end")
	case "ignore-older":
		return v.Duration(&in.IgnoreOlder, 0, 100*year)
	case "close-idle":
		return v.Duration(&in.CloseIdle, time.Second, year)
	case "quiet":
		return v.Duration(&in.Quiet, 100*time.Millisecond, year)
	case "partial-after":
		return v.Duration(&in.PartialAfter, 0, year)
	case "max-line":
		size := int64(0)
		err := v.Size(&size, 256, 64<<20)
		in.MaxLine = int(size)
		return err
	case "long-lines":
		return v.OneOf(&in.LongLines, "split", "cut")
	case "encoding":
		if err := v.Word(&in.Encoding); err != nil {
			return err
		}
		if _, err := engine.Lookup(in.Encoding); err != nil {
			return v.Errorf("%w", err)
		}
		return nil
	case "symlinks":
		if v.Shape == draft.Word && (v.Text == "true" || v.Text == "false") {
			return v.Bool(&in.Symlinks)
		}
		in.Symlinks = true
		return v.Words(&in.Roots)
	case "compressed":
		return v.Bool(&in.Compressed)
	}
	return v.Bool(&in.FIFO)
}

// check says what fits not together.
func (in *Input) check(v draft.Value) error {
	var errs []error
	if len(in.Paths) == 0 {
		errs = append(errs, v.Errorf("paths: name at least one file or pattern, such as /logs/*.log"))
	}
	complain := func(key, format string, args ...any) {
		at := v
		for _, p := range v.Pairs {
			if p.Key == key && p.Value.Place != "" {
				at.Place = p.Value.Place
			}
		}
		if at.Place != "--"+key {
			format = key + ": " + format
		}
		errs = append(errs, at.Errorf(format, args...))
	}
	for i, p := range in.Paths {
		switch {
		case !filepath.IsAbs(p):
			complain("paths", "%q begins not with a slash", p)
		case !doublestar.ValidatePattern(p) || strings.HasSuffix(p, "/"):
			complain("paths", "%q is no pattern of files", p)
		}
		in.Paths[i] = filepath.Clean(p)
	}
	for _, p := range in.Exclude {
		switch {
		case !doublestar.ValidatePattern(p):
			complain("exclude", "%q is no pattern", p)
		case strings.Contains(p, "/") && !strings.ContainsAny(p[:1], `/*?[{\`):
			complain("exclude", "%q fits no path: with a slash in it, it has to begin with one\nhint: **/%s fits in all folders", p, p)
		}
	}
	for _, p := range in.Roots {
		if !filepath.IsAbs(p) {
			complain("symlinks", "the folder %q begins not with a slash", p)
		}
	}
	if e, err := engine.Lookup(in.Encoding); err == nil && e.Wide() && in.Engine == "tail" {
		errs = append(errs, v.Errorf("encoding: %s needs engine: block", in.Encoding))
	}
	return errors.Join(errs...)
}

// matches says whether a path is one of the input's.
func (in *Input) matches(path string) bool {
	if in.excluded(path) {
		return false
	}
	for _, p := range in.Paths {
		if ok, _ := doublestar.Match(p, path); ok {
			return true
		}
	}
	return false
}

func (in *Input) excluded(path string) bool {
	for _, p := range in.Exclude {
		what := path
		if !strings.Contains(p, "/") {
			what = filepath.Base(path)
		}
		if ok, _ := doublestar.Match(p, what); ok {
			return true
		}
	}
	return false
}

// base is the folder of a pattern before its first wildcard, and the parts behind it.
func base(pattern string) (dir string, parts []string) {
	dir, rest := doublestar.SplitPattern(pattern)
	return dir, strings.Split(rest, "/")
}
