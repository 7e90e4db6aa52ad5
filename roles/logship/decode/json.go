package decode

import (
	"unicode/utf8"

	"github.com/sidecar-kit/sidecar/roles/logship/decode/scan"
	"github.com/sidecar-kit/sidecar/roles/logship/decode/stamp"
	"github.com/sidecar-kit/sidecar/roles/logship/record"
)

// jsonLines reads lines that are JSON objects. Values stay where and as they are.
type jsonLines struct {
	names  *names
	times  *stamp.Layout
	target string // "app.": all keys go below app
	depth  int
	limit  int  // of keys, in the object and in all below it
	chomp  bool // the message ends with an escaped line feed that is not part of it
	loose  bool // a line that begins with something else than { is no failure
}

func (d *jsonLines) decode(r *record.Record, s *state) bool {
	b := r.Message
	i := scan.Space(b, 0)
	if i == len(b) || b[i] != '{' {
		return false
	}
	mark := len(r.Fields)
	s.found = found{}
	if !d.object(r, s, b, i+1) {
		r.Fields = r.Fields[:mark]
		return false
	}
	if d.chomp && s.found.kind == record.Escaped {
		if n := len(s.found.message); n > 1 && string(s.found.message[n-2:]) == `\n` {
			s.found.message = s.found.message[:n-2]
		}
	}
	s.commit(r)
	return true
}

// object reads the members of the object up to the end of b.
func (d *jsonLines) object(r *record.Record, s *state, b []byte, i int) bool {
	i = scan.Space(b, i)
	if i < len(b) && b[i] == '}' {
		return scan.Space(b, i+1) == len(b)
	}
	for keys := 1; ; keys++ {
		if i >= len(b) || b[i] != '"' || keys > d.limit {
			return false
		}
		end, kf := scan.String(b, i+1)
		if end < 0 {
			return false
		}
		name := b[i+1 : end]
		i = end + 1
		if i < len(b) && b[i] == ':' {
			i++
		} else if i = scan.Space(b, i); i < len(b) && b[i] == ':' {
			i++
		} else {
			return false
		}
		i = scan.Space(b, i)
		var value []byte
		var kind record.Kind
		var vf scan.Found
		if i < len(b) && b[i] == '"' {
			if end, vf = scan.String(b, i+1); end < 0 {
				return false
			}
			value, kind = b[i+1:end], record.Escaped
			end++
		} else {
			before := keys
			if end, kind, vf = scan.Value(b, i, d.depth, &keys); end < 0 {
				return false
			}
			value = b[i:end]
			if vf&scan.Deep != 0 || keys > d.limit { // its text is a value, its keys are none
				kind, keys = record.Text, before
			}
		}
		d.member(r, s, name, kf, value, kind, vf)
		i = scan.Space(b, end)
		if i >= len(b) {
			return false
		}
		if b[i] == '}' {
			return scan.Space(b, i+1) == len(b)
		}
		if b[i] != ',' {
			return false
		}
		i = scan.Space(b, i+1)
	}
}

func (d *jsonLines) member(r *record.Record, s *state, name []byte, kf scan.Found, value []byte, kind record.Kind, vf scan.Found) {
	if kf != 0 {
		name = s.name(name)
	}
	if vf != 0 && kind != record.Text && !scan.Valid(value, vf) {
		value = s.keep(scan.Repair(s.room(3*len(value)), value))
		s.found.lossy = true
	}
	key := view(name)
	if d.target != "" {
		if d.names.find(key, hash(key))&^reserved == 0 {
			b := append(s.room(len(d.target)+len(name)), d.target...)
			key = view(s.keep(append(b, name...)))
		}
	}
	s.put(r, d.names, key, kf == 0, value, kind, d.times)
}

// name is a key that has escapes, or bytes that may be no UTF-8.
func (s *state) name(b []byte) []byte {
	b = s.keep(scan.Unescape(s.room(len(b)), b))
	if utf8.Valid(b) {
		return b
	}
	out := s.room(3 * len(b))
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		out = utf8.AppendRune(out, r)
		b = b[n:]
	}
	return s.keep(out)
}
