package kafka

import (
	"context"
	"fmt"
	"time"
)

// seed is the number of the connection to one of the hosts of the configuration.
const seed = -1

// any returns a connection to some broker.
func (p *producer) any(ctx context.Context) (*conn, error) {
	for id, c := range p.conns {
		if !c.broken {
			return c, nil
		}
		delete(p.conns, id)
	}
	now := time.Now()
	n := p.s.hosts.Pick(now)
	c, err := p.s.connect(ctx, p.s.o.Hosts[n])
	p.s.hosts.Tell(n, err == nil, now)
	if err != nil {
		return nil, err
	}
	p.conns[seed] = c
	return c, nil
}

// broker returns the connection to a broker.
func (p *producer) broker(ctx context.Context, id int) (*conn, error) {
	address, ok := p.brokers[id]
	if !ok {
		return nil, fmt.Errorf("broker %d is not known", id)
	}
	if c := p.conns[id]; c != nil {
		if !c.broken && c.address == address {
			return c, nil
		}
		_ = c.Close()
		delete(p.conns, id)
	}
	if c := p.conns[seed]; c != nil && c.address == address && !c.broken {
		delete(p.conns, seed)
		p.conns[id] = c
		return c, nil
	}
	c, err := p.s.connect(ctx, address)
	if err != nil {
		return nil, err
	}
	p.conns[id] = c
	return c, nil
}

func (p *producer) hangUp() {
	for id, c := range p.conns {
		_ = c.Close()
		delete(p.conns, id)
	}
}
