package packout

import (
	"container/heap"
	"fmt"
	"math"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
)

func (s *selection) commit(h Hash) (*commit, error) {
	if c, ok := s.commits[h]; ok {
		return c, nil
	}
	if err := s.ctx.Err(); err != nil {
		return nil, err
	}
	obj, err := s.src.EncodedObject(plumbing.CommitObject, h)
	if err != nil {
		return nil, fmt.Errorf("%w: commit %s: %w", ErrMissing, h, err)
	}
	b, err := readAll(obj)
	if err != nil {
		return nil, fmt.Errorf("read commit %s: %w", h, err)
	}
	c, err := parseCommit(b)
	if err != nil {
		return nil, fmt.Errorf("commit %s: %w", h, err)
	}
	s.commits[h] = c
	return c, nil
}

// history returns the commits to send, and the commits of the other side that border on them.
func (s *selection) history(tips []Hash) (send, edge []Hash, err error) {
	if s.req.Depth == 0 && len(s.req.Shallow) == 0 {
		return s.ahead(tips)
	}
	reach, err := s.reach(tips)
	if err != nil {
		return nil, nil, err
	}
	known, err := s.known(reach)
	if err != nil {
		return nil, nil, err
	}
	inReach := setOf(reach)
	for _, h := range reach {
		if !known.has(h) {
			send = append(send, h)
		}
	}
	for h := range known {
		if inReach.has(h) || slices.Contains(s.req.Haves, h) {
			edge = append(edge, h)
		}
	}
	return send, sorted(edge), nil
}

// reach walks breadth first to the wanted depth and settles where the history is cut.
func (s *selection) reach(tips []Hash) ([]Hash, error) {
	limit := s.req.Depth
	if limit == 0 {
		limit = math.MaxInt
	}
	client := setOf(s.req.Shallow)
	seen := set{}
	var order, level []Hash
	for _, h := range tips {
		if seen.add(h) {
			level = append(level, h)
		}
	}
	for depth := 1; len(level) > 0; depth++ {
		var next []Hash
		for _, h := range level {
			c, err := s.commit(h)
			if err != nil {
				return nil, err
			}
			order = append(order, h)
			if s.roots.has(h) || (depth == limit && len(c.parents) > 0) {
				if !client.has(h) {
					s.plan.Shallow = append(s.plan.Shallow, h)
				}
				continue
			}
			if client.has(h) {
				s.plan.Unshallow = append(s.plan.Unshallow, h)
			}
			for _, p := range c.parents {
				if seen.add(p) {
					next = append(next, p)
				}
			}
		}
		level = next
	}
	return order, nil
}

// known walks from the haves, stops where the other side's history is cut, and goes no further back than the
// oldest commit that could be sent.
func (s *selection) known(reach []Hash) (set, error) {
	oldest := int64(math.MaxInt64)
	for _, h := range reach {
		oldest = min(oldest, s.commits[h].when)
	}
	cut := setOf(s.req.Shallow)
	known := set{}
	stack := slices.Clone(s.req.Haves)
	for len(stack) > 0 {
		h := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if known.has(h) {
			continue
		}
		c, err := s.commit(h)
		if err != nil {
			if s.ctx.Err() != nil {
				return nil, err
			}
			continue // not ours
		}
		known.add(h)
		if cut.has(h) || s.roots.has(h) || c.when < oldest-clockSkew {
			continue
		}
		stack = append(stack, c.parents...)
	}
	return known, nil
}

// Commits made on clocks that differ by up to a day are still taken in the right order. Beyond it a
// selection may hold too much, never too little.
const clockSkew = 24 * 3600

// ahead finds the commits in tips that are not behind the haves, newest first, without walking the whole
// history: two colours run back in time, and the walk ends when only the known colour is left.
func (s *selection) ahead(tips []Hash) (send, edge []Hash, err error) {
	q := &queue{}
	known, queued := set{}, set{}
	push := func(h Hash, have bool) error {
		if have && known.add(h) || queued.add(h) {
			c, err := s.commit(h)
			if err != nil {
				if have && s.ctx.Err() == nil {
					delete(known, h)
					return nil
				}
				return err
			}
			heap.Push(q, queuedCommit{h, c.when})
		}
		return nil
	}
	for _, h := range s.req.Haves {
		if err := push(h, true); err != nil {
			return nil, nil, err
		}
	}
	for _, h := range tips {
		if err := push(h, false); err != nil {
			return nil, nil, err
		}
	}
	var walked []Hash
	done := set{}
	for q.Len() > 0 && !q.only(known) {
		h := heap.Pop(q).(queuedCommit).hash //nolint:forcetypeassert // the queue holds nothing else
		have := known.has(h)
		if !have && done.add(h) {
			walked = append(walked, h)
		}
		if s.roots.has(h) {
			if !have {
				s.plan.Shallow = append(s.plan.Shallow, h)
			}
			continue
		}
		for _, p := range s.commits[h].parents {
			if err := push(p, have); err != nil {
				return nil, nil, err
			}
		}
	}
	for _, h := range walked {
		if !known.has(h) {
			send = append(send, h)
			edge = append(edge, s.knownParents(h, known)...)
		}
	}
	return send, sorted(append(edge, s.req.Haves...)), nil
}

func (s *selection) knownParents(h Hash, known set) []Hash {
	var out []Hash
	for _, p := range s.commits[h].parents {
		if known.has(p) {
			out = append(out, p)
		}
	}
	return out
}

func sorted(hashes []Hash) []Hash {
	slices.SortFunc(hashes, func(a, b Hash) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(hashes)
}

type queuedCommit struct {
	hash Hash
	when int64
}

// queue yields the newest commit first.
type queue []queuedCommit

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].when > q[j].when }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)        { *q = append(*q, x.(queuedCommit)) } //nolint:forcetypeassert // see above
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// only tells whether nothing unknown is left to walk.
func (q queue) only(known set) bool {
	for _, c := range q {
		if !known.has(c.hash) {
			return false
		}
	}
	return true
}
