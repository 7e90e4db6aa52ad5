package pipe

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/sidecar-kit/sidecar/roles/logship/dead"
	"github.com/sidecar-kit/sidecar/roles/logship/out"
)

// send is one of the goroutines that deliver batches.
func (p *Pipe) send(ctx context.Context) {
	for l := range p.sealed {
		err := p.finish(ctx, l)
		if p.stats.inFlight.Add(-1) == 0 {
			p.idle()
		}
		if err != nil {
			continue // ctx is over: what is left is for the next start
		}
		p.c.Store.Done(p.c.Output, l.manifest.Seq)
		p.stats.batches.Add(1)
		p.stats.events.Add(int64(len(l.Items) - l.rejected))
		p.stats.bytes.Add(int64(len(l.Body)))
		p.stats.lastDone.Store(time.Now().UnixNano())
		p.recycle(l)
	}
}

// finish makes a batch durable and delivers it. The error is that of ctx.
func (p *Pipe) finish(ctx context.Context, l *load) error {
	if err := p.persist(ctx, "the journal cannot be written: nothing is sent until it can", func() error { return p.c.Store.Sync(ctx) }); err != nil {
		return err
	}
	if len(l.refused) > 0 {
		if err := p.reject(ctx, l, &l.Batch, l.refused); err != nil {
			return err
		}
	}
	if len(l.Items) == 0 {
		return nil
	}
	return p.deliver(ctx, l, &l.Batch)
}

// persist repeats what has to succeed on a local disk before anything goes on.
func (p *Pipe) persist(ctx context.Context, what string, do func() error) error {
	for attempt := 1; ; attempt++ {
		err := do()
		if err == nil || ctx.Err() != nil {
			if attempt > 1 && err == nil {
				p.stats.problem.Store(nil)
				p.c.Log.Info().Str("output", p.c.Output).Msg("the disk takes writes again")
			}
			return errors.Join(err, ctx.Err())
		}
		text := what + ": " + err.Error()
		p.stats.problem.Store(&text)
		if attempt == 1 || attempt%30 == 0 {
			p.c.Log.Error().AnErr("err", err).Str("output", p.c.Output).Msg(what)
		}
		if !sleep(ctx, p.c.Backoff.Delay(min(attempt, 6))) {
			return ctx.Err()
		}
	}
}

// deliver sends a batch until every item is stored or a dead letter.
func (p *Pipe) deliver(ctx context.Context, l *load, b *out.Batch) error {
	for failures, round := 0, 0; ; round++ {
		err := p.once(ctx, b)
		if ctx.Err() != nil && err != nil {
			return ctx.Err()
		}
		if err == nil {
			again, err := p.settle(ctx, l, b)
			if err != nil || len(again) == 0 {
				return err
			}
			if len(again) < len(b.Items) {
				failures = 0
				b = b.Sub(again, "-"+strconv.Itoa(round+1))
			}
			failures++
			if !sleep(ctx, p.c.Backoff.Delay(failures)) {
				return ctx.Err()
			}
			continue
		}
		f := out.AsFailure(err)
		switch f.How {
		case out.TooLarge:
			return p.halves(ctx, l, b, f)
		case out.Refused:
			return p.reject(ctx, l, b, verdicts(b.Items, f.Err.Error()))
		}
		failures++
		p.failed(f, failures)
		if !sleep(ctx, max(f.After, p.c.Backoff.Delay(failures))) {
			return ctx.Err()
		}
	}
}

// once sends a batch one time.
func (p *Pipe) once(ctx context.Context, b *out.Batch) error {
	if err := p.gate.enter(ctx); err != nil {
		return err
	}
	for i := range b.Items {
		b.Items[i].Verdict, b.Items[i].Reason = out.Done, ""
	}
	start := time.Now()
	limited, cancel := context.WithTimeout(ctx, p.c.Timeout)
	err := p.c.Sink.Send(limited, b)
	cancel()
	p.stats.requests.Add(1)
	if p.c.Took != nil {
		p.c.Took(time.Since(start))
	}
	slow := err != nil && out.AsFailure(err).Slow
	for i := 0; err == nil && !slow && i < len(b.Items); i++ {
		slow = b.Items[i].Verdict == out.Again
	}
	p.gate.leave(slow, err == nil)
	if err == nil && p.stats.problem.Swap(nil) != nil {
		p.stats.paused.Store(false)
		p.c.Log.Info().Str("output", p.c.Output).Msg("the output takes batches again")
	}
	return err
}

// failed counts and tells that a whole batch was not taken. A minute of the same is one line of the log.
func (p *Pipe) failed(f *out.Failure, failures int) {
	p.stats.retries.Add(1)
	text := f.Err.Error()
	old := p.stats.problem.Swap(&text)
	p.stats.paused.Store(f.How == out.Pause)
	now := time.Now().UnixNano()
	last := p.stats.lastFail.Load()
	if old != nil && *old == text && now-last < int64(time.Minute) || !p.stats.lastFail.CompareAndSwap(last, now) {
		return
	}
	ev := p.c.Log.Warn()
	hint := "the batch is sent again; nothing is lost while the files stay"
	if f.How == out.Pause {
		ev, hint = p.c.Log.Error(), "this needs a person: the batch is sent again until it is taken"
	}
	ev.AnErr("err", f.Err).Str("output", p.c.Output).Int("attempt", failures).Str("hint", hint).Msg("the output did not take a batch")
}

// settle writes the dead letters of a batch and returns what is to be sent again.
func (p *Pipe) settle(ctx context.Context, l *load, b *out.Batch) (again []int, err error) {
	var refused []out.Item
	for i := range b.Items {
		switch b.Items[i].Verdict {
		case out.Again:
			again = append(again, i)
		case out.Reject:
			refused = append(refused, b.Items[i])
		}
	}
	if len(refused) > 0 {
		if err := p.reject(ctx, l, b, refused); err != nil {
			return nil, err
		}
	}
	if len(again) > 0 {
		p.stats.again.Add(int64(len(again)))
		text := strconv.Itoa(len(again)) + " events are to be sent again: " + b.Items[again[0]].Reason
		p.stats.problem.Store(&text)
	}
	return again, nil
}

// halves sends a batch in two parts that was too large for the other side. One event alone is a dead letter.
func (p *Pipe) halves(ctx context.Context, l *load, b *out.Batch, f *out.Failure) error {
	n := len(b.Items)
	if n == 1 {
		return p.reject(ctx, l, b, verdicts(b.Items, f.Err.Error()))
	}
	p.stats.splits.Add(1)
	indices := make([]int, n)
	for i := range indices {
		indices[i] = i
	}
	if err := p.deliver(ctx, l, b.Sub(indices[:n/2], "-a")); err != nil {
		return err
	}
	return p.deliver(ctx, l, b.Sub(indices[n/2:], "-b"))
}

func verdicts(items []out.Item, reason string) []out.Item {
	list := make([]out.Item, len(items))
	copy(list, items)
	for i := range list {
		list[i].Verdict, list[i].Reason = out.Reject, reason
	}
	return list
}

// reject writes dead letters. What was sent is in b.
func (p *Pipe) reject(ctx context.Context, l *load, b *out.Batch, items []out.Item) error {
	if items[0].End > items[0].Start {
		l.rejected += len(items)
	}
	letters := p.letters(ctx, l, b, items)
	err := p.persist(ctx, "dead letters cannot be written: the batch waits", func() error { return p.c.Dead.Append(letters...) })
	if err != nil {
		return err
	}
	p.stats.rejected.Add(int64(len(letters)))
	p.c.Log.Error().Str("output", p.c.Output).Int("events", len(letters)).Str("reason", letters[0].Reason).Str("path", letters[0].Path).
		Int64("offset", letters[0].Offset).Str("file", p.c.Dead.Path()).Msg("events were refused and are dead letters now: sidecar logship replay sends them again")
	if p.c.Refused != nil {
		p.c.Refused(letters[len(letters)-1])
	}
	return nil
}

// letters reads the events again, for their documents as they are after all transforms.
func (p *Pipe) letters(ctx context.Context, l *load, b *out.Batch, items []out.Item) []dead.Letter {
	documents := p.documents(ctx, l, items)
	now := time.Now().UTC()
	list := make([]dead.Letter, 0, len(items))
	for _, it := range items {
		letter := dead.Letter{
			Time: now, Output: p.c.Output, Reason: it.Reason, Input: it.File.Input, Path: it.File.Path, Gen: it.File.Gen,
			Offset: it.Offset, Size: it.Size, Stamp: it.Stamp, Document: documents[place{it.File.Gen, it.Offset}],
		}
		if letter.Document == nil {
			letter.Body = append([]byte(nil), b.Body[it.Start:it.End]...)
		}
		list = append(list, letter)
	}
	return list
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
