package store

import (
	"container/list"
	"sync"
)

// cacheBytes bounds what is kept of objects that deltas may ask for again. Git writes a family of deltas next to
// one another, so a small cache hits nearly always.
const cacheBytes = 6 << 20

type cacheKey struct {
	p   *pack
	off int64
}

type cached struct {
	key  cacheKey
	typ  Type
	data []byte
}

// cache holds the objects read last, up to cacheBytes. The zero value is ready.
type cache struct {
	mu    sync.Mutex
	bytes int
	order list.List
	items map[cacheKey]*list.Element
}

func (c *cache) get(p *pack, off int64) (Type, []byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.items[cacheKey{p, off}]
	if !ok {
		return 0, nil, false
	}
	c.order.MoveToFront(e)
	it := e.Value.(*cached)
	return it.typ, it.data, true
}

func (c *cache) put(p *pack, off int64, typ Type, data []byte) {
	if len(data) > cacheBytes/4 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.items == nil {
		c.items = make(map[cacheKey]*list.Element)
	}
	k := cacheKey{p, off}
	if _, ok := c.items[k]; ok {
		return
	}
	c.items[k] = c.order.PushFront(&cached{k, typ, data})
	c.bytes += len(data)
	for c.bytes > cacheBytes {
		last := c.order.Back()
		it := c.order.Remove(last).(*cached)
		delete(c.items, it.key)
		c.bytes -= len(it.data)
	}
}

func (c *cache) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bytes, c.items = 0, nil
	c.order.Init()
}
