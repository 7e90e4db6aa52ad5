package initcopy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strconv"

	"github.com/sidecar-kit/sidecar/internal/publish"
	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
	"github.com/sidecar-kit/sidecar/roles/initcopy/layers"
	"github.com/sidecar-kit/sidecar/roles/initcopy/remote"
	"github.com/sidecar-kit/sidecar/roles/initcopy/unpack"
)

// fetchImage takes a file or the content of a folder out of an image. Layers are read from the top down, as far as they
// are needed, each unpacked into a folder of its own; what counts of it is moved on, the rest removed.
func (j *job) fetchImage(ctx context.Context, c *remote.Client, pc *piece) error {
	ref, err := remote.ParseReference(pc.spec)
	if err != nil {
		return err
	}
	platform, err := remote.ParsePlatform(j.cfg.Platform)
	if err != nil {
		return err
	}
	im, err := c.Image(ctx, ref, platform)
	if err != nil {
		return err
	}
	if ref.Digest.IsZero() {
		j.log.Info().Str("source", pc.shown).Stringer("digest", im.Digest).Msg("the tag stands for this digest now")
	}
	pc.sum = im.Digest
	root, err := j.room(pc)
	if err != nil {
		return fmt.Errorf("stage for %s: %w", pc.shown, err)
	}
	if err := root.Close(); err != nil {
		return err
	}
	single := pc.file || pc.archive
	b := layers.New(ref.Path, !single)
	if len(j.cfg.Include)+len(j.cfg.Exclude) > 0 && !single {
		b.Filter = j.taken
	}
	left := layersLeft{j.cfg.MaxBytes, j.cfg.MaxFiles}
	for n := im.Layers() - 1; n >= 0 && !b.Complete(); n-- {
		if err := j.layer(ctx, pc, im, n, b, &left); err != nil {
			return err
		}
	}
	items, err := b.Items()
	if err != nil {
		return fmt.Errorf("source %s: %w", pc.shown, err)
	}
	if single {
		return j.imageFile(ctx, pc, items[0])
	}
	return j.imageTree(pc, items)
}

// layersLeft is what of the limits is left for lower layers.
type layersLeft struct{ bytes, entries int64 }

// layer takes what counts of one layer.
func (j *job) layer(ctx context.Context, pc *piece, im *remote.Image, n int, b *layers.Builder, left *layersLeft) (err error) {
	name := fmt.Sprintf("source-%d-layer-%d", j.number(pc), n)
	dir := j.stage.File(name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, publish.RemoveAll(dir)) }()
	into, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer into.Close()
	o := j.unpackOptions()
	o.Strip, o.Filter, o.Links = 0, b.Take, unpack.Keep // links are looked at when all layers are known
	o.Limits.Bytes, o.Limits.Entries = left.bytes, left.entries
	o.Rules = j.foreignRules()
	open, err := item.ParseChanges("Du+rwx") // what is in folders must be moved out; they get their modes in the end
	if err != nil {
		return err
	}
	o.Rules.Chmod = append(o.Rules.Chmod[:len(o.Rules.Chmod):len(o.Rules.Chmod)], open...)
	var items []item.Item
	err = im.Layer(ctx, n, func(ctx context.Context, name string, r io.Reader) error {
		b.Begin()
		var rep unpack.Report
		items, rep, err = unpack.Stream(ctx, name, r, into, o)
		j.report.Skipped += rep.Skipped
		left.take(rep)
		return err
	})
	if err != nil {
		return err
	}
	above, err := os.OpenRoot(filepath.Dir(pc.staged))
	if err != nil {
		return err
	}
	defer above.Close()
	staged := filepath.Base(pc.staged)
	err = b.Add(items, func(from, to string) error {
		return above.Rename(path.Join(name, from), path.Join(staged, to))
	}, func(gone string) error { return above.Remove(path.Join(staged, gone)) })
	if err != nil {
		return fmt.Errorf("source %s: %w", pc.shown, err)
	}
	return nil
}

// take lowers the limits; one that is used up stays at its least, because 0 is none.
func (l *layersLeft) take(rep unpack.Report) {
	if l.bytes > 0 {
		l.bytes = max(l.bytes-rep.Bytes, 1)
	}
	if l.entries > 0 {
		l.entries = max(l.entries-int64(rep.Files+rep.Folders+rep.Links+rep.Hard+rep.Left), 1)
	}
}

// imageFile is for an image of which one file is wanted.
func (j *job) imageFile(ctx context.Context, pc *piece, it item.Item) error {
	name := filepath.Join(pc.staged, path.Base(it.Path))
	if pc.archive {
		f, err := os.Open(name)
		if err != nil {
			return fmt.Errorf("stage %s: %w", pc.shown, err)
		}
		defer f.Close()
		archive := j.stage.File("archive-" + strconv.Itoa(j.number(pc)))
		if err := os.Rename(name, archive); err != nil {
			return fmt.Errorf("stage %s: %w", pc.shown, err)
		}
		return errors.Join(j.unpackOpen(ctx, pc, f), os.Remove(archive))
	}
	pc.fetched, pc.staged = name, ""
	it.Path = pc.at
	pc.items = []item.Item{it}
	return nil
}

// imageTree is for a folder of an image. Its folders get their attributes now that everything is in them.
func (j *job) imageTree(pc *piece, items []item.Item) error {
	root, err := os.OpenRoot(pc.staged)
	if err != nil {
		return fmt.Errorf("stage %s: %w", pc.shown, err)
	}
	defer root.Close()
	if items, err = j.imageLinks(pc, root, items); err != nil {
		return err
	}
	for i := len(items) - 1; i >= 0; i-- {
		if it := &items[i]; it.Kind == item.Dir {
			if err := j.dressFolder(root, it); err != nil {
				return fmt.Errorf("stage %s: %w", pc.shown, err)
			}
		}
	}
	pc.items = items
	return nil
}

// imageLinks does with links that lead out of the folder what --links says.
func (j *job) imageLinks(pc *piece, root *os.Root, items []item.Item) ([]item.Item, error) {
	links, reasons := unpack.Outside(items)
	if len(links) == 0 || j.cfg.Links == unpack.Keep {
		return items, nil
	}
	if j.cfg.Links != unpack.Skip {
		return nil, fmt.Errorf("source %s: %q is a symbolic link to %q and %s\nhint: leave it out with --links=skip; or make it with --links=keep",
			pc.shown, links[0].Path, links[0].Link, reasons[0])
	}
	gone := map[string]bool{}
	for _, l := range links {
		if err := root.Remove(l.Path); err != nil {
			return nil, fmt.Errorf("stage %s: %w", pc.shown, err)
		}
		gone[l.Path] = true
	}
	kept := items[:0]
	for _, it := range items {
		if !gone[it.Path] {
			kept = append(kept, it)
		}
	}
	j.report.Skipped += len(links)
	j.log.Warn().Str("source", pc.shown).Int("count", len(links)).Msg("links that lead out are left out")
	return kept, nil
}

func (j *job) dressFolder(root *os.Root, it *item.Item) error {
	f, err := root.Open(it.Path)
	if err != nil {
		return err
	}
	refused, err := j.dressed(f, it, it.Mtime)
	if refused {
		j.warnOwner(1, it.Path)
	}
	return errors.Join(err, f.Close())
}
