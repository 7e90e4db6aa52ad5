package initcopy

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
	"github.com/sidecar-kit/sidecar/roles/initcopy/remote"
)

// origin is what kind of thing a source is.
type origin int

const (
	fromDisk  origin = iota // a file, a folder or a pattern
	fromStdin               // a tar archive
	fromWeb                 // https
	fromImage               // oci
	fromSelf                // the running program
)

// source is one SRC, as far as its text says.
type source struct {
	spec    string // as given
	shown   string // the same without secrets; of what a pattern matched, its path
	pattern string // shown as given
	kind    origin
	path    string    // on the disk, or in an image
	expect  *item.Sum // what the content must be, nil for anything
	// content says that not the thing itself is copied but what is in it.
	content bool
}

// parseSource reads a SRC. It looks at nothing but the text.
func parseSource(spec string) (source, error) {
	s := source{spec: spec, shown: showSource(spec), pattern: showSource(spec)}
	scheme, _, isURL := strings.Cut(spec, "://")
	switch {
	case spec == "-":
		s.kind, s.content = fromStdin, true
	case isURL && scheme == "https", isURL && scheme == "http":
		s.kind = fromWeb
		u, err := url.Parse(spec)
		if err != nil || u.Host == "" {
			return s, fmt.Errorf("--src %s: want https://host/path", s.shown)
		}
		s.path = u.EscapedPath()
	case isURL && scheme == "oci":
		s.kind = fromImage
		ref, err := remote.ParseReference(spec)
		if err != nil {
			return s, fmt.Errorf("--src %s: %w", s.shown, err)
		}
		s.path, s.content = "/"+ref.Path, ref.Content
		if !ref.Digest.IsZero() {
			s.expect = &ref.Digest
		}
	case isURL && scheme == "file":
		s.path = strings.TrimPrefix(spec, "file://")
		s.content = endsInside(s.path)
	case isURL:
		return s, fmt.Errorf("--src %s: unknown scheme %q; want a path, -, https:// or oci://", s.shown, scheme)
	default:
		s.path, s.content = spec, endsInside(spec)
	}
	if strings.ContainsRune(s.path, 0) {
		return s, fmt.Errorf("--src %q: a path cannot hold a zero byte", spec)
	}
	return s, nil
}

// showSource is a SRC, or SRC=DIGEST, without secrets: no user and no query of an address.
func showSource(spec string) string {
	address, query, found := strings.Cut(spec, "?")
	if !found || !strings.Contains(address, "://") {
		return secret.Redact(spec)
	}
	tail := ""
	if i := strings.LastIndex(query, "=sha256:"); i >= 0 {
		tail = query[i:]
	}
	return remote.ShowAddress(spec) + tail
}

// endsInside tells whether a path names what is in a folder.
func endsInside(p string) bool {
	return strings.HasSuffix(p, "/") || strings.HasSuffix(p, "/.") || p == "."
}

// found is a source on the disk that exists: a pattern becomes several.
type found struct {
	source
	info fs.FileInfo
}

// find looks a local source up. The error says what is missing and what to do.
func (s source) find() ([]found, error) {
	fi, err := os.Stat(s.path) // a SRC that is itself a link stands for what it leads to
	if err == nil {
		return []found{{s, fi}}, checkKind(s.path, fi)
	}
	if !errors.Is(err, fs.ErrNotExist) || !hasMeta(s.path) {
		return nil, explainSource(s.path, err)
	}
	names, err := doublestar.FilepathGlob(strings.TrimSuffix(s.path, "/"), doublestar.WithFailOnIOErrors(), doublestar.WithNoFollow())
	if err != nil {
		return nil, fmt.Errorf("source %s: %w", s.shown, err)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("source %s: nothing matches the pattern\nhint: ** stands for any number of folders, {a,b} for alternatives", s.shown)
	}
	var all []found
	for _, name := range names {
		one := s
		one.path, one.shown = name, name
		fi, err := os.Stat(name)
		if err != nil {
			return nil, explainSource(name, err)
		}
		if s.content && !fi.IsDir() {
			continue // dir*/ is for folders
		}
		if err := checkKind(name, fi); err != nil {
			return nil, err
		}
		all = append(all, found{one, fi})
	}
	return all, nil
}

// checkKind refuses what has no end, or no content.
func checkKind(path string, fi fs.FileInfo) error {
	if fi.IsDir() || fi.Mode().IsRegular() {
		return nil
	}
	return fmt.Errorf("source %s is neither a file nor a folder (%s)\nhint: only files, folders and symbolic links are copied", path, fi.Mode().Type())
}

func hasMeta(p string) bool { return strings.ContainsAny(p, `*?[{`) }

func explainSource(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("source %s does not exist\nhint: is the payload in the image, and its volume mounted in this container?", path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("source %s cannot be read as user %d: %w\nhint: make it readable for this user (COPY --chmod, fsGroup, runAsUser)", path, os.Geteuid(), err)
	}
	return fmt.Errorf("source %s: %w", path, err)
}

// base is the name that a source has at its target.
func (s source) base() string {
	switch s.kind {
	case fromWeb:
		name, err := url.PathUnescape(s.path[strings.LastIndexByte(s.path, '/')+1:])
		if err != nil {
			return ""
		}
		return name
	case fromImage:
		return path.Base(s.path)
	case fromSelf:
		return "sidecar"
	}
	name := filepath.Base(s.path)
	if name == ".." || name == "." {
		if abs, err := filepath.Abs(s.path); err == nil {
			return filepath.Base(abs)
		}
	}
	return name
}
