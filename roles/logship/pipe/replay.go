package pipe

import (
	"context"
	"errors"
	"time"

	"github.com/sidecar-kit/sidecar/roles/logship/content"
	"github.com/sidecar-kit/sidecar/roles/logship/multiline"
	"github.com/sidecar-kit/sidecar/roles/logship/out"
	"github.com/sidecar-kit/sidecar/roles/logship/record"
	"github.com/sidecar-kit/sidecar/roles/logship/source"
	"github.com/sidecar-kit/sidecar/roles/logship/state"
)

// replay sends the batches again that were under way when the last process ended: the same bytes of the same files.
func (p *Pipe) replay(ctx context.Context) error {
	pending := p.c.Store.Pending(p.c.Output)
	if len(pending) == 0 {
		return nil
	}
	p.c.Log.Info().Str("output", p.c.Output).Int("batches", len(pending)).Msg("sending again what was under way")
	for _, m := range pending {
		if err := p.replayOne(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// replayOne makes a batch again. Where its files cannot be read now but perhaps later, it stays for the next start.
func (p *Pipe) replayOne(ctx context.Context, m state.Manifest) error {
	l := &load{manifest: m, since: time.Now(), begun: true}
	for attempt := 1; ; attempt++ {
		l.Body, l.Items, l.refused = l.Body[:0], l.Items[:0], nil
		err := p.again(ctx, m, p.program, func(r *record.Record) {
			if r.Drop == "" {
				l.add(p.c.Sink, r)
			}
		})
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if attempt == patienceForFiles {
			p.c.Log.Error().AnErr("err", err).Str("output", p.c.Output).Uint64("batch", m.Seq).Msg("a batch that was under way cannot be read again now: it is left for the next start")
			return nil
		}
		if !sleep(ctx, p.c.Backoff.Delay(min(attempt, 4))) {
			return ctx.Err()
		}
	}
	for _, r := range m.Ranges {
		l.bytes += r.To.Off - r.From.Off
	}
	return p.dispatch(ctx, l)
}

// patienceForFiles is how often the files of a batch are tried.
const patienceForFiles = 10

// again reads the ranges of a manifest and gives the records that they make. What cannot be read any more is a gap.
func (p *Pipe) again(ctx context.Context, m state.Manifest, program func(string) (*content.Program, error), fn func(*record.Record)) error {
	var rec record.Record
	for _, rg := range m.Ranges {
		if rg.Skip {
			continue
		}
		var f *file
		at := rg.From.Off
		give := func(text []byte, off, next int64, flags record.Flags) {
			rec.Reset()
			rec.File, rec.Offset, rec.Size, rec.Read, rec.Message, rec.Flags = f.info, off, next-off, m.Read, text, flags
			f.prog.Apply(&rec)
			fn(&rec)
		}
		for b, err := range p.c.Reader.Range(ctx, rg) {
			if err != nil {
				if ctx.Err() != nil || !errors.Is(err, source.ErrGone) {
					return errors.Join(err, ctx.Err())
				}
				p.gap(rg, at, err)
				break
			}
			if f == nil {
				prog, err := program(b.File.Input)
				if err != nil {
					b.Release()
					return err
				}
				prog.Replay(true)
				defer prog.Replay(false)
				f = newFile(prog, b)
			}
			f.info = b.File
			p.again1(f, b, give)
			at = b.To.Off
			b.Release()
		}
		if f != nil && f.joiner != nil {
			gives(f.joiner.Flush(), give)
		}
	}
	return nil
}

func (p *Pipe) again1(f *file, b *source.Block, give func(text []byte, off, next int64, flags record.Flags)) {
	for i := range b.Lines {
		l := &b.Lines[i]
		if f.joiner == nil {
			give(b.Data[l.Start:l.End], l.Off, l.Next, l.Flags)
			continue
		}
		gives(f.joiner.Add(b.Data[l.Start:l.End], l.Off, l.Next, l.Flags), give)
	}
	if f.joiner != nil {
		f.joiner.Hold(time.Time{})
	}
}

func gives(events []multiline.Event, give func(text []byte, off, next int64, flags record.Flags)) {
	for _, ev := range events {
		give(ev.Text, ev.Off, ev.Next, ev.Flags)
	}
}

func (p *Pipe) gap(rg state.Range, at int64, err error) {
	g := p.lost(rg.Gen, at, rg.To.Off, "unreadable")
	p.c.Log.Error().AnErr("err", err).Str("output", p.c.Output).Str("path", g.Path).Int64("from", at).Int64("to", rg.To.Off).
		Msg("what was under way cannot be read any more: these bytes may be lost")
}

// lost records a gap.
func (p *Pipe) lost(gen uint64, from, to int64, reason string) state.Gap {
	g := state.Gap{Gen: gen, Output: p.c.Output, From: from, To: to, Reason: reason, At: time.Now().UnixNano()}
	if known, ok := p.c.Store.Gen(gen); ok {
		g.Path = known.Path
	}
	p.c.Store.Lost(g)
	return g
}

type place struct {
	gen    uint64
	offset int64
}

// documents reads events of a batch again.
func (p *Pipe) documents(ctx context.Context, l *load, items []out.Item) map[place][]byte {
	found := make(map[place][]byte, len(items))
	wanted := make(map[place]bool, len(items))
	for _, it := range items {
		wanted[place{it.File.Gen, it.Offset}] = true
	}
	progs := map[string]*content.Program{} // of this goroutine
	program := func(input string) (*content.Program, error) {
		if prog := progs[input]; prog != nil {
			return prog, nil
		}
		prog, err := p.c.Program(input)
		progs[input] = prog
		return prog, err
	}
	err := p.again(ctx, l.manifest, program, func(r *record.Record) {
		if at := (place{r.File.Gen, r.Offset}); wanted[at] {
			found[at] = record.AppendJSON(nil, r)
		}
	})
	if err != nil {
		p.c.Log.Warn().AnErr("err", err).Str("output", p.c.Output).Msg("dead letters have what was sent, not their documents")
	}
	return found
}
