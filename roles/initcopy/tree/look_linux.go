package tree

import (
	"context"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
)

// Looker asks the kernel about paths below a folder, one after the other; those of one folder best in a row. It is for one
// goroutine. Close it.
type Looker struct {
	dir cursor
	st  unix.Stat_t
}

// NewLooker opens the folder.
func NewLooker(root string) (*Looker, error) {
	fd, err := openRoot(root)
	if err != nil {
		return nil, unreadable("open", root, err)
	}
	return &Looker{dir: cursor{root: fd}}, nil
}

// Close lets go of the folder.
func (l *Looker) Close() {
	l.dir.close()
	_ = unix.Close(l.dir.root)
}

// Look fills in everything but Path, Link, Hard and Sum. An item that is not there gets the Kind zero; what has the name
// but is of another kind gets that one.
func (l *Looker) Look(it *item.Item) (err error) {
	it.Kind = 0
	at, base := l.dir.root, "."
	if it.Path != "." {
		at, base, err = l.dir.at(it.Path)
	}
	if err == nil {
		err = unix.Fstatat(at, base, &l.st, unix.AT_SYMLINK_NOFOLLOW)
	}
	switch {
	case gone(err):
		return nil
	case err != nil:
		return unreadable("stat", it.Path, err)
	}
	it.Kind = kindOf(l.st.Mode)
	describe(it, &l.st)
	return nil
}

// Holds tells whether same is true of what the kernel says of n paths below root, asked by several goroutines at once. It
// stops at the first that is not; one that is missing, or cannot be asked about, is not.
func Holds(ctx context.Context, root string, n, workers int, path func(i int) string, same func(i int, it *item.Item) bool) bool {
	fd, err := openRoot(root)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	workers, restore := parallel(workers)
	defer restore()
	var next atomic.Int64
	var differs atomic.Bool
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			l := Looker{dir: cursor{root: fd}}
			defer l.dir.close()
			var it item.Item
			for start := int(next.Add(chunkItems)) - chunkItems; start < n; start = int(next.Add(chunkItems)) - chunkItems {
				for i := start; i < min(start+chunkItems, n); i++ {
					it = item.Item{Path: path(i)}
					if differs.Load() || ctx.Err() != nil || l.Look(&it) != nil || !same(i, &it) {
						differs.Store(true)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	return !differs.Load()
}
