package plan

import (
	"cmp"
	"slices"
	"time"
)

// queue is a heap of items by instant, then by id, which is the order of the
// files. The keys stand in it, so that a comparison touches no item: with
// thousands of jobs due at once, this is what their starts wait for.
type queue []node

type node struct {
	next int64
	id   int
	it   *item
}

func (a *node) before(b *node) bool {
	return a.next < b.next || a.next == b.next && a.id < b.id
}

// set puts a node into a place.
func (q queue) set(i int, n node) {
	q[i] = n
	n.it.place = i
}

// up moves a node towards the root, to where it belongs.
func (q queue) up(i int) {
	n := q[i]
	for i > 0 {
		parent := (i - 1) / 2
		if !n.before(&q[parent]) {
			break
		}
		q.set(i, q[parent])
		i = parent
	}
	q.set(i, n)
}

// down moves a node away from the root, to where it belongs.
func (q queue) down(i int) {
	n := q[i]
	for {
		child := 2*i + 1
		if child >= len(q) {
			break
		}
		if right := child + 1; right < len(q) && q[right].before(&q[child]) {
			child = right
		}
		if !q[child].before(&n) {
			break
		}
		q.set(i, q[child])
		i = child
	}
	q.set(i, n)
}

// move gives an item another instant; the zero time takes it out of the heap.
func (p *Plan) move(it *item, next time.Time) {
	if next.IsZero() {
		p.take(it)
		return
	}
	n := node{next.Unix(), it.id, it}
	if it.place < 0 {
		p.heap = append(p.heap, n)
		p.heap.up(len(p.heap) - 1)
		return
	}
	later := p.heap[it.place].before(&n)
	p.heap[it.place] = n
	if later {
		p.heap.down(it.place)
	} else {
		p.heap.up(it.place)
	}
}

func (p *Plan) take(it *item) {
	i := it.place
	if i < 0 {
		return
	}
	last := len(p.heap) - 1
	it.place = -1
	moved := p.heap[last]
	p.heap[last] = node{}
	p.heap = p.heap[:last]
	if i < last {
		p.heap[i] = moved
		p.heap.up(i)
		p.heap.down(moved.it.place)
	}
}

func sortDue(due []Due) {
	slices.SortStableFunc(due, func(a, b Due) int {
		return cmp.Or(a.Scheduled.Compare(b.Scheduled), cmp.Compare(a.ID, b.ID))
	})
}
