package decode

import (
	"strconv"
	"unsafe"

	"github.com/sidecar-kit/sidecar/roles/logship/decode/scan"
	"github.com/sidecar-kit/sidecar/roles/logship/decode/stamp"
	"github.com/sidecar-kit/sidecar/roles/logship/record"
)

// state is the memory of decoding, used for one record after the other.
type state struct {
	scratch []byte
	seen    [4]uint64 // hashes of the keys of the record
	first   int       // fields before are not the application's
	prefix  string
	levels  map[string]record.Level // what the configuration says of words
	moved   int64                   // keys that went under the prefix
	badTime int64                   // times that could not be read
	found   found
}

// found is what a decoder found besides fields; it counts once the whole line was understood.
type found struct {
	message []byte
	kind    record.Kind
	hasText bool
	level   record.Level
	time    int64
	lossy   bool
}

// begin makes ready for a record.
func (s *state) begin(r *record.Record) {
	s.seen = [4]uint64{}
	s.first = len(r.Fields)
	if cap(s.scratch) > 1<<20 {
		s.scratch = nil
	}
	s.scratch = s.scratch[:0]
}

// text makes the message of r plain text, for the next decoder.
func (s *state) text(r *record.Record) {
	r.Message, r.Kind = s.keep(scan.Unescape(s.room(len(r.Message)+8), r.Message)), record.Text
}

// commit puts what was found into r.
func (s *state) commit(r *record.Record) {
	f := &s.found
	r.Message, r.Kind = f.message, f.kind
	if f.level != record.Unknown {
		r.Level = f.level
	}
	if f.time != 0 {
		r.Time = f.time
	}
	if f.lossy {
		r.Flags |= record.Lossy
	}
}

// room returns n bytes of scratch to append to. What was handed out before stays as it is.
func (s *state) room(n int) []byte {
	if cap(s.scratch)-len(s.scratch) < n {
		s.scratch = make([]byte, 0, max(1024, 2*cap(s.scratch), 2*n))
	}
	return s.scratch[len(s.scratch):len(s.scratch):cap(s.scratch)]
}

// keep takes what was appended to the result of room and returns it.
func (s *state) keep(b []byte) []byte {
	if n := len(s.scratch); n+len(b) <= cap(s.scratch) && (len(b) == 0 || &s.scratch[:n+1][n] == &b[0]) {
		s.scratch = s.scratch[:n+len(b)]
	}
	return b[:len(b):len(b)]
}

// put adds a field that the application named. It may turn out to be the message, the level or the time.
func (s *state) put(r *record.Record, n *names, key string, plain bool, value []byte, kind record.Kind, times *stamp.Layout) {
	h := hash(key)
	if what := n.find(key, h); what != 0 {
		if s.special(what, r, value, kind, times) {
			return
		}
		if what&reserved != 0 {
			key, h = s.move(key)
		}
	}
	s.set(r, key, h, plain, value, kind)
}

// set adds a field, or gives one with the same key its value; h is the hash of key.
func (s *state) set(r *record.Record, key string, h uint8, plain bool, value []byte, kind record.Kind) {
	word, bit := h>>6, uint64(1)<<(h&63)
	if s.seen[word]&bit != 0 {
		for i := s.first; i < len(r.Fields); i++ {
			if f := &r.Fields[i]; f.Key == key { // the last of two equal keys counts, as everywhere
				f.Value, f.Kind = value, kind
				return
			}
		}
	}
	s.seen[word] |= bit
	r.Fields = append(r.Fields, record.Field{Key: key, Value: value, Kind: kind, Plain: plain})
}

// special takes the message, the level or the time of a record, if value is one.
func (s *state) special(what action, r *record.Record, value []byte, kind record.Kind, times *stamp.Layout) bool {
	f := &s.found
	switch {
	case what&message != 0:
		if f.hasText || kind == record.Nested {
			return false
		}
		if kind == record.Literal {
			kind = record.Text
		}
		f.message, f.kind, f.hasText = value, kind, true
		return true
	case what&level != 0:
		if f.level != record.Unknown || kind == record.Nested {
			return false
		}
		f.level = s.level(value)
		return f.level != record.Unknown
	case what&stampKey != 0:
		if times == nil || f.time != 0 {
			return false
		}
		ns, ok := readTime(times, value, kind, r.Read)
		if !ok {
			s.badTime++
			return false
		}
		f.time = ns
		return true
	}
	return false
}

// readTime reads a value that is a time and nothing else. An object is log4j's {"epochSecond":…,"nanoOfSecond":…}.
func readTime(times *stamp.Layout, value []byte, kind record.Kind, near int64) (ns int64, ok bool) {
	if kind == record.Nested {
		sec, _, ok1 := scan.Find(value, "epochSecond")
		nano, _, ok2 := scan.Find(value, "nanoOfSecond")
		if !ok1 || !ok2 || len(sec) > 10 || len(nano) > 9 {
			return 0, false
		}
		a, err1 := strconv.ParseInt(view(sec), 10, 64)
		b, err2 := strconv.ParseInt(view(nano), 10, 64)
		return a*1e9 + b, err1 == nil && err2 == nil && a < 9e9
	}
	ns, n, ok := times.Parse(value, near)
	return ns, ok && n == len(value) && ns != 0
}

// move puts key under the prefix.
func (s *state) move(key string) (moved string, h uint8) {
	s.moved++
	b := append(append(s.room(len(s.prefix)+len(key)+1), s.prefix...), key...)
	if b[len(b)-1] == '.' {
		b = append(b, '_')
	}
	moved = view(s.keep(b))
	return moved, hash(moved)
}

// view is b as a string, without a copy; b does not change while the record lives.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
