package statsmap

// Cache remembers what names were mapped to. It holds at most as many as it was made for, and forgets half of them by age when it is full: names
// that are in use come back into the young half. Not for several goroutines at once.
type Cache struct {
	m          *Mapping
	most       int
	young, old [types]map[string]Result
	Hits, Gets uint64
}

// NewCache is one for up to most names of a type.
func NewCache(m *Mapping, most int) *Cache {
	c := &Cache{m: m, most: max(2, most)}
	for t := range c.young {
		c.young[t] = map[string]Result{}
	}
	return c
}

// Find is Mapping.Find. The name is copied where it is kept.
func (c *Cache) Find(name string, t Type) Result {
	c.Gets++
	r, ok := c.young[t][name]
	if ok {
		c.Hits++
		return r
	}
	if r, ok = c.old[t][name]; ok {
		c.Hits++
	} else {
		r = c.m.Find(name, t)
	}
	if len(c.young[t]) >= c.most/2 {
		c.old[t], c.young[t] = c.young[t], map[string]Result{}
	}
	c.young[t][string(append([]byte(nil), name...))] = r
	return r
}

// Len is how many names are remembered.
func (c *Cache) Len() int {
	n := 0
	for t := range c.young {
		n += len(c.young[t]) + len(c.old[t])
	}
	return n
}
