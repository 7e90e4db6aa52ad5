package store

import "sync"

// objects is a list that grows without moving what it holds, so that workers may fill entries meanwhile.
type objects struct {
	mu     sync.RWMutex
	blocks [][]entry
	n      int
}

const objectsBlock = 4096

func (o *objects) add(off int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.n%objectsBlock == 0 {
		o.blocks = append(o.blocks, make([]entry, objectsBlock))
	}
	o.blocks[o.n/objectsBlock][o.n%objectsBlock].off = off
	o.n++
}

func (o *objects) at(i int) *entry {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return &o.blocks[i/objectsBlock][i%objectsBlock]
}

// all returns the entries in the order of their offsets.
func (o *objects) all() []entry {
	out := make([]entry, 0, o.n+8)
	for i := range o.n {
		out = append(out, *o.at(i))
	}
	return out
}

func (o *objects) names() map[Hash]int64 {
	out := make(map[Hash]int64, o.n)
	for i := range o.n {
		if e := o.at(i); e.hash != (Hash{}) {
			out[e.hash] = e.off
		}
	}
	return out
}
