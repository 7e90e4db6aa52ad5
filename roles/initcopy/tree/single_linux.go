package tree

import (
	"context"
	"os"

	"golang.org/x/sys/unix"

	"github.com/sidecar-kit/sidecar/roles/initcopy/bulk"
	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
)

// Stat describes an open file as Scan would; its Path is the name it was opened by.
func Stat(f *os.File) (item.Item, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return item.Item{}, &os.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	it := item.Item{Path: f.Name(), Kind: kindOf(st.Mode)}
	describe(&it, &st)
	return it, nil
}

// CopyFile copies the regular file src into dst, which is empty, open for writing and has been made with mode 0600 or less,
// and gives it the attributes that the options ask for. Giving dst a name is up to the caller.
func CopyFile(ctx context.Context, dst, src *os.File, o FileOptions) (FileResult, error) {
	var r FileResult
	var before, after unix.Stat_t
	from, to := int(src.Fd()), int(dst.Fd())
	it, err := Stat(src)
	if err != nil {
		return r, err
	}
	if it.Kind != item.File {
		return r, &os.PathError{Op: "copy", Path: src.Name(), Err: errNotRegular}
	}
	if err := unix.Fstat(from, &before); err != nil {
		return r, unreadable("stat", src.Name(), err)
	}
	_, restore := parallel(2)
	defer restore()
	var c bulk.Copier
	defer c.Close()
	sum, n, err := c.Copy(ctx, to, from, bulk.Options{Digest: o.Digest, Size: before.Size, Sparse: before.Blocks*512 < before.Size, Moved: o.Done})
	if err != nil {
		return r, &os.PathError{Op: "copy", Path: src.Name(), Err: err}
	}
	if err := unix.Fstat(from, &after); err != nil {
		return r, unreadable("stat", src.Name(), err)
	}
	if what := moved(&before, &after, n); what != "" {
		return r, changed(src.Name(), what)
	}
	it.Size, it.Sum = n, item.Sum(sum)
	mtime := it.Mtime
	if o.Mtime != nil {
		mtime = *o.Mtime
	}
	d := dresser{rules: o.Rules, xattrs: o.Xattrs}
	f := outfit{dresser: &d}
	xattrs, err := f.list(from)
	if err == nil {
		err = f.file(to, from, &it, mtime, false, xattrs)
	}
	if err != nil {
		return r, &os.PathError{Op: "write", Path: dst.Name(), Err: err}
	}
	r.Item, r.ChownRefused, r.XattrsRefused = it, d.chown.n > 0, d.xattr.n > 0
	return r, nil
}

// Dress gives an open file or folder, whose content is complete, the attributes that the rules make of it: owner, mode,
// time of change. refused says that it has another owner.
func Dress(f *os.File, it *item.Item, rules item.Rules, mtime int64) (refused bool, err error) {
	d := dresser{rules: rules}
	o := outfit{dresser: &d}
	if it.Kind == item.Dir {
		err = o.folder(int(f.Fd()), -1, it, mtime)
	} else {
		err = o.file(int(f.Fd()), -1, it, mtime, false, nil)
	}
	if err != nil {
		err = &os.PathError{Op: "set the attributes of", Path: f.Name(), Err: err}
	}
	return d.chown.n > 0, err
}
