package initcopy

import (
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
	"github.com/sidecar-kit/sidecar/roles/initcopy/manifest"
	"github.com/sidecar-kit/sidecar/roles/initcopy/place"
	"github.com/sidecar-kit/sidecar/roles/initcopy/unpack"
)

// fetch stages what an archive or a download consists of.
func (j *job) fetch(ctx context.Context, pc *piece) error {
	j.phase("fetching")
	pc.recalled = false
	if err := j.take(ctx, pc); err != nil {
		return err
	}
	pc.got = true
	return nil
}

func (j *job) take(ctx context.Context, pc *piece) error {
	if pc.kind == fromWeb || pc.kind == fromImage {
		return j.fetchRemote(ctx, pc)
	}
	if err := j.openStage(nil); err != nil {
		return err
	}
	if pc.kind == fromStdin {
		return j.unpackStream(ctx, pc, os.Stdin)
	}
	return j.unpackFile(ctx, pc)
}

// openStage makes the stage, once.
func (j *job) openStage(p *plan) (err error) {
	if j.stage != nil {
		return nil
	}
	j.stage, err = place.NewStage(j.parent, j.sheltered(p) || p == nil && j.awaitsWar())
	if err != nil {
		return fmt.Errorf("stage for %s: %w", j.target.dst, err)
	}
	return nil
}

// awaitsWar is sheltered for what is not fetched yet.
func (j *job) awaitsWar() bool {
	for i := range j.pieces {
		if strings.EqualFold(path.Ext(j.pieces[i].at), ".war") {
			return true
		}
	}
	return false
}

// room makes the folder that a piece is unpacked into.
func (j *job) room(pc *piece) (*os.Root, error) {
	pc.staged = j.stage.File("source-" + strconv.Itoa(j.number(pc)))
	if err := os.RemoveAll(pc.staged); err != nil {
		return nil, err
	}
	if err := os.Mkdir(pc.staged, 0o777); err != nil {
		return nil, err
	}
	return os.OpenRoot(pc.staged)
}

func (j *job) unpackOptions() unpack.Options {
	c := j.cfg
	o := unpack.Options{
		Limits: unpack.Limits{Bytes: c.MaxBytes, Entries: c.MaxFiles, Ratio: c.MaxRatio, Name: c.MaxName, Depth: c.MaxDepth},
		Rules:  j.rules, Strip: c.Strip, Workers: c.Workers, Specials: c.Specials, Links: c.Links, Done: j.progress.add, Filter: j.taken,
	}
	return o
}

// unpackFile unpacks an archive that lies on the disk, after a look at its digest and at the space there is.
func (j *job) unpackFile(ctx context.Context, pc *piece) error {
	f, err := os.Open(pc.path)
	if err != nil {
		return explainSource(pc.path, err)
	}
	defer f.Close()
	before, err := describe(pc.path)
	if err != nil {
		return err
	}
	if pc.expect != nil { // nothing of it is parsed before it is known to be the right one
		if pc.sum, err = j.sumOf(ctx, pc.path); err == nil {
			err = pc.checkSum(pc.sum)
		}
		if err == nil {
			err = j.unpackOpen(ctx, pc, f)
		}
	} else {
		err = j.unpackAndSum(ctx, pc, f)
	}
	if err != nil {
		return err
	}
	after, err := describe(pc.path)
	if err != nil {
		return err
	}
	pc.state = manifest.Of(&after)
	if pc.state != manifest.Of(&before) {
		return fmt.Errorf("source %s changed while it was unpacked\nhint: run again when nobody writes to it", pc.shown)
	}
	return nil
}

// unpackAndSum unpacks an archive while its digest is made.
func (j *job) unpackAndSum(ctx context.Context, pc *piece, f *os.File) error {
	if j.cfg.Digest == "none" {
		return j.unpackOpen(ctx, pc, f)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan item.Sum, 1)
	go func() {
		sum, err := j.sumOf(ctx, pc.path)
		if err != nil {
			cancel(err)
		}
		done <- sum
	}()
	err := j.unpackOpen(ctx, pc, f)
	if err != nil {
		cancel(err)
	}
	pc.sum = <-done
	return context.Cause(ctx) // err is that, or came of it
}

// unpackOpen unpacks an archive that was opened, after a look at the space there is.
func (j *job) unpackOpen(ctx context.Context, pc *piece, f *os.File) error {
	if bytes, entries, known := unpack.Declared(f); known {
		if err := j.enough(bytes, entries); err != nil {
			return err
		}
	}
	root, err := j.room(pc)
	if err != nil {
		return fmt.Errorf("stage for %s: %w", pc.shown, err)
	}
	defer root.Close()
	items, rep, err := unpack.File(ctx, pc.shown, f, root, j.unpackOptions())
	if err != nil {
		return err
	}
	return j.unpacked(pc, items, rep)
}

// unpackStream unpacks an archive that can be read once. Its digest is known, and compared, at the end.
func (j *job) unpackStream(ctx context.Context, pc *piece, in io.Reader) error {
	root, err := j.room(pc)
	if err != nil {
		return fmt.Errorf("stage for %s: %w", pc.shown, err)
	}
	defer root.Close()
	d := newDigester(interruptible(ctx, in))
	items, rep, err := unpack.Stream(ctx, pc.shown, d, root, j.unpackOptions())
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, d); err != nil { // what follows the archive counts for the digest, too
		return fmt.Errorf("source %s: %w", pc.shown, err)
	}
	pc.sum = d.sum()
	if err := pc.checkSum(pc.sum); err != nil {
		return err
	}
	return j.unpacked(pc, items, rep)
}

func (j *job) unpacked(pc *piece, items []item.Item, rep unpack.Report) error {
	if len(items) == 0 {
		return fmt.Errorf("unpack %s: there is nothing in it to copy\nhint: the archive is empty, or --strip-components, --include and --exclude leave out all of it", pc.shown)
	}
	pc.items = items
	j.report.Skipped += rep.Skipped
	if rep.Skipped > 0 {
		j.log.Warn().Str("source", pc.shown).Int("count", rep.Skipped).Msg("devices, FIFOs, sockets or links that lead out are left out")
	}
	if rep.Unowned > 0 {
		j.warnOwner(rep.Unowned, pc.shown)
	}
	return nil
}
