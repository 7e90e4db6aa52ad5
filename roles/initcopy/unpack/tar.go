package unpack

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
)

// tar takes one member after the other.
func (r *run) tar(ctx context.Context, m *meter) error {
	t := tar.NewReader(m)
	w := newWriter()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		m.zeros = 0
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) { // which is for us to say
			return err
		}
		r.seen++
		if err := r.tarMember(ctx, w, t, h); err != nil {
			return err
		}
		if err := r.count(h.Name); err != nil {
			return err
		}
	}
}

// count holds the number of members and of entries to the limit.
func (r *run) count(member string) error {
	most := r.o.Limits.Entries
	if n := max(r.seen, int64(len(r.plan.entries))); most > 0 && n > most {
		return over(member, "--max-entries", most, "is one of more than the archive may have")
	}
	return nil
}

func (r *run) tarMember(ctx context.Context, w *writer, t *tar.Reader, h *tar.Header) error {
	kind, err := kindOf(h)
	if err != nil || kind == ignored {
		return err
	}
	path, slash, err := clean(h.Name, r.o.Limits)
	if err != nil {
		return err
	}
	if kind != tar.TypeDir && (slash || path == ".") {
		return reject(h.Name, "is named like a folder, but is none", "")
	}
	path, ok := strip(path, r.o.Strip)
	if !ok || !r.pick.takes(path, kind == tar.TypeDir) {
		r.rep.Left++
		return nil
	}
	if kind == tar.TypeFifo {
		return r.special(h.Name, h.Typeflag)
	}
	e := fromTar(h, path)
	switch kind {
	case tar.TypeDir:
		e.Kind = item.Dir
		return r.folder(e, h.Name)
	case tar.TypeSymlink:
		e.Kind, e.Link = item.Symlink, h.Linkname
		return r.later(e, h.Name)
	case tar.TypeLink:
		return r.hardLink(ctx, w, e, h)
	}
	e.Kind, e.Size = item.File, h.Size
	return r.tarFile(ctx, w, t, e, h)
}

// ignored is the kind of a member that is no entry.
const ignored = 0

// kindOf makes few types of many: TypeReg, TypeDir, TypeSymlink, TypeLink, and TypeFifo for everything that is a device.
func kindOf(h *tar.Header) (byte, error) {
	switch h.Typeflag {
	case tar.TypeReg, ignored, tar.TypeCont, tar.TypeGNUSparse:
		return tar.TypeReg, nil
	case tar.TypeDir, tar.TypeSymlink, tar.TypeLink:
		return h.Typeflag, nil
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		return tar.TypeFifo, nil
	case 'V': // the volume's label
		return ignored, nil
	case tar.TypeXGlobalHeader:
		for _, key := range []string{"path", "linkpath", "size"} {
			if h.PAXRecords[key] != "" {
				return ignored, reject(h.Name, fmt.Sprintf("sets %q for all members that follow; programs differ in whether they obey", key), "")
			}
		}
		return ignored, nil
	case 'M':
		return ignored, reject(h.Name, "continues from another volume", "give the archive in one piece")
	}
	return ignored, reject(h.Name, fmt.Sprintf("is of the unknown type %q", string(rune(h.Typeflag))), "")
}

func (r *run) special(member string, flag byte) error {
	if r.o.Specials == Skip {
		r.rep.Skipped++
		return nil
	}
	name := map[byte]string{tar.TypeChar: "character device", tar.TypeBlock: "block device"}[flag]
	if name == "" {
		name = "FIFO or socket"
	}
	return reject(member, "is a "+name, "leave it out with --specials=skip")
}

func fromTar(h *tar.Header, path string) entry {
	e := entry{named: true}
	e.Path, e.Mode, e.Mtime = path, uint32(h.Mode)&0o7777, nanos(h.ModTime)
	if id := int64(math.MaxUint32); h.Uid >= 0 && int64(h.Uid) < id && h.Gid >= 0 && int64(h.Gid) < id {
		e.UID, e.GID, e.owned = uint32(h.Uid), uint32(h.Gid), true
	}
	return e
}

// nanos is a time in nanoseconds since 1970, within what 64 bits hold.
func nanos(t time.Time) int64 {
	const most = math.MaxInt64 / int64(time.Second)
	return time.Unix(min(max(t.Unix(), 1-most), most-1), int64(t.Nanosecond())).UnixNano()
}

// folder makes a folder right away, so that empty ones are there.
func (r *run) folder(e entry, member string) error {
	i, _, err := r.plan.add(e, member, false)
	if err != nil {
		return err
	}
	if _, err := r.cur.enter(&r.plan, e.Path); err != nil {
		return in(member, err)
	}
	return r.root(i)
}

// root notes how the given folder was found, when it is named.
func (r *run) root(i int) error {
	e := &r.plan.entries[i]
	if e.Path != "." || e.made {
		return nil
	}
	st, err := r.cur.stack[0].root.Stat(".")
	if err != nil {
		return err
	}
	e.made, e.grew = true, st.Mode()&fs.ModeSetgid != 0
	return nil
}

// later plans a symbolic link.
func (r *run) later(e entry, member string) error {
	if err := target(member, e.Link); err != nil {
		return err
	}
	_, _, err := r.plan.add(e, member, false)
	return err
}

// target refuses what cannot be the target of a symbolic link.
func target(member, link string) error {
	switch {
	case link == "":
		return reject(member, "is a symbolic link to nothing", "")
	case strings.IndexByte(link, 0) >= 0:
		return reject(member, "is a symbolic link with a NUL byte in its target", "")
	case len(link) > maxTarget:
		return reject(member, fmt.Sprintf("is a symbolic link to %d bytes; file systems take %d", len(link), maxTarget), "")
	}
	return nil
}

// maxTarget is the longest target of a symbolic link that Linux takes.
const maxTarget = 4095

func (r *run) tarFile(ctx context.Context, w *writer, t *tar.Reader, e entry, h *tar.Header) error {
	if err := r.room(h.Name, e.Size); err != nil {
		return err
	}
	i, l, base, err := r.place(e, h.Name)
	if err != nil {
		return err
	}
	f, err := l.create(base)
	if err != nil {
		return in(h.Name, err)
	}
	at := &r.plan.entries[i]
	w.begin(f, at.Size, sparse(h))
	if err := w.copy(ctx, t, at.Size, r.done); err != nil {
		_ = w.abort()
		return in(h.Name, damage(err))
	}
	if err := r.close(w, at); err != nil {
		return in(h.Name, err)
	}
	return nil
}

// room takes the size of a file from what may still be written.
func (r *run) room(member string, size int64) error {
	most := r.o.Limits.Bytes
	if size < 0 || most > 0 && size > most-r.rep.Bytes {
		return over(member, "--max-bytes", most, fmt.Sprintf("brings the files to %d bytes", r.rep.Bytes+size))
	}
	r.rep.Bytes += size
	return nil
}

// place plans a file, removes the one it replaces, and opens the folder it is to be in.
func (r *run) place(e entry, member string) (i int, l *level, base string, err error) {
	i, old, err := r.plan.add(e, member, false)
	if err != nil {
		return 0, nil, "", err
	}
	dir, base := split(e.Path)
	if l, err = r.cur.enter(&r.plan, dir); err != nil {
		return 0, nil, "", in(member, err)
	}
	if old >= 0 {
		if err := l.root.Remove(base); err != nil {
			return 0, nil, "", in(member, err)
		}
	}
	return i, l, base, nil
}

// sparse tells whether a member's holes are described. Only then are runs of zeros taken for holes.
func sparse(h *tar.Header) bool {
	return h.Typeflag == tar.TypeGNUSparse || h.PAXRecords["GNU.sparse.major"] != "" || h.PAXRecords["GNU.sparse.map"] != ""
}

// hardLink makes another name of an earlier file.
func (r *run) hardLink(ctx context.Context, w *writer, e entry, h *tar.Header) error {
	path, _, err := clean(h.Linkname, r.o.Limits)
	if refusal := (*Refusal)(nil); errors.As(err, &refusal) {
		return reject(h.Name, "is a hard link to "+quote(h.Linkname)+", which "+refusal.Reason, refusal.Hint)
	}
	path, ok := strip(path, r.o.Strip)
	to, known := r.plan.at[path]
	switch {
	case !ok || !known:
		return reject(h.Name, "is a hard link to "+quote(h.Linkname)+", which is not among the files unpacked so far",
			"leave both out or take both; a file has to come before its links")
	case r.plan.entries[to].Kind != item.File:
		return reject(h.Name, fmt.Sprintf("is a hard link to %s, which is a %s", quote(h.Linkname), r.plan.entries[to].Kind), "")
	case path == e.Path:
		return reject(h.Name, "is a hard link to itself", "")
	}
	target := r.plan.entries[to]
	link := entry{Item: target.Item, named: true, owned: target.owned}
	link.Path = e.Path
	i, l, base, err := r.place(link, h.Name)
	if err != nil {
		return err
	}
	at := &r.plan.entries[i]
	if err = r.cur.stack[0].root.Link(path, e.Path); err == nil {
		at.made, at.file = true, target.file
		r.plan.shared[target.file] = true
		r.rep.Hard++
		return nil
	}
	if !noLinks(err) {
		return in(h.Name, exists(e.Path, err))
	}
	if err := r.room(h.Name, target.Size); err != nil {
		return err
	}
	return in(h.Name, r.again(ctx, w, l, base, path, at))
}

// again copies a file where the file system has no hard links.
func (r *run) again(ctx context.Context, w *writer, l *level, base, from string, at *entry) error {
	src, err := r.cur.stack[0].root.OpenFile(from, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer src.Close()
	f, err := l.create(base)
	if err != nil {
		return err
	}
	w.begin(f, at.Size, false)
	if err := w.copy(ctx, src, at.Size, r.done); err != nil {
		return errors.Join(err, w.abort())
	}
	return r.close(w, at)
}
