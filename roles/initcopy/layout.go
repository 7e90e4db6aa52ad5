package initcopy

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
	"github.com/sidecar-kit/sidecar/roles/initcopy/manifest"
	"github.com/sidecar-kit/sidecar/roles/initcopy/place"
)

// piece is a source with its place below the target's base.
type piece struct {
	source
	// at is where it goes, below base; "." is base itself.
	at string
	// file says that it is one file; trees have items below dir, when they lie on the disk.
	file bool
	dir  string
	// items are what it consists of, with paths below at: of local sources before they are staged, of others after.
	items []item.Item

	// Of sources that are not copied entry by entry:
	archive  bool     // it is unpacked
	staged   string   // the folder that it was unpacked into
	fetched  string   // the file that it was fetched into, in the stage
	got      bool     // it was fetched or unpacked in this run
	recalled bool     // items are what the manifest says, nothing was fetched
	unknown  bool     // in a dry run nothing is fetched
	sum      item.Sum // of the archive or the download
	input    int      // its number in the manifest
	state    manifest.State
	rendered map[string][]byte // templates, by path in items
}

// target is where everything goes.
type target struct {
	dst  string // as given, for messages
	base string // the folder that is published into, absolute
	// whole says that base itself is replaced: nothing but the content of the sources belongs into it.
	whole bool
	// tree says that the sources were meant to be the content of base, and nothing else.
	tree bool
	// single says that there is one piece, and that its name was given as DST.
	single bool
	exists bool // base
	link   bool // base is a link that initcopy made
	mount  bool // base is a mount point
}

// keeps says that base keeps its attributes: it is a volume, or a folder that others share.
func (t *target) keeps() bool { return !t.whole || t.mount }

// layOut decides by the words of the command line, never by what an earlier run left behind, where sources go: a second
// run does what the first one did. The one exception is a single file, which goes into a DST that is a folder.
func (c *Config) layOut(sources []found) (target, []piece, error) {
	dst := c.Dst
	if c.Self != "" {
		dst = c.Self
	}
	abs, err := filepath.Abs(dst)
	if err != nil {
		return target{}, nil, fmt.Errorf("target %s: %w", dst, err)
	}
	t := target{dst: dst, base: abs, whole: true}
	var pieces []piece
	for _, f := range sources {
		p := piece{source: f.source, at: f.base(), file: true}
		switch {
		case f.kind == fromImage && f.content:
			p.at, p.file = ".", false
		case c.Unpack && f.info != nil && f.info.IsDir():
			return t, nil, fmt.Errorf("--unpack: source %s is a folder, and no archive\nhint: name the archives in it, or leave --unpack out", f.shown)
		case c.Unpack || f.kind == fromStdin:
			p.at, p.file, p.archive = ".", false, true
		case f.content:
			p.at, p.file = ".", false
		case f.info != nil && f.info.IsDir():
			p.file = false
		}
		if !p.file && f.info != nil && f.info.IsDir() {
			if p.dir, err = filepath.Abs(f.path); err != nil {
				return t, nil, fmt.Errorf("source %s: %w", f.shown, err)
			}
		}
		if p.at != "." {
			t.whole = false
		}
		pieces = append(pieces, p)
	}
	if err := t.look(dst); err != nil {
		return t, nil, err
	}
	one := len(pieces) == 1 && pieces[0].file && pieces[0].at != "."
	if one && !t.exists && !endsInside(dst) {
		t.single, pieces[0].at = true, filepath.Base(abs)
		t.base = filepath.Dir(abs)
		if err := t.look(t.base); err != nil {
			return t, nil, err
		}
	}
	t.mount = t.mount || t.base == filepath.Dir(t.base) // nothing lies beside the root
	t.tree = t.whole
	if !t.exists {
		t.whole = true // nothing to keep: it can appear at once
	}
	return t, pieces, errors.Join(nameless(pieces), clash(pieces), t.refuseInside(pieces))
}

// look finds out what is at base now.
func (t *target) look(shown string) error {
	fi, err := os.Lstat(t.base)
	t.exists, t.mount = false, false
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("target %s: %w", shown, err)
	case fi.IsDir():
		t.exists = true
		t.mount, err = place.MountPoint(t.base)
		if err != nil {
			return fmt.Errorf("target %s: %w", shown, err)
		}
		return nil
	case fi.Mode().Type() == fs.ModeSymlink:
		return t.lookThrough(shown)
	}
	return nil // a file: replaced by a file of that name, refused for trees by refuseInside
}

// lookThrough takes a link only where it was made by publishing through it.
func (t *target) lookThrough(shown string) error {
	to, err := os.Readlink(t.base)
	if err != nil {
		return fmt.Errorf("target %s: %w", shown, err)
	}
	if strings.HasPrefix(to, versionsOf(t.base)+"/") {
		t.exists, t.link = true, true
		return nil
	}
	return fmt.Errorf("target %s is a symbolic link to %s\nhint: name the file or folder itself, or remove the link; links in a shared volume are not followed", shown, to)
}

// versionsOf is the name of the folder beside base that holds the trees when base is a link to one of them.
func versionsOf(base string) string { return "." + filepath.Base(base) + ".versions" }

// nameless finds addresses that do not say how a file is to be called.
func nameless(pieces []piece) error {
	for _, p := range pieces {
		remote := p.kind == fromWeb || p.kind == fromImage
		if bad := p.at == "" || p.at == ".." || strings.ContainsAny(p.at, "/\x00") || hidden(p.at); remote && bad {
			return fmt.Errorf("source %s: the address holds no name for a file\nhint: name the file in DST", p.shown)
		}
	}
	return nil
}

// clash finds two sources that would get one name.
func clash(pieces []piece) error {
	seen := map[string]string{}
	for _, p := range pieces {
		if p.at == "." {
			continue
		}
		if other, twice := seen[p.at]; twice {
			return fmt.Errorf("sources %s and %s would both become %s\nhint: copy them to different folders", other, p.shown, p.at)
		}
		if hidden(p.at) {
			return fmt.Errorf("source %s: %s would be taken for a stage or a manifest\nhint: choose another name", p.shown, p.at)
		}
		seen[p.at] = p.shown
	}
	return nil
}

// refuseInside finds a target in a source, or the other way round: such a copy would never end, or destroy its source.
func (t *target) refuseInside(pieces []piece) error {
	real := realPath(t.base)
	for _, p := range pieces {
		switch {
		case p.dir != "":
			src, to := realPath(p.dir), real
			if p.at != "." {
				to = filepath.Join(real, p.at)
			}
			if src == to || within(src, to) || within(to, src) {
				return fmt.Errorf("target %s and source %s lie in each other\nhint: choose a target outside of the source", t.dst, p.shown)
			}
		case p.kind == fromDisk && p.file:
			if abs, err := filepath.Abs(p.path); err == nil && realPath(abs) == filepath.Join(real, p.at) {
				return fmt.Errorf("target %s and source %s are the same file", t.dst, p.shown)
			}
		}
		if fi, err := os.Lstat(t.base); err == nil && !fi.IsDir() && fi.Mode().Type() != fs.ModeSymlink {
			return fmt.Errorf("target %s is a file, and must be a folder for %s\nhint: remove it, or choose another target", t.base, p.shown)
		}
	}
	return nil
}

// realPath follows links as far as the path exists.
func realPath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	if path == filepath.Dir(path) {
		return path
	}
	return filepath.Join(realPath(filepath.Dir(path)), filepath.Base(path))
}

func within(folder, path string) bool {
	rel, err := filepath.Rel(folder, path)
	return err == nil && filepath.IsLocal(rel)
}
