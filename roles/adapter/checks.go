package adapter

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/roles/adapter/answer"
	"github.com/sidecar-kit/sidecar/roles/adapter/check"
	"github.com/sidecar-kit/sidecar/roles/adapter/kind"
	"github.com/sidecar-kit/sidecar/roles/adapter/source"
)

// checksPlan are the checks, understood.
type checksPlan struct {
	entries []checkPlan
}

type checkPlan struct {
	name  string
	value draft.Value
}

func (p *checksPlan) empty() bool { return len(p.entries) == 0 }

// parseChecks reads checks; they are made when there are sources to ask.
func parseChecks(v draft.Value, sources []string) (checksPlan, error) {
	var p checksPlan
	err := v.All(func(name string, v draft.Value) error {
		p.entries = append(p.entries, checkPlan{name, v})
		_, err := kind.Parse(name, v, &kind.Env{Sources: sources})
		return err
	})
	return p, err
}

// specs makes the checks. What other has of the same value is taken from there, with its state.
func (p *checksPlan) specs(sources []string, fetch func(ctx context.Context, name string) source.Result, other map[string]kept) ([]*check.Spec, map[string]kept, error) {
	var specs []*check.Spec
	mine := map[string]kept{}
	var errs []error
	for _, e := range p.entries {
		k, ok := other[e.name]
		if !ok || !same(k.value, e.value) {
			s, err := kind.Parse(e.name, e.value, &kind.Env{Sources: sources, Fetch: fetch})
			errs = append(errs, err)
			k = kept{e.value, s}
		}
		mine[e.name] = k
		specs = append(specs, k.spec)
	}
	return specs, mine, errors.Join(errs...)
}

// kept is a check and what it was made of.
type kept struct {
	value draft.Value
	spec  *check.Spec
}

// doubts are what is allowed and rarely meant.
func doubts(specs []*check.Spec) (all []string) {
	for _, s := range specs {
		if s.Remote && slices.Contains(s.Groups, answer.Live) {
			all = append(all, fmt.Sprintf("check %s: %s is not part of this pod, and group live restarts the container when it is away; want group ready", s.Name, s.Target))
		}
	}
	return all
}
