package tree

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/sidecar-kit/sidecar/roles/initcopy/bulk"
	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
)

// file copies one regular file. made, where it is not nil, is told what the kernel says of the copy.
func (w *worker) file(ctx context.Context, dir int, base string, it *item.Item, mtime int64, made *Made) error {
	from, name, err := w.src.at(it.Path)
	if err != nil {
		return w.source("open", it.Path, err)
	}
	src, err := openat(from, name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return w.source("open", it.Path, err)
	}
	defer unix.Close(src)
	n, st, err := w.look(src, it)
	if err != nil {
		return err
	}
	xattrs, err := w.dresser.list(src)
	if err != nil {
		return w.source("read", it.Path, err)
	}
	mode, exact := w.dresser.birthMode(it, xattrs)
	dst, err := openat(dir, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, mode)
	if err != nil {
		return w.target("create", it.Path, err)
	}
	err = w.content(ctx, dst, src, n, it, st)
	if err == nil {
		err = w.targetErr(it.Path, w.dresser.file(dst, src, it, mtime, exact, xattrs))
	}
	if err == nil && made != nil {
		var st unix.Stat_t
		if err = unix.Fstat(dst, &st); err == nil {
			*made = Made{item.Ident{Dev: st.Dev, Ino: st.Ino, Ctime: st.Ctim.Nano()}, st.Mtim.Nano(), st.Mode & 0o7777}
		}
	}
	if e := unix.Close(dst); err == nil && e != nil {
		err = w.target("close", it.Path, e)
	}
	return err
}

// look reads the source once and then asks what it is. A file that is what the listing said of it, and whose content
// fits the buffer, is thereby copied half and proven unchanged by one call; n says how much of it is in the buffer, -1
// that it has to be copied piece by piece.
func (w *worker) look(src int, it *item.Item) (n int, st *unix.Stat_t, err error) {
	st = new(unix.Stat_t)
	n = -1
	if it.Size <= smallFile {
		if n, err = readFull(src, w.buf, int(it.Size)+1); err != nil {
			return 0, st, w.source("read", it.Path, err)
		}
	}
	if err := unix.Fstat(src, st); err != nil {
		return 0, st, w.source("stat", it.Path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Ino != it.Ident.Ino || st.Dev != it.Ident.Dev {
		return 0, st, changed(filepath.Join(w.From, it.Path), "was replaced")
	}
	if it.Size == 0 && st.Size == 0 && n > 0 { // /proc and its like
		it.Mtime = st.Mtim.Nano()
		return -1, st, nil
	}
	if what := differs(it, st); what != "" {
		return 0, st, changed(filepath.Join(w.From, it.Path), what)
	}
	if n >= 0 && (int64(n) != st.Size || st.Blocks*512 < st.Size) {
		n = -1 // holes
	}
	if st.Ctim.Nano() != it.Ident.Ctime {
		describe(it, st) // a new mode, owner or name; whether it was the content is seen by a second look
		n = -1
	}
	return n, st, nil
}

// differs says what a file has that the listing had not.
func differs(it *item.Item, st *unix.Stat_t) string {
	switch {
	case st.Size != it.Size:
		return fmt.Sprintf("changed its size from %d to %d bytes", it.Size, st.Size)
	case st.Mtim.Nano() != it.Mtime:
		return "was written to"
	}
	return ""
}

// content writes what is in the buffer, or copies piece by piece.
func (w *worker) content(ctx context.Context, dst, src, n int, it *item.Item, st *unix.Stat_t) error {
	if n >= 0 {
		if w.Digest {
			it.Sum = sha256.Sum256(w.buf[:n])
		}
		w.written += int64(n)
		return w.targetErr(it.Path, writeFull(dst, w.buf[:n]))
	}
	sum, size, err := w.bulk.Copy(ctx, dst, src, w.options(st))
	if err != nil {
		return &os.PathError{Op: "copy", Path: filepath.Join(w.From, it.Path), Err: err}
	}
	w.written += size
	var after unix.Stat_t
	if err := unix.Fstat(src, &after); err != nil {
		return w.source("stat", it.Path, err)
	}
	if what := moved(st, &after, size); what != "" {
		return changed(filepath.Join(w.From, it.Path), what)
	}
	it.Size = size
	if w.Digest {
		it.Sum = sum
	}
	return nil
}

func (w *worker) options(st *unix.Stat_t) bulk.Options {
	o := bulk.Options{Digest: w.Digest, Buf: w.buf, Size: st.Size, Sparse: st.Blocks*512 < st.Size}
	if w.Done != nil && st.Size > smallFile {
		o.Moved = func(n int64) { w.Done(0, n) }
	}
	return o
}

// moved says what happened to a file between two looks at it, between which size bytes were read.
func moved(before, after *unix.Stat_t, size int64) string {
	switch {
	case before.Size != after.Size:
		return fmt.Sprintf("changed its size from %d to %d bytes", before.Size, after.Size)
	case before.Mtim != after.Mtim:
		return "was written to"
	case before.Ctim != after.Ctim:
		return "got other attributes"
	case size != after.Size && after.Size != 0:
		return fmt.Sprintf("gave %d of its %d bytes", size, after.Size)
	}
	return ""
}
