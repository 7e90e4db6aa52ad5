package unpack

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
)

const (
	stored   = 0
	deflated = 8
)

// zip unpacks a zip: everything is planned by the list of members before the first byte is written.
func (r *run) zip(ctx context.Context, f *os.File, size int64) error {
	d, err := findDirectory(f, size)
	if err != nil {
		return err
	}
	if most := r.o.Limits.Entries; most > 0 && d.count > most {
		return over("", "--max-entries", most, fmt.Sprintf("has %d members", d.count))
	}
	ms, links, err := r.list(ctx, f, d)
	if err != nil {
		return err
	}
	dirs := r.plannedFolders()
	for _, i := range dirs {
		if _, err := r.cur.enter(&r.plan, r.plan.entries[i].Path); err != nil {
			return err
		}
	}
	if err := r.workers(ctx, f, size, ms); err != nil {
		return err
	}
	z := newExtractor(f, size)
	for _, m := range links {
		e := &r.plan.entries[m.at]
		if e.Link, err = z.text(ctx, &m); err == nil {
			err = target(m.name, e.Link)
		}
		if err != nil {
			return in(m.name, damage(err))
		}
	}
	return nil
}

// list plans all members, and returns the files and the symbolic links.
func (r *run) list(ctx context.Context, f *os.File, d directory) (files, links []member, err error) {
	var ex []extent
	for m, err := range d.members(f) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, nil, err
		}
		r.seen++
		kind, err := r.zipMember(&m)
		if err != nil {
			return nil, nil, err
		}
		if err := r.count(m.name); err != nil {
			return nil, nil, err
		}
		x := extent{off: m.off, end: m.off + lenLocal + int64(len(m.name)) + m.packed, name: m.name}
		switch kind {
		case item.File:
			files = append(files, m)
			x.at = len(files)
		case item.Symlink:
			links = append(links, m)
			x.at = -len(links)
		}
		ex = append(ex, x)
	}
	slices.SortFunc(ex, func(a, b extent) int { return cmp.Compare(a.off, b.off) })
	for i, x := range ex {
		end := d.start
		if i+1 < len(ex) {
			end = ex[i+1].off
		}
		if x.end > end {
			return nil, nil, reject(x.name, "shares its content with another member, or with the list of members; that is how bombs are made", "")
		}
		switch {
		case x.at > 0:
			files[x.at-1].end = end
		case x.at < 0:
			links[-x.at-1].end = end
		}
	}
	return files, links, nil
}

// extent is the least room that a member takes in the file.
type extent struct {
	off, end int64
	name     string
	at       int // 1 and up: index of a file; -1 and down: of a link
}

// zipMember plans one member. kind is 0 when it is left out, or nothing but a folder.
func (r *run) zipMember(m *member) (kind item.Kind, err error) {
	if strings.IndexByte(m.name, '\\') >= 0 {
		return 0, reject(m.name, "has a backslash in its name; programs differ in whether that is a folder",
			`a tool on Windows wrote "\" for "/": make the archive again with another, such as jar or zip`)
	}
	path, _, err := clean(m.name, r.o.Limits)
	if err != nil {
		return 0, err
	}
	kind, err = m.kind(path)
	if err != nil {
		return 0, err
	}
	if kind == 0 {
		return 0, r.special(m.name, 0)
	}
	path, ok := strip(path, r.o.Strip)
	if !ok || !r.pick.takes(path, kind == item.Dir) {
		r.rep.Left++
		return 0, nil
	}
	e := entry{named: true, owned: m.owned}
	e.Path, e.Kind, e.Mtime, e.UID, e.GID, e.Mode = path, kind, m.mtime, m.uid, m.gid, m.unix&0o7777
	if e.Mode == 0 { // not made on Unix, or by a tool that does not care, such as jar
		if e.Mode = 0o644; kind == item.Dir {
			e.Mode = 0o755
		}
	}
	switch kind {
	case item.Dir:
		if m.at, _, err = r.plan.add(e, m.name, false); err == nil {
			err = r.root(m.at)
		}
		return 0, err
	case item.Symlink:
		if m.size > maxTarget {
			return 0, reject(m.name, fmt.Sprintf("is a symbolic link to %d bytes; file systems take %d", m.size, maxTarget), "")
		}
	case item.File:
		e.Size = m.size
		if err := r.room(m.name, m.size); err != nil {
			return 0, err
		}
	}
	if err := m.readable(); err != nil {
		return 0, err
	}
	if err := ratio(m.name, m.packed, m.size, r.o.Limits.Ratio); err != nil {
		return 0, err
	}
	m.at, _, err = r.plan.add(e, m.name, true)
	return kind, err
}

// kind is what a member is, 0 for devices and the like. Its name and its mode have to agree.
func (m *member) kind(path string) (item.Kind, error) {
	const format, dir, regular, link = 0o170000, 0o040000, 0o100000, 0o120000
	mode := m.unix & format
	switch {
	case m.folder() && mode != 0 && mode != dir:
		return 0, reject(m.name, "is named like a folder, but is none by its mode", "")
	case m.folder() && m.size != 0:
		return 0, reject(m.name, "is named like a folder, but has content", "")
	case m.folder():
		return item.Dir, nil
	case mode == dir:
		return 0, reject(m.name, "is a folder by its mode, but is not named like one", "")
	case path == "." || strings.HasSuffix(m.name, "/."):
		return 0, reject(m.name, "is named like a folder, but is none", "")
	case mode == link:
		return item.Symlink, nil
	case mode == 0, mode == regular:
		return item.File, nil
	}
	return 0, nil
}

// readable refuses what cannot be decoded.
func (m *member) readable() error {
	const encrypted, patched, masked = 1, 1 << 5, 1 << 13
	switch {
	case m.method == 99 || m.flags&(encrypted|masked) != 0:
		return reject(m.name, "is encrypted", "decrypt the archive first; passwords are not supported")
	case m.flags&patched != 0:
		return reject(m.name, "is a patch for another archive", "")
	case m.method == stored && m.packed != m.size:
		return reject(m.name, fmt.Sprintf("is not compressed, but has two sizes, %d and %d", m.packed, m.size), "")
	case m.method == stored, m.method == deflated:
		return nil
	}
	name := map[uint16]string{
		1: "shrink", 2: "reduce", 3: "reduce", 4: "reduce", 5: "reduce", 6: "implode", 9: "deflate64", 12: "bzip2", 14: "LZMA",
		20: "zstd", 93: "zstd", 94: "MP3", 95: "xz", 96: "JPEG", 97: "WavPack", 98: "PPMd",
	}[m.method]
	if name == "" {
		name = "unknown"
	}
	return reject(m.name, fmt.Sprintf("is compressed by %s (method %d), which is not supported", name, m.method), "make the archive again with deflate")
}

// plannedFolders are the folders that are to be made, parents first.
func (r *run) plannedFolders() []int {
	var dirs []int
	for i := range r.plan.entries {
		if r.plan.entries[i].Kind == item.Dir {
			dirs = append(dirs, i)
		}
	}
	slices.SortFunc(dirs, func(a, b int) int { return item.Compare(r.plan.entries[a].Path, r.plan.entries[b].Path) })
	return dirs
}

const (
	// bigMember is a piece of work of its own.
	bigMember = 1 << 20
	// lot is how many small members are one piece of work, so that neighbours in a folder are made by one worker.
	lot = 24
)

// lots divides the work: large members first, so that none of them is left for the end, then small ones by folder.
func (r *run) lots(ms []member) [][]member {
	slices.SortFunc(ms, func(a, b member) int {
		if big := cmp.Compare(max(b.size, bigMember), max(a.size, bigMember)); big != 0 {
			return big
		}
		return item.Compare(r.plan.entries[a.at].Path, r.plan.entries[b.at].Path)
	})
	var lots [][]member
	for len(ms) > 0 {
		n := 1
		for sum := ms[0].size; n < min(len(ms), lot) && sum+ms[n].size < bigMember; n++ {
			sum += ms[n].size
		}
		lots, ms = append(lots, ms[:n]), ms[n:]
	}
	return lots
}

// workers unpack files until all are there or one fails.
func (r *run) workers(ctx context.Context, f *os.File, size int64, ms []member) error {
	work := r.lots(ms)
	defer spare(r.o.Workers)()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(r.o.Workers, len(work)) {
		all.Go(func() {
			z := newExtractor(f, size)
			cur := newCursor(r.cur.stack[0].root)
			defer cur.close()
			for i := next.Add(1) - 1; i < int64(len(work)); i = next.Add(1) - 1 {
				for j := range work[i] {
					m := &work[i][j]
					err := ctx.Err()
					if err == nil {
						err = r.extract(ctx, z, cur, m)
					}
					if err != nil {
						cancel(in(m.name, damage(err)))
						return
					}
				}
			}
		})
	}
	all.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// spare keeps a processor idle beside the workers, and returns what undoes it. With none to spare, the runtime's monitor
// takes the processor away from each system call of more than 20 microseconds, and wakes a thread to do it.
func spare(workers int) (undo func()) {
	before := runtime.GOMAXPROCS(0)
	if before > workers+1 {
		return func() {}
	}
	runtime.GOMAXPROCS(workers + 2)
	return func() { runtime.GOMAXPROCS(before) }
}

func (r *run) extract(ctx context.Context, z *extractor, cur *cursor, m *member) error {
	e := &r.plan.entries[m.at]
	if err := z.open(m); err != nil {
		return err
	}
	dir, base := split(e.Path)
	l, err := cur.enter(&r.plan, dir)
	if err != nil {
		return err
	}
	f, err := l.create(base)
	if err != nil {
		return err
	}
	z.w.begin(f, e.Size, false)
	if err := z.content(ctx, m, z.w, r.done); err != nil {
		_ = z.w.abort()
		return err
	}
	return r.close(z.w, e)
}
