package adapter

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/roles/adapter/check"
	"github.com/sidecar-kit/sidecar/roles/adapter/merge"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
	"github.com/sidecar-kit/sidecar/roles/adapter/source"
	"github.com/sidecar-kit/sidecar/roles/adapter/view"
)

// same is whether two values say the same; where they stand does not matter.
func same(a, b draft.Value) bool { return reflect.DeepEqual(bare(a), bare(b)) }

func bare(v draft.Value) draft.Value {
	v.Place, v.Key = "", ""
	v.Items, v.Pairs = slices.Clone(v.Items), slices.Clone(v.Pairs)
	for i := range v.Items {
		v.Items[i] = bare(v.Items[i])
	}
	for i := range v.Pairs {
		v.Pairs[i].Place = ""
		v.Pairs[i].Value = bare(v.Pairs[i].Value)
	}
	return v
}

// goesOn is whether a source that is at work is what the new plan says, with all that its files said.
func (f *feed) goesOn(p *sourcePlan) bool {
	return f.plan.name == p.name && f.plan.modules == p.modules && same(f.plan.value, p.value) && reflect.DeepEqual(f.plan.push, p.push)
}

// build makes works. Feeds of old that are the same go on, with what they know; fresh are the others.
func (a *Adapter) build(p *plan, old *works) (w *works, fresh []*feed, err error) {
	w = &works{plan: p, stop: func() {}}
	var errs []error
	for i := range p.sources {
		var f *feed
		if old != nil {
			at := slices.IndexFunc(old.sources, func(f *feed) bool { return f.goesOn(&p.sources[i]) })
			if at >= 0 {
				f = old.sources[at]
			}
		}
		if f == nil {
			made, err := newFeed(p.sources[i])
			if err != nil {
				errs = append(errs, fmt.Errorf("source %s: %w", p.sources[i].name, err))
				continue
			}
			f = made
			fresh = append(fresh, f)
		}
		w.sources = append(w.sources, f)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, nil, err
	}
	for i := range p.views {
		if !w.keepView(&p.views[i], old) {
			errs = append(errs, a.addView(w, &p.views[i]))
		}
	}
	var kept map[string]kept
	var board *check.Board
	if old != nil {
		kept, board = old.specs, old.board
	}
	specs, mine, err := p.checks.specs(p.names(), a.fetch, kept)
	w.specs = mine
	w.board = check.New(specs, board, a.turned)
	return w, fresh, errors.Join(append(errs, err)...)
}

// keepView takes over a view of old that is the same and has the same sources, with its counters and what it has not pushed yet.
func (w *works) keepView(p *viewPlan, old *works) bool {
	if old == nil {
		return false
	}
	for i, v := range old.views {
		was := &old.plan.views[i]
		if was.path != p.path || !same(was.value, p.value) || !slices.EqualFunc(was.from, p.from, func(a, b string) bool { return a == b && old.feed(a) == w.feed(b) }) {
			continue
		}
		w.views = append(w.views, v)
		for _, push := range old.pushes {
			if push.plan.path == p.path {
				w.pushes = append(w.pushes, push)
			}
		}
		return true
	}
	return false
}

// feed is the source of that name.
func (w *works) feed(name string) *feed {
	return w.sources[slices.IndexFunc(w.sources, func(f *feed) bool { return f.plan.name == name })]
}

// addView makes a view, and what pushes it.
func (a *Adapter) addView(w *works, p *viewPlan) error {
	var inputs []view.Input
	for _, name := range p.from {
		f := w.feed(name)
		inputs = append(inputs, view.Input{Name: name, Fetch: func(ctx context.Context) source.Result { return a.heard(f, f.fetch(ctx)) }})
	}
	choose, err := chooser(p)
	if err != nil {
		return err
	}
	v := view.New(view.Options{
		Path: p.path, Inputs: inputs, Merge: merging(p), Apply: p.program.Apply, Choose: choose, Meta: p.shows(), Timeout: p.timeout, Offset: a.cfg.Offset,
		Headers: p.headers, Methods: p.methods,
	})
	w.views = append(w.views, v)
	if p.emit == nil {
		return nil
	}
	push, err := newPusher(p, v, max(time.Millisecond, a.env.Drain*2/5), func(err error) { a.pushed(p.path, err) })
	if err == nil {
		w.pushes = append(w.pushes, push)
	}
	return err
}

// merging is how the pages of a view become one.
func merging(p *viewPlan) func([]view.Named) (model.Page, model.Drops, error) {
	return func(pages []view.Named) (model.Page, model.Drops, error) {
		if len(pages) == 1 {
			own := *pages[0].Page
			own.Families = slices.Clone(own.Families)
			return own, model.Drops{}, nil
		}
		in := make([]merge.Input, len(pages))
		for i, page := range pages {
			in[i] = merge.Input{Source: page.Source, Page: page.Page}
		}
		return merge.Merge(in, p.policy, p.label)
	}
}
