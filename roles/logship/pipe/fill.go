package pipe

import (
	"context"
	"time"

	"github.com/sidecar-kit/sidecar/roles/logship/content"
	"github.com/sidecar-kit/sidecar/roles/logship/multiline"
	"github.com/sidecar-kit/sidecar/roles/logship/out"
	"github.com/sidecar-kit/sidecar/roles/logship/record"
	"github.com/sidecar-kit/sidecar/roles/logship/source"
	"github.com/sidecar-kit/sidecar/roles/logship/state"
)

// file is what a pipe knows of one generation.
type file struct {
	prog   *content.Program
	joiner *multiline.Joiner // nil: every line is an event
	info   *record.File
	at     state.Pos // up to where batches reach
	held   state.Pos // the end of the lines that joiner holds, which is a border of blocks
	check  uint64    // of held
	batch  uint64    // sequence number of the batch that has the range
	index  int       // of the range in its manifest
	cut    bool      // what comes next must not join that range: an event ended though the text may go on
}

// load is a batch, and what it is made of.
type load struct {
	out.Batch
	manifest state.Manifest
	refused  []out.Item // could not be encoded
	since    time.Time
	bytes    int64 // of the files
	rejected int   // of Items
	begun    bool
}

func (p *Pipe) file(b *source.Block) (*file, error) {
	f := p.files[b.Gen]
	if f == nil {
		prog, err := p.program(b.File.Input)
		if err != nil {
			return nil, err
		}
		f = newFile(prog, b)
		p.files[b.Gen] = f
	}
	f.info = b.File
	return f, nil
}

func newFile(prog *content.Program, b *source.Block) *file {
	return &file{prog: prog, joiner: prog.Joiner(), at: b.From, held: b.From}
}

func (p *Pipe) program(input string) (*content.Program, error) {
	if prog := p.progs[input]; prog != nil {
		return prog, nil
	}
	prog, err := p.c.Program(input)
	if err == nil {
		p.progs[input] = prog
	}
	return prog, err
}

// within marks a piece of a line that goes on behind it, whether what follows is given or not.
const within = record.More | record.Cut

// take makes events of a block. Batches that get full are sealed on the way.
func (p *Pipe) take(ctx context.Context, b *source.Block) error {
	f, err := p.file(b)
	if err != nil {
		return err
	}
	if b.Gap != "" {
		p.skip(f, b)
	} else if f.joiner != nil {
		if err := p.join(ctx, f, b); err != nil {
			return err
		}
	} else {
		for i := range b.Lines {
			l := &b.Lines[i]
			p.event(f, b.Data[l.Start:l.End], l.Off, state.Pos{Off: l.Next, Mid: l.Flags&within != 0}, l.Flags)
			if p.full() {
				if err := p.seal(ctx, b); err != nil {
					return err
				}
			}
		}
		p.reach(f, b.To)
	}
	p.mark(f, b)
	f.held, f.check = b.To, b.Check(b.To.Off)
	if b.Last {
		delete(p.files, b.Gen)
		delete(p.pending, b.Gen)
	}
	return nil
}

// skip goes over bytes that are nowhere any more.
func (p *Pipe) skip(f *file, b *source.Block) {
	if f.joiner != nil && p.pending[b.Gen] != nil {
		p.flush(b.Gen, f)
	}
	p.reach(f, b.From)
	f.cut = true
	p.reach(f, b.To)
	p.cur.manifest.Ranges[f.index].Skip = true
	f.cut = true
	g := p.lost(b.Gen, b.From.Off, b.To.Off, b.Gap)
	p.c.Log.Error().Str("output", p.c.Output).Str("path", g.Path).Int64("from", g.From).Int64("to", g.To).Str("why", b.Gap).Msg("bytes of a file are lost")
}

// join gives the lines of a block to the joiner, and makes events of what it gives back.
func (p *Pipe) join(ctx context.Context, f *file, b *source.Block) error {
	for i := range b.Lines {
		l := &b.Lines[i]
		for _, ev := range f.joiner.Add(b.Data[l.Start:l.End], l.Off, l.Next, l.Flags) {
			mid := ev.Next == l.Next && l.Flags&within != 0
			p.event(f, ev.Text, ev.Off, state.Pos{Off: ev.Next, Mid: mid}, ev.Flags)
			if p.full() {
				if err := p.seal(ctx, b); err != nil {
					return err
				}
			}
		}
	}
	if b.Last {
		p.joined(f, f.joiner.Flush())
	}
	f.joiner.Hold(time.Unix(0, b.Read))
	if _, open := f.joiner.Pending(); !open {
		delete(p.pending, b.Gen)
		p.reach(f, b.To)
		return nil
	}
	p.pending[b.Gen] = f
	return nil
}

func (p *Pipe) joined(f *file, events []multiline.Event) {
	for _, ev := range events {
		p.event(f, ev.Text, ev.Off, state.Pos{Off: ev.Next}, ev.Flags)
	}
}

// flushAll ends the events that have waited long enough at now, or all of them at the zero time.
func (p *Pipe) flushAll(now time.Time) {
	for gen, f := range p.pending {
		if now.IsZero() || !now.Before(f.joiner.Due()) {
			p.flush(gen, f)
		}
	}
}

// flush ends the event that waits for more lines of a file.
func (p *Pipe) flush(gen uint64, f *file) {
	p.joined(f, f.joiner.Flush())
	p.reach(f, f.held)
	if p.cur != nil && f.batch == p.cur.manifest.Seq {
		p.cur.manifest.Ranges[f.index].Check = f.check
	}
	f.cut = true
	delete(p.pending, gen)
}

// event encodes one event into the open batch.
func (p *Pipe) event(f *file, text []byte, off int64, next state.Pos, flags record.Flags) {
	l := p.open()
	r := &p.rec
	r.Reset()
	r.File, r.Offset, r.Size, r.Read, r.Message, r.Flags = f.info, off, next.Off-off, l.manifest.Read, text, flags
	f.prog.Apply(r)
	if r.Drop != "" {
		p.drop(r.Drop)
	} else {
		l.add(p.c.Sink, r)
	}
	p.reach(f, next)
}

// add encodes a record and notes where it is.
func (l *load) add(sink out.Sink, r *record.Record) {
	start := len(l.Body)
	group, err := sink.Append(&l.Batch, r)
	it := out.Item{Start: int32(start), End: int32(len(l.Body)), Group: group, File: r.File, Offset: r.Offset, Size: r.Size, Stamp: r.Stamp()}
	if err != nil {
		l.Body = l.Body[:start]
		it.End, it.Verdict, it.Reason = int32(start), out.Reject, err.Error()
		l.refused = append(l.refused, it)
		return
	}
	l.Items = append(l.Items, it)
}

// open returns the batch that is being filled.
func (p *Pipe) open() *load {
	if p.cur != nil {
		return p.cur
	}
	now := time.Now()
	select {
	case p.cur = <-p.spare:
	default:
		p.cur = &load{Batch: out.Batch{Body: make([]byte, 0, p.c.Limits.Bytes+p.c.Limits.Bytes/8)}} // grown once, not step by step
	}
	l := p.cur
	*l = load{
		Batch:    out.Batch{Body: l.Body[:0], Items: l.Items[:0]},
		manifest: state.Manifest{Output: p.c.Output, Seq: p.seq, Read: now.UnixNano(), Ranges: l.manifest.Ranges[:0]},
		since:    now,
	}
	p.seq++
	return l
}

// reach says that the batch has what f has up to a place.
func (p *Pipe) reach(f *file, to state.Pos) {
	if to == f.at {
		return
	}
	l := p.open()
	if f.batch != l.manifest.Seq || f.cut {
		f.batch, f.index, f.cut = l.manifest.Seq, len(l.manifest.Ranges), false
		l.manifest.Ranges = append(l.manifest.Ranges, state.Range{Gen: f.info.Gen, From: f.at})
	}
	l.manifest.Ranges[f.index].To = to
	l.bytes += to.Off - f.at.Off
	f.at = to
}

// mark notes what the bytes before the end of f's range are. It is called while they are there.
func (p *Pipe) mark(f *file, b *source.Block) {
	if p.cur == nil || f.batch != p.cur.manifest.Seq {
		return
	}
	r := &p.cur.manifest.Ranges[f.index]
	if r.To == f.held {
		r.Check = f.check
		return
	}
	if r.To.Off >= b.From.Off {
		r.Check = b.Check(r.To.Off)
	}
}

func (p *Pipe) full() bool {
	return p.cur != nil && (len(p.cur.Body) >= p.c.Limits.Bytes || len(p.cur.Items) >= p.c.Limits.Events)
}

// seal gives the open batch to the senders. The block is the one that is at work, or nil.
func (p *Pipe) seal(ctx context.Context, b *source.Block) error {
	l := p.cur
	if l == nil {
		return nil
	}
	if b != nil {
		p.mark(p.files[b.Gen], b)
	}
	p.cur = nil
	return p.dispatch(ctx, l)
}

func (p *Pipe) dispatch(ctx context.Context, l *load) error {
	m := &l.manifest
	m.Events = int32(len(l.Items) + len(l.refused))
	if len(m.Ranges) == 0 {
		p.recycle(l)
		return nil
	}
	l.ID = string(record.AppendID(nil, m.Ranges[0].Gen, m.Ranges[0].From.Off))
	if !l.begun {
		kept := *m
		kept.Ranges = append([]state.Range(nil), m.Ranges...)
		p.c.Store.Begin(kept)
	}
	p.stats.inFlight.Add(1)
	select {
	case p.sealed <- l:
		return nil
	case <-ctx.Done():
		p.stats.inFlight.Add(-1)
		return ctx.Err()
	}
}

func (p *Pipe) recycle(l *load) {
	if cap(l.Body) > 2*p.c.Limits.Bytes+64<<10 {
		l.Body = nil // a batch with one long line does not keep its memory
	}
	select {
	case p.spare <- l:
	default:
	}
}
