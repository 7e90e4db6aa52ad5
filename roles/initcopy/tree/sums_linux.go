package tree

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/sidecar-kit/sidecar/roles/initcopy/bulk"
	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
)

// Sums reads the content of every file among items below root and fills in Sum. A file that is missing, or is none, or has
// another length than the item says, gets the zero Sum, which equals no digest; only what cannot be read is an error.
// done is told of files and bytes as in Job.
func Sums(ctx context.Context, root string, items []item.Item, workers int, done func(files int, bytes int64)) error {
	fd, err := openRoot(root)
	if err != nil {
		return unreadable("open", root, err)
	}
	defer unix.Close(fd)
	var large bulk.Copier
	defer large.Close()
	return inChunks(ctx, items, workers, func(ctx context.Context, next func() (span, bool)) error {
		s := summer{root: root, dir: cursor{root: fd}, done: done, bulk: &large, buf: make([]byte, smallFile)}
		defer s.dir.close()
		for part, ok := next(); ok; part, ok = next() {
			for i := part.start; i < part.end; i++ {
				if it := &items[i]; it.Kind == item.File {
					if err := s.one(ctx, it); err != nil {
						return err
					}
				}
			}
		}
		return nil
	})
}

type summer struct {
	root string
	dir  cursor
	bulk *bulk.Copier
	buf  []byte
	done func(int, int64)
}

func (s *summer) one(ctx context.Context, it *item.Item) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	it.Sum = item.Sum{}
	dir, base, err := s.dir.at(it.Path)
	if gone(err) {
		return nil
	}
	name := func() string { return filepath.Join(s.root, it.Path) }
	if err != nil {
		return unreadable("open", name(), err)
	}
	fd, err := openat(dir, base, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if gone(err) {
		return nil
	}
	if err != nil {
		return unreadable("open", name(), err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return unreadable("stat", name(), err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size != it.Size && st.Size != 0 {
		return nil
	}
	var told func(int64)
	if s.done != nil {
		told = func(n int64) { s.done(0, n) }
	}
	sum, n, err := s.bulk.Sum(ctx, fd, bulk.Options{Size: st.Size, Buf: s.buf, Moved: told})
	if err != nil {
		return &os.PathError{Op: "read", Path: name(), Err: err}
	}
	if n == it.Size {
		it.Sum = sum
	}
	if s.done != nil {
		s.done(1, 0)
	}
	return nil
}

// gone tells whether there is no such file, or something else in its place.
func gone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ENXIO)
}
