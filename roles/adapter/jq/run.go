package jq

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Budget bounds what the queries of one body may do, all together. 0 stands for the default.
type Budget struct {
	Steps   int // instructions of gojq, and items that paths walk over; 5,000,000, about half a second
	Results int // values that the queries give; 1,000,000
}

// The errors of a budget that is spent.
var (
	ErrSteps   = errors.New("the queries take too many steps; ask for less, or split the document at its source")
	ErrResults = errors.New("the queries give too many results; ask for less, or split the document at its source")
)

// Run is the work on one body: a budget that queries share. It is for one goroutine.
type Run struct {
	ctx            context.Context //nolint:containedctx // it is one: gojq asks it before each instruction
	steps, results int
	err            error
	closed         chan struct{}
}

// Start begins to work on one body.
func Start(ctx context.Context, b Budget) *Run {
	if b.Steps == 0 {
		b.Steps = 5_000_000
	}
	if b.Results == 0 {
		b.Results = 1_000_000
	}
	return &Run{ctx: ctx, steps: b.Steps, results: b.Results, closed: make(chan struct{})}
}

// Deadline, Done, Err and Value make Run the context of gojq, which asks Done before each instruction: that is where they are counted.
func (r *Run) Deadline() (time.Time, bool) { return r.ctx.Deadline() }

// Value is that of the context that Start got.
func (r *Run) Value(key any) any { return r.ctx.Value(key) }

// Err is why the work ended early, or nil.
func (r *Run) Err() error { return r.err }

// Done counts a step. The channel is closed once the budget is spent or the context is over, which is looked at every 256 steps.
func (r *Run) Done() <-chan struct{} {
	r.step()
	return r.closed
}

// step counts one step, and returns false when it was one too many.
func (r *Run) step() bool {
	r.steps--
	if r.steps > 0 && r.steps&255 != 0 {
		return r.err == nil
	}
	if r.err != nil {
		return false
	}
	if r.steps <= 0 {
		r.err = ErrSteps
	} else {
		r.err = r.ctx.Err()
	}
	if r.err != nil {
		close(r.closed)
	}
	return r.err == nil
}

// charge takes the way through wide objects and long lists for steps, so that asking those once for each item has an end.
func (r *Run) charge(t *tree) {
	if t != nil && t.hops > 1000 {
		r.steps -= t.hops / 8
		t.hops = 0
	}
}

func (r *Run) result() error {
	if r.results--; r.results < 0 {
		return ErrResults
	}
	return nil
}

// Item is a result and where it was found.
type Item struct {
	Value
	Parent Value // the object nearest around it; null when there is none, or gojq found it
	Key    Value // the key of the member, or the number of the item, that the last .[] came to; null likewise
}

// Each calls fn with every result of q on in. vars are the variables, in the order in which Compile got their names. It ends with the first error: fn's, that of a query that does not fit the
// value, or of a budget that is spent.
func (r *Run) Each(q *Query, in Value, vars []Value, fn func(Item) error) error {
	if q.steps == nil {
		return r.gojq(q, in, vars, fn)
	}
	if q.from >= 0 {
		in = vars[q.from]
	}
	w := walk{run: r, fn: fn}
	return wrap(q, w.steps(in, q.steps, Value{}, Value{}))
}

// First is the first result, if there is one.
func (r *Run) First(q *Query, in Value, vars []Value) (Value, bool, error) {
	if q.steps != nil && q.plain {
		if q.from >= 0 {
			in = vars[q.from]
		}
		if !r.step() {
			return Value{}, false, r.err
		}
		v, ok, err := single(in, q.steps)
		r.charge(in.t)
		return v, ok, wrap(q, err)
	}
	var first Value
	err := r.Each(q, in, vars, func(it Item) error {
		first = it.Value
		return errStop
	})
	if errors.Is(err, errStop) {
		return first, true, nil
	}
	return Value{}, false, err
}

var errStop = errors.New("stop")

func wrap(q *Query, err error) error {
	if _, ok := err.(*mismatch); ok { //nolint:errorlint // one that fn's own query gave is wrapped, and not this query's
		return fmt.Errorf("query %q: %w", q.text, err)
	}
	return err
}

func (r *Run) gojq(q *Query, in Value, vars []Value, fn func(Item) error) error {
	args := make([]any, len(q.vars))
	for i, used := range q.used {
		if used {
			args[i] = vars[i].Any()
		}
	}
	results := q.code.RunWithContext(r, in.Any(), args...)
	for {
		x, ok := results.Next()
		if !ok {
			return r.err
		}
		if err, failed := x.(error); failed {
			if r.err != nil {
				return r.err
			}
			return fmt.Errorf("query %q: %w", q.text, err)
		}
		if err := r.result(); err != nil {
			return err
		}
		if err := fn(Item{Value: Value{v: x}}); err != nil {
			return err
		}
	}
}

// All is every result of q on a document, within the default budget.
func (q *Query) All(ctx context.Context, in Value) ([]Value, error) {
	var all []Value
	err := Start(ctx, Budget{}).Each(q, in, make([]Value, len(q.vars)), func(it Item) error {
		all = append(all, it.Value)
		return nil
	})
	return all, err
}

// Expect is whether what a check asks for holds: q has a result on in, and none that is false or null.
func (q *Query) Expect(ctx context.Context, in Value) (bool, error) {
	all, err := q.All(ctx, in)
	if err != nil || len(all) == 0 {
		return false, err
	}
	for _, v := range all {
		if !v.Truthy() {
			return false, nil
		}
	}
	return true, nil
}
