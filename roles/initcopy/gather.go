package initcopy

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
	"github.com/sidecar-kit/sidecar/roles/initcopy/manifest"
	"github.com/sidecar-kit/sidecar/roles/initcopy/tree"
)

// opaque says that what a piece consists of is known only when it was fetched or unpacked.
func (p *piece) opaque() bool { return p.kind != fromSelf && (p.kind != fromDisk || p.archive) }

// gather finds out what every source consists of. Archives and downloads that an earlier run took in already are believed
// to be what they were; the others are staged here, because only then their entries are known.
func (j *job) gather(ctx context.Context) error {
	for i := range j.pieces {
		pc := &j.pieces[i]
		if pc.got {
			continue // fetched when it was not known that others have to be
		}
		pc.items = nil
		var err error
		switch {
		case pc.opaque():
			err = j.takeIn(ctx, pc)
		case pc.file:
			err = j.listFile(pc)
		default:
			err = j.listTree(ctx, pc)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (j *job) listTree(ctx context.Context, pc *piece) error {
	if pc.expect != nil {
		return fmt.Errorf("--expect: %s is a folder, which has no digest\nhint: pin an archive instead, or compare with --verify", pc.shown)
	}
	o := tree.ScanOptions{Workers: j.cfg.Workers, Choose: j.choice}
	if j.cfg.Specials == "skip" {
		o.Specials = tree.SkipSpecials
	}
	listing, err := tree.Scan(ctx, pc.dir, o)
	if err != nil {
		return fmt.Errorf("source %s: %w", pc.shown, err)
	}
	if n := len(listing.Skipped); n > 0 {
		j.log.Warn().Str("path", listing.Skipped[0]).Int("count", n).Msg("devices, FIFOs or sockets are left out")
		j.report.Skipped += n
	}
	if err := j.withinLimits(pc, int64(len(listing.Items)), listing.Bytes); err != nil {
		return err
	}
	pc.items = listing.Items
	if j.cfg.Template {
		return j.render(pc)
	}
	return nil
}

func (j *job) withinLimits(pc *piece, entries, bytes int64) error {
	if j.cfg.MaxFiles > 0 && entries > j.cfg.MaxFiles {
		return fmt.Errorf("source %s has %d entries, more than --max-entries %d", pc.shown, entries, j.cfg.MaxFiles)
	}
	if j.cfg.MaxBytes > 0 && bytes > j.cfg.MaxBytes {
		return fmt.Errorf("source %s has %d bytes, more than --max-bytes %d", pc.shown, bytes, j.cfg.MaxBytes)
	}
	return nil
}

// listFile is listTree for a source that is one file.
func (j *job) listFile(pc *piece) error {
	if pc.kind == fromSelf {
		pc.path = selfPath()
	}
	real, err := filepath.EvalSymlinks(pc.path)
	if err != nil {
		return explainSource(pc.path, err)
	}
	it, err := describe(real)
	if err != nil {
		return err
	}
	pc.dir, it.Path = filepath.Dir(real), filepath.Base(real)
	if pc.kind == fromSelf {
		it.Mode = 0o555
	}
	if err := j.withinLimits(pc, 1, it.Size); err != nil {
		return err
	}
	pc.items = []item.Item{it}
	if j.cfg.Template && pc.kind == fromDisk {
		return j.render(pc)
	}
	return nil
}

// takeIn recalls what an archive or a download consists of, or fetches it.
func (j *job) takeIn(ctx context.Context, pc *piece) error {
	if known, err := j.recall(ctx, pc); known || err != nil {
		return err
	}
	if j.cfg.DryRun {
		pc.unknown = true
		return nil
	}
	return j.fetch(ctx, pc)
}

// recall takes the entries of a piece from the manifest, where that was made of the same content.
func (j *job) recall(ctx context.Context, pc *piece) (known bool, err error) {
	if j.before == nil || !j.alike {
		return false, nil
	}
	n := -1
	for i := range j.before.Inputs {
		if j.before.Inputs[i].Name == pc.shown {
			n = i
		}
	}
	if n < 0 {
		return false, nil
	}
	in := j.before.Inputs[n]
	switch {
	case pc.expect != nil && *pc.expect != in.Sum:
		return false, nil
	case pc.kind == fromDisk:
		it, err := describe(pc.path)
		if err != nil {
			return false, err
		}
		if manifest.Of(&it) != in.State {
			sum, err := j.sumOf(ctx, pc.path)
			if err != nil || sum != in.Sum {
				return false, err
			}
		}
		pc.state = manifest.Of(&it)
	case pc.expect == nil:
		return false, nil // nothing says that the content is still the same
	}
	pc.sum = in.Sum
	for i := range j.before.Entries {
		e := &j.before.Entries[i]
		if e.Input != n+1 {
			continue
		}
		rel, err := filepath.Rel(pc.at, e.Path)
		if err != nil || pc.file {
			rel = e.Path
		}
		pc.items = append(pc.items, item.Item{Path: rel, Kind: e.Kind, Mode: e.Mode, Size: e.Copy.Size, Mtime: e.Copy.Mtime, Link: e.Link, Sum: e.Sum})
	}
	pc.recalled = true
	return true, nil
}

// describe says what the kernel knows of a regular file.
func describe(path string) (item.Item, error) {
	f, err := os.Open(path)
	if err != nil {
		return item.Item{}, explainSource(path, err)
	}
	defer f.Close()
	return tree.Stat(f)
}

// sumOf reads a file of the disk.
func (j *job) sumOf(ctx context.Context, path string) (item.Sum, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return item.Sum{}, explainSource(path, err)
	}
	it, err := describe(real)
	if err != nil {
		return item.Sum{}, err
	}
	it.Path = filepath.Base(real)
	items := []item.Item{it}
	if err := tree.Sums(ctx, filepath.Dir(real), items, 1, j.progress.add); err != nil {
		return item.Sum{}, err
	}
	if items[0].Sum.IsZero() {
		return item.Sum{}, fmt.Errorf("source %s changed while it was read\nhint: run again when nobody writes to it", path)
	}
	return items[0].Sum, nil
}

// checkPins compares with --expect the files that nobody is going to read, because they are in place already or in a
// dry run. A file that is copied is compared by who copies it.
func (j *job) checkPins(ctx context.Context, p *plan) error {
	for i := range j.pieces {
		pc := &j.pieces[i]
		copied := slices.ContainsFunc(p.wants, func(w want) bool { return w.piece == pc && !w.same })
		if pc.expect == nil || !pc.file || pc.opaque() || pc.rendered != nil || copied && !j.cfg.DryRun {
			continue
		}
		sum := pc.items[0].Sum // of the manifest, where the source is as it was
		if sum.IsZero() {
			var err error
			if sum, err = j.sumOf(ctx, pc.path); err != nil {
				return err
			}
		}
		if err := pc.checkSum(sum); err != nil {
			return err
		}
	}
	return nil
}

// checkSum compares what was read with --expect.
func (pc *piece) checkSum(sum item.Sum) error {
	if pc.expect == nil || *pc.expect == sum {
		return nil
	}
	return fmt.Errorf("source %s has %s, and --expect says %s\nhint: the content is not what was pinned; nothing was changed", pc.shown, sum, pc.expect)
}

// selfPath is the running program, also when its file was replaced meanwhile.
func selfPath() string {
	if _, err := os.Stat("/proc/self/exe"); err == nil {
		return "/proc/self/exe"
	}
	path, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return path
}

// choice is the filter; stages and manifests of a source that was a target itself stay behind.
func (j *job) choice(path string, dir bool) tree.Verdict {
	if hidden(path) {
		return tree.Leave
	}
	return j.filter.Choose(path, dir)
}

// taken is the filter as archives ask it.
func (j *job) taken(path string, dir bool) bool {
	v := j.choice(path, dir)
	return v == tree.Take || v == tree.Descend
}
