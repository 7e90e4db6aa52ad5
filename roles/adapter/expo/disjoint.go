package expo

import (
	"hash/maphash"
	"strings"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// Metrics compares the metrics of blocks. The zero value works, and keeps memory from call to call.
type Metrics struct {
	seen series
	s    sample
}

// Disjoint reports whether no two of several blocks have a metric in common, which is a set of labels without the one called except. It may say no by chance.
func (m *Metrics) Disjoint(list []*model.Family, except string) bool {
	n := 0
	for _, f := range list {
		n += f.Count
	}
	m.seen.reset(n)
	for i, f := range list {
		other := false
		scan(f, &m.s, func(s *sample) bool {
			h := uint64(1)
			for j := range s.labels {
				l := &s.labels[j]
				if l.Value == "" || l.Name == except {
					continue
				}
				v := l.Value
				if s.escaped {
					v = unescape(v)
				}
				h += mix(maphash.String(m.seen.seed, l.Name), maphash.String(m.seen.seed, v))
			}
			m.seen.add(h, i, func(family int) bool {
				other = family != i
				return true
			})
			return !other
		})
		if other {
			return false
		}
	}
	return true
}

// AppendLines appends the sample lines of a block.
func AppendLines(dst []byte, f *model.Family) []byte {
	b := f.Block
	from := 0
	for i := 0; i < len(b); {
		next := i + strings.IndexByte(b[i:], '\n') + 1
		start := i
		if f.Dialect == model.Text {
			i = blank(b, i)
		}
		if b[i] == '#' || b[i] == '\n' {
			dst = append(dst, b[from:start]...)
			from = next
		}
		i = next
	}
	return append(dst, b[from:]...)
}
