package initcopy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/sidecar-kit/sidecar/roles/initcopy/bulk"
	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
	"github.com/sidecar-kit/sidecar/roles/initcopy/remote"
	"github.com/sidecar-kit/sidecar/roles/initcopy/tree"
)

// fetchRemote gets what comes over the network: a file into a file that is not published yet, an archive into the stage and
// out of it, layers of an image into folders of the stage.
func (j *job) fetchRemote(ctx context.Context, pc *piece) error {
	c, err := j.client()
	if err != nil {
		return err
	}
	defer c.Close()
	if pc.kind == fromImage {
		if err := j.openStage(nil); err != nil {
			return err
		}
		return j.fetchImage(ctx, c, pc)
	}
	if !pc.archive && j.allLoose(nil) {
		l, err := j.newLoose(pc)
		if err != nil {
			return err
		}
		return j.download(ctx, c, pc, l.File)
	}
	if err := j.openStage(nil); err != nil {
		return err
	}
	name := j.stage.File("download-" + strconv.Itoa(j.number(pc)))
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("stage for %s: %w", pc.shown, err)
	}
	defer f.Close()
	if err := j.download(ctx, c, pc, f); err != nil {
		return err
	}
	if !pc.archive {
		pc.fetched = name
		return nil
	}
	return errors.Join(j.unpackOpen(ctx, pc, f), os.Remove(name))
}

// number is the place of a piece among the sources.
func (j *job) number(pc *piece) int {
	for i := range j.pieces {
		if &j.pieces[i] == pc {
			return i
		}
	}
	return -1
}

// download fills an empty file.
func (j *job) download(ctx context.Context, c *remote.Client, pc *piece, f *os.File) error {
	s := &fileSink{j: j, f: f}
	info, err := c.File(ctx, pc.spec, pc.expect, s)
	if err = errors.Join(err, s.close()); err != nil {
		return err
	}
	if info.Modified.IsZero() {
		info.Modified = time.Now()
	}
	pc.sum = info.Sum
	pc.items = []item.Item{{Path: pc.at, Kind: item.File, Mode: 0o644, Size: info.Size, Mtime: info.Modified.UnixNano(), Sum: info.Sum}}
	return nil
}

// fileSink takes a download in, past the page cache where it is large.
type fileSink struct {
	j     *job
	f     *os.File
	w     *bulk.Writer
	count int64
}

func (s *fileSink) Begin(size int64) error {
	if err := s.close(); err != nil {
		return err
	}
	if size >= 0 {
		if err := s.j.enough(size, 1); err != nil {
			return err
		}
		s.j.progress.wantedBytes.Store(size)
	}
	s.j.progress.add(0, -s.count)
	s.count = 0
	if err := s.f.Truncate(0); err != nil {
		return err
	}
	s.w = bulk.NewWriter(s.f, size)
	return nil
}

func (s *fileSink) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.count += int64(n)
	s.j.progress.add(0, int64(n))
	return n, err
}

func (s *fileSink) close() error {
	if s.w == nil {
		return nil
	}
	w := s.w
	s.w = nil
	return w.Close()
}

// foreignRules are the rules for what was made on another machine: its owners mean nothing here, and neither setuid nor
// the like is taken from it.
func (j *job) foreignRules() item.Rules {
	r := j.rules
	r.Owner, r.Special = false, false
	return r
}

// dressFetched gives a file that was fetched its attributes.
func (j *job) dressFetched(w *want, f *os.File) error {
	refused, err := j.dressed(f, w.item, w.mtime(j.began))
	if err != nil {
		return err
	}
	if refused {
		j.warnOwner(1, w.path)
	}
	j.progress.add(1, 0)
	return nil
}

func (j *job) dressed(f *os.File, it *item.Item, mtime int64) (refused bool, err error) {
	return tree.Dress(f, it, j.foreignRules(), mtime)
}

// placeFetched puts a file that was fetched into the stage where it has to be there.
func (j *job) placeFetched(pc *piece, w *want) error {
	f, err := os.OpenFile(pc.fetched, os.O_RDWR, 0)
	if err == nil {
		err = errors.Join(j.dressFetched(w, f), f.Close())
	}
	if err == nil {
		err = os.Rename(pc.fetched, filepath.Join(j.stage.Dir, pc.at))
	}
	if err != nil {
		return fmt.Errorf("stage %s: %w", pc.shown, err)
	}
	return nil
}
