package push

import (
	"math"
	"math/bits"
	"time"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// set counts how many different values came in the last window: exactly up to 512 in a quarter of it, and from there on by HyperLogLog, with a
// standard error of 1.6 %. It is four counts that begin one after the other, so what is shown is of the last three quarters of the window up to all of it.
type set struct {
	step, next int64
	newest     int
	parts      [4]part
}

type part struct {
	some  []uint64 // hashes, each once; in order
	ranks []byte   // of HyperLogLog; nil as long as some is enough
}

const (
	mostExact = 512
	ranks     = 1 << 12
)

func newSet(window time.Duration) *set { return &set{step: max(1, int64(window)/4)} }

func (s *set) observe(v float64, _ uint64, now int64) {
	s.rotate(now)
	s.parts[s.newest].add(math.Float64bits(v))
}

func (s *set) rotate(now int64) {
	if s.next == 0 {
		s.next = now + s.step
	}
	if now < s.next {
		return
	}
	for range s.parts {
		s.newest = (s.newest + 1) % len(s.parts)
		s.parts[s.newest] = part{some: s.parts[s.newest].some[:0]}
		if s.next += s.step; now < s.next {
			return
		}
	}
	s.next = now + s.step
}

func (p *part) add(hash uint64) {
	if p.ranks != nil {
		p.rank(hash)
		return
	}
	low, high := 0, len(p.some)
	for low < high {
		mid := (low + high) / 2
		if p.some[mid] < hash {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if low < len(p.some) && p.some[low] == hash {
		return
	}
	if len(p.some) < mostExact {
		p.some = append(p.some, 0)
		copy(p.some[low+1:], p.some[low:])
		p.some[low] = hash
		return
	}
	p.ranks = make([]byte, ranks)
	for _, h := range p.some {
		p.rank(h)
	}
	p.some = p.some[:0]
	p.rank(hash)
}

func (p *part) rank(hash uint64) {
	at, rank := hash%ranks, byte(bits.LeadingZeros64(hash|ranks-1)+1) //nolint:gosec // up to 53
	p.ranks[at] = max(p.ranks[at], rank)
}

func (s *set) samples(p *pageBuilder, of *series, now int64) {
	s.rotate(now)
	p.add(model.Sample{Labels: of.labels, Value: s.size()})
}

// size is how many values all parts have together.
func (s *set) size() float64 {
	var all part
	for i := range s.parts {
		for _, h := range s.parts[i].some {
			all.add(h)
		}
	}
	for i := range s.parts {
		if s.parts[i].ranks == nil {
			continue
		}
		if all.ranks == nil {
			all.ranks = make([]byte, ranks)
			for _, h := range all.some {
				all.rank(h)
			}
		}
		for j, r := range s.parts[i].ranks {
			all.ranks[j] = max(all.ranks[j], r)
		}
	}
	if all.ranks == nil {
		return float64(len(all.some))
	}
	sum, zeros := 0.0, 0.0
	for _, r := range all.ranks {
		sum += math.Ldexp(1, -int(r))
		if r == 0 {
			zeros++
		}
	}
	n := 0.7213 / (1 + 1.079/ranks) * ranks * ranks / sum
	if n < 2.5*ranks && zeros > 0 {
		n = ranks * math.Log(ranks/zeros)
	}
	return math.Round(n)
}
