package adapter

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
	"github.com/sidecar-kit/sidecar/roles/adapter/push"
	"github.com/sidecar-kit/sidecar/roles/adapter/redis"
	"github.com/sidecar-kit/sidecar/roles/adapter/source"
)

// feed is a source at work.
type feed struct {
	plan  sourcePlan
	pull  *source.Source // nil for one that is sent to
	web   *source.Web    // nil for others than HTTP
	table *push.Table

	mu    sync.Mutex
	stop  context.CancelFunc
	done  chan struct{}
	drops model.Drops // of a table, from its pages
}

// newFeed makes what a plan says. No address is taken and nobody is asked yet.
func newFeed(p sourcePlan) (*feed, error) {
	f := &feed{plan: p}
	if p.push != nil {
		decode, err := pushDecoder(p)
		if err != nil {
			return nil, err
		}
		f.table, err = push.New(push.Options{
			Listen: p.push.listen, Decode: decode, Allow: p.push.allow, Receive: int(p.push.buffer), Mapping: p.push.rules, TTL: p.push.ttl, Limits: p.limits,
		})
		return f, err
	}
	var g source.Getter
	switch o := p.pull; {
	case o.URL != nil:
		w, err := source.NewWeb(o)
		if err != nil {
			return nil, err
		}
		f.web, g = w, w
	case p.redis != nil:
		g = redisGetter{p.redis}
	case o.File != "":
		g = source.NewFile(o)
	default:
		g = source.NewCommand(o)
	}
	decode := p.read.decoder(p.limits)
	f.pull = source.New(p.pull, g, func(b source.Body) (model.Page, model.Drops, error) {
		page, drops, err := decode(b)
		if err == nil {
			more, failed := p.program.Apply(&page)
			drops.Add(more)
			err = failed
		}
		return page, drops, err
	})
	return f, nil
}

// redisGetter gets what INFO says.
type redisGetter struct{ o *redis.Options }

// Get implements source.Getter.
func (g redisGetter) Get(ctx context.Context) (source.Body, error) {
	info, err := g.o.Info(ctx)
	return source.Body{Data: []byte(info), Wire: len(info)}, err
}

// open takes addresses and starts what a feed does by itself.
func (f *feed) open(ctx context.Context) error {
	if f.table != nil {
		if err := f.table.Open(ctx); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	done := make(chan struct{})
	f.stop, f.done = cancel, done
	go func() {
		defer close(done)
		switch {
		case f.table != nil:
			_ = f.table.Run(ctx)
		case f.web != nil:
			_ = f.web.Run(ctx)
		}
	}()
	return nil
}

// close gives up what open took, and returns when that is done.
func (f *feed) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stop != nil {
		f.stop()
		<-f.done
	}
	f.stop = nil
}

// fetch is what the source says now.
func (f *feed) fetch(ctx context.Context) source.Result {
	if f.pull != nil {
		return f.pull.Fetch(ctx)
	}
	begun := time.Now()
	page, drops := f.table.Page(begun)
	page.Families = slices.Clone(page.Families)
	more, err := f.plan.program.Apply(&page)
	drops.Add(more)
	f.mu.Lock()
	f.drops.Add(drops)
	f.mu.Unlock()
	if err != nil {
		return source.Result{Err: err, At: begun}
	}
	return source.Result{Page: &page, At: begun, Took: time.Since(begun)}
}

// addresses are where a feed listens.
func (f *feed) addresses() (all []string) {
	if f.table == nil {
		return nil
	}
	for i := range f.plan.push.listen {
		all = append(all, f.table.Addr(i))
	}
	if f.plan.push.http {
		all = append(all, "http")
	}
	return all
}

// dropped is what was left out so far, by reason.
func (f *feed) dropped() model.Drops {
	if f.pull != nil {
		return f.pull.Stats().Drops
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.drops
}

var errNoPage = errors.New("has not been asked yet")
