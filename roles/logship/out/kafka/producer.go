package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/roles/logship/out"
)

const metadataAge = 5 * time.Minute

// producer is what is known of the cluster, and what we have told it.
type producer struct {
	s       *Sink
	enc     encoder
	conns   map[int]*conn // by broker
	brokers map[int]string
	leaders []int // by partition; -1: none
	seen    time.Time

	id      int64
	epoch   int16
	known   bool // id and epoch are
	next    map[int]int
	unsure  map[int]part    // by partition: sent, and nobody knows what became of it
	partial map[string]half // by batch: what is stored of it already
	parts   []part
}

// half is a batch of which some partitions have their part. It is the same batch only if it has the same events for the same partitions.
type half struct {
	leaders, items int
	first, last    out.Item
	done           map[int]bool
}

func (p *producer) half(b *out.Batch, done map[int]bool) half {
	return half{len(p.leaders), len(b.Items), b.Items[0], b.Items[len(b.Items)-1], done}
}

func (h half) same(o half) bool {
	return h.leaders == o.leaders && h.items == o.items && h.first.File.Gen == o.first.File.Gen && h.first.Offset == o.first.Offset &&
		h.last.File.Gen == o.last.File.Gen && h.last.Offset == o.last.Offset
}

func (p *producer) send(ctx context.Context, b *out.Batch) error {
	if err := p.prepare(ctx); err != nil {
		return err
	}
	if len(b.Items) == 0 {
		return nil
	}
	p.split(b)
	var done map[int]bool
	if h, ok := p.partial[b.ID]; ok && h.same(p.half(b, nil)) {
		done = h.done
	}
	var failure error
	for _, leader := range p.byLeader() {
		var mine []*part
		for i := range p.parts {
			if one := &p.parts[i]; p.leaders[one.partition] == leader && !done[one.partition] {
				mine = append(mine, one)
			}
		}
		if len(mine) == 0 {
			continue
		}
		stored, err := p.produce(ctx, b, leader, mine)
		for _, n := range stored {
			if done == nil {
				done = map[int]bool{}
			}
			done[n] = true
		}
		failure = worse(failure, err)
	}
	return p.verdicts(b, done, failure)
}

// worse is the error that tells more about what to do.
func worse(a, b error) error {
	if a == nil || b != nil && out.AsFailure(b).How > out.AsFailure(a).How {
		return b
	}
	return a
}

// verdicts says which events are stored. Partitions that have theirs are remembered until the batch is sent again.
func (p *producer) verdicts(b *out.Batch, done map[int]bool, failure error) error {
	delete(p.partial, b.ID)
	if failure != nil && (len(done) == 0 || out.AsFailure(failure).How != out.TooLarge) {
		if len(done) > 0 {
			if len(p.partial) > 64 {
				clear(p.partial) // nobody has so many batches under way
			}
			p.partial[b.ID] = p.half(b, done)
		}
		return failure
	}
	for i := range p.parts {
		one := &p.parts[i]
		for _, n := range one.items {
			b.Items[n].Verdict, b.Items[n].Reason = out.Done, ""
			if !done[one.partition] {
				b.Items[n].Verdict, b.Items[n].Reason = out.Again, "too many at once"
			}
		}
	}
	return nil
}

func (p *producer) split(b *out.Batch) {
	for i := range p.parts {
		p.parts[i].items = p.parts[i].items[:0]
		p.parts[i].partition = -1
	}
	used := 0
	for i := range b.Items {
		n := int(b.Items[i].Group) % len(p.leaders)
		at := slices.IndexFunc(p.parts[:used], func(one part) bool { return one.partition == n })
		if at < 0 {
			if used == len(p.parts) {
				p.parts = append(p.parts, part{})
			}
			at = used
			used++
			p.parts[at].partition = n
		}
		p.parts[at].items = append(p.parts[at].items, i)
	}
	p.parts = p.parts[:used]
}

func (p *producer) byLeader() []int {
	var all []int
	for i := range p.parts {
		if leader := p.leaders[p.parts[i].partition]; !slices.Contains(all, leader) {
			all = append(all, leader)
		}
	}
	return all
}

// number gives every part its sequence: the one it had when it may have been stored already, else the next one. When something else
// may have been stored instead, nobody can tell any more: then we begin anew as another producer.
func (p *producer) number(ctx context.Context, b *out.Batch, parts []*part) error {
	for _, one := range parts {
		if err := p.enc.encode(b, one); err != nil {
			return err
		}
	}
	for _, one := range parts {
		u, ok := p.unsure[one.partition]
		if p.known && ok && (u.sum != one.sum || len(u.items) != len(one.items)) {
			p.known = false
		}
	}
	if err := p.register(ctx); err != nil {
		return err
	}
	for _, one := range parts {
		one.seq = p.next[one.partition]
		p.enc.seal(one, p.id, p.epoch)
		p.unsure[one.partition] = part{sum: one.sum, items: make([]int, len(one.items))}
	}
	return nil
}

// produce sends parts to their leader and returns the partitions that have them.
func (p *producer) produce(ctx context.Context, b *out.Batch, leader int, parts []*part) (stored []int, err error) {
	if leader < 0 {
		p.seen = time.Time{}
		return nil, errors.New("a partition has no leader")
	}
	if err := p.number(ctx, b, parts); err != nil {
		return nil, err
	}
	c, err := p.broker(ctx, leader)
	if err != nil {
		p.seen = time.Time{}
		return nil, err
	}
	body := i32(i16(i16(nil, -1), -1), timeout(ctx))
	body = i32(str(i32(body, 1), p.s.o.Topic), len(parts))
	pieces := [][]byte{body}
	for _, one := range parts {
		pieces = append(pieces, i32(i32(nil, one.partition), len(one.wire)), one.wire)
		p.s.traffic.Bytes.Add(int64(len(one.wire)))
	}
	p.s.traffic.Requests.Add(1)
	a, err := c.call(ctx, apiProduce, verProduce, pieces...)
	if err != nil {
		p.seen = time.Time{}
		return nil, err
	}
	codes := map[int]int16{}
	a.each(func() {
		_ = a.str()
		a.each(func() {
			n := a.i32()
			codes[n] = a.i16()
			a.i64()
			a.i64()
			a.i64()
		})
	})
	if a.err != nil {
		return nil, fmt.Errorf("%s: %w", c.address, a.err)
	}
	return p.results(c, parts, codes)
}

func (p *producer) results(c *conn, parts []*part, codes map[int]int16) (stored []int, failure error) {
	for _, one := range parts {
		code, ok := codes[one.partition]
		if !ok {
			failure = worse(failure, fmt.Errorf("%s says nothing about partition %d", c.address, one.partition))
			continue
		}
		err := judge(code)
		if err == nil {
			stored = append(stored, one.partition)
			p.next[one.partition] = (one.seq + len(one.items)) & 0x7fffffff
			delete(p.unsure, one.partition)
			continue
		}
		if f := out.AsFailure(err); f.How == out.TooLarge {
			delete(p.unsure, one.partition) // it is not stored, for sure
		}
		switch code {
		case 45, 47, 49, 59: // our numbers are not what the broker expects
			p.known = false
		}
		p.seen = time.Time{}
		f := out.AsFailure(err)
		failure = worse(failure, &out.Failure{How: f.How, Slow: f.Slow, Err: fmt.Errorf("topic %s, partition %d at %s: %w", p.s.o.Topic, one.partition, c.address, f.Err)})
	}
	return stored, failure
}

// judge says what an error code means.
func judge(code int16) error {
	const texts = " 2=corrupt message 3=unknown topic or partition 5=no leader 6=not the leader 7=request timed out 10=message too large" +
		" 17=invalid topic 18=batch too large 19=not enough replicas 20=not enough replicas after it was appended" +
		" 29=no permission for the topic 31=no permission for the cluster 32=invalid timestamp 45=out of order 47=an older producer" +
		" 53=no permission for the id 59=unknown producer 87=invalid record 89=quota exceeded "
	text := "error " + strconv.Itoa(int(code))
	if _, rest, ok := strings.Cut(texts, " "+strconv.Itoa(int(code))+"="); ok {
		text = strings.TrimRight(rest[:strings.IndexByte(rest+"=", '=')], "0123456789 ")
	}
	switch code {
	case 0, 46: // 46: it is there already
		return nil
	case 3, 17, 29, 31, 41, 43, 53:
		return out.Fail(out.Pause, "%s", text)
	case 10, 18, 32, 87:
		return out.Fail(out.TooLarge, "%s", text)
	case 7, 19, 89:
		return &out.Failure{How: out.Retry, Slow: true, Err: errors.New(text)}
	}
	return errors.New(text)
}

// prepare finds out who leads which partition.
func (p *producer) prepare(ctx context.Context) error {
	if time.Since(p.seen) < metadataAge && len(p.leaders) > 0 {
		return nil
	}
	c, err := p.any(ctx)
	if err != nil {
		return err
	}
	a, err := c.call(ctx, apiMetadata, verMetadata, append(str(i32(nil, 1), p.s.o.Topic), 1))
	if err != nil {
		return err
	}
	brokers := map[int]string{}
	leaders := map[int]int{}
	code := int16(0)
	a.i32()
	a.each(func() {
		id, host, port := a.i32(), a.str(), a.i32()
		_ = a.str()
		brokers[id] = net.JoinHostPort(host, strconv.Itoa(port))
	})
	_ = a.str()
	a.i32()
	a.each(func() {
		code = a.i16()
		_ = a.str()
		a.take(1)
		a.each(func() {
			a.i16()
			n := a.i32()
			leaders[n] = a.i32()
			for range 3 {
				a.each(func() { a.i32() })
			}
		})
	})
	if a.err != nil {
		return fmt.Errorf("%s: %w", c.address, a.err)
	}
	if err := judge(code); err != nil && code != 5 {
		f := out.AsFailure(err)
		return &out.Failure{How: f.How, Err: fmt.Errorf("topic %s at %s: %w", p.s.o.Topic, c.address, f.Err)}
	}
	if len(leaders) == 0 {
		return fmt.Errorf("%s knows no partitions of the topic yet", c.address)
	}
	p.leaders = make([]int, len(leaders))
	for n := range p.leaders {
		leader, ok := leaders[n]
		if _, there := brokers[leader]; !ok || !there {
			leader = -1
		}
		p.leaders[n] = leader
	}
	p.brokers, p.seen = brokers, time.Now()
	return nil
}

// register asks for the id of a producer, whose numbers begin at 0.
func (p *producer) register(ctx context.Context) error {
	if p.known {
		return nil
	}
	c, err := p.any(ctx)
	if err != nil {
		return err
	}
	a, err := c.call(ctx, apiInit, verInit, i32(i16(nil, -1), 60_000))
	if err != nil {
		return err
	}
	a.i32()
	code := a.i16()
	id, epoch := a.i64(), a.i16()
	if a.err != nil {
		return fmt.Errorf("%s: %w", c.address, a.err)
	}
	if err := judge(code); err != nil {
		f := out.AsFailure(err)
		return &out.Failure{How: f.How, Err: fmt.Errorf("register at %s as a producer: %w", c.address, f.Err)}
	}
	p.id, p.epoch, p.known = id, epoch, true
	p.next, p.unsure = map[int]int{}, map[int]part{}
	return nil
}
