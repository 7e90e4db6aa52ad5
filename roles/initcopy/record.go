package initcopy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
	"github.com/sidecar-kit/sidecar/roles/initcopy/manifest"
	"github.com/sidecar-kit/sidecar/roles/initcopy/tree"
)

// longestTick is that of a kernel whose clock ticks a hundred times a second.
const longestTick = 12 * time.Millisecond

// known is what the kernel is certain to say of a copy, where that is known before it is published.
func (j *job) known(w *want, units map[string]*unit) (state manifest.State, mode uint32, ok bool) {
	u := units[j.unitOf(w.path)]
	switch {
	case w.made.Ident.Ino != 0:
		return manifest.State{Ino: w.made.Ident.Ino, Size: w.item.Size, Mtime: w.made.Mtime, Ctime: w.made.Ident.Ctime}, w.made.Mode, true
	case w.same && (u == nil || !u.changed || !u.full):
		return manifest.Of(w.now), w.now.Mode, true
	}
	return manifest.State{}, 0, false
}

// hold waits until what was staged is older than a tick, so that a change by whoever sees it next has another time.
func (j *job) hold(ctx context.Context, since time.Time) error {
	timer := time.NewTimer(time.Until(since.Add(tick())))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// record writes down what was published. Without it, as after a kill, the next run has to read the content; so what goes
// wrong here is no reason to fail.
func (j *job) record(ctx context.Context, p *plan, units map[string]*unit) {
	name := j.manifestPath()
	if name == "" {
		return
	}
	j.phase("recording")
	if j.stage != nil { // its names count as links of files that were replaced, and their end changes their times
		if err := j.stage.Remove(); err != nil {
			j.log.Warn().AnErr("err", err).Msg("what was replaced cannot be removed, it stays in a hidden folder")
		}
		j.stage = nil
	}
	if err := j.write(ctx, name, p, units); err != nil && ctx.Err() == nil {
		j.log.Warn().AnErr("err", err).Msg("no manifest is written, the next run has to read everything")
	}
}

func (j *job) write(ctx context.Context, name string, p *plan, units map[string]*unit) error {
	for i := range p.wants {
		if _, _, ok := j.known(&p.wants[i], units); !ok && p.wants[i].item.Kind == item.File {
			if err := j.hold(ctx, time.Now()); err != nil {
				return err
			}
			break
		}
	}
	looker, err := tree.NewLooker(j.published)
	if err != nil {
		return err
	}
	defer looker.Close()
	return manifest.Stream(name, 0o644, j.cfg.fingerprint(), j.inputs(), len(p.wants), func(i int, e *manifest.Entry) error {
		w := &p.wants[i]
		*e = manifest.Entry{
			Path: w.path, Kind: w.item.Kind, Mode: j.rules.ModeOf(w.item), Link: w.item.Link, Sum: w.item.Sum,
			Source: w.stateOf(), Input: w.piece.input,
		}
		e.UID, e.GID = j.rules.OwnerOf(w.item)
		// A folder of others kept what it had. When it is ours alone again, that counts as a change.
		kept := e.Kind == item.Dir && (p.mixed[w.path] || p.pinned[w.path])
		var ok bool
		if e.Copy, e.Got, ok = j.known(w, units); ok && !kept {
			return nil
		}
		it := item.Item{Path: w.path}
		if err := looker.Look(&it); err != nil {
			return err
		}
		if it.Kind != w.item.Kind {
			return fmt.Errorf("%s is gone already: does another program write in %s?", w.path, j.published)
		}
		e.Copy, e.Got = manifest.Of(&it), it.Mode
		if kept {
			e.Mode, e.UID, e.GID = it.Mode, int(it.UID), int(it.GID)
		}
		return nil
	})
}

// inputs are the sources that are no trees, and numbers them.
func (j *job) inputs() []manifest.Input {
	var all []manifest.Input
	for i := range j.pieces {
		if pc := &j.pieces[i]; pc.opaque() {
			all = append(all, manifest.Input{Name: pc.shown, State: pc.state, Sum: pc.sum})
			pc.input = len(all)
		}
	}
	return all
}

// otherInputs tells whether an archive or a download is another than the one that the manifest knows, though nothing
// else came out of it.
func (j *job) otherInputs() bool {
	for i := range j.pieces {
		pc := &j.pieces[i]
		if !pc.opaque() || j.before == nil {
			continue
		}
		if in := j.before.Input(pc.shown); in == nil || in.State != pc.state || in.Sum != pc.sum {
			return true
		}
	}
	return false
}

// digest stands for all that is wanted: names, kinds, modes and contents.
func (j *job) digest() string {
	h := sha256.New()
	for i := range j.pieces {
		pc := &j.pieces[i]
		for n := range pc.items {
			it := &pc.items[n]
			fmt.Fprintf(h, "%s\x00%d\x00%o\x00%s\x00%x\n", pc.nameOf(it), it.Kind, j.rules.ModeOf(it), it.Link, it.Sum[:])
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}
