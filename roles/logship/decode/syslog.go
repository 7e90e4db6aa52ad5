package decode

import (
	"bytes"
	"strconv"

	"github.com/sidecar-kit/sidecar/roles/logship/decode/stamp"
	"github.com/sidecar-kit/sidecar/roles/logship/record"
)

// syslog reads RFC 5424 and RFC 3164, with and without <priority>, told apart by what they look like.
type syslog struct {
	old, iso *stamp.Layout // nil: times are not taken
	limit    int
}

func (d *syslog) decode(r *record.Record, s *state) bool {
	b := r.Message
	mark := len(r.Fields)
	priority := -1
	if len(b) > 2 && b[0] == '<' {
		text, rest, ok := until(b[1:min(len(b), 6)], '>')
		n, err := strconv.Atoi(view(text))
		if !ok || err != nil || n < 0 || n > 191 || text[0] == '+' {
			return false
		}
		priority, b = n, b[1+len(b[1:min(len(b), 6)])-len(rest):]
	}
	var ok bool
	level, time := r.Level, r.Time
	if priority >= 0 {
		r.Level = record.Level([...]record.Level{record.Emergency, record.Alert, record.Critical, record.Error, record.Warn, record.Notice,
			record.Info, record.Debug}[priority&7])
		s.number(r, "syslog.facility", s.decimal(priority>>3))
		s.number(r, "syslog.severity", s.decimal(priority&7))
	}
	if len(b) > 2 && b[0] == '1' && b[1] == ' ' && priority >= 0 {
		ok = d.modern(r, s, b[2:])
	} else {
		ok = d.classic(r, s, b)
	}
	if !ok {
		r.Fields, r.Level, r.Time = r.Fields[:mark], level, time
	}
	return ok
}

func (s *state) decimal(n int) []byte { return s.keep(strconv.AppendInt(s.room(4), int64(n), 10)) }

// classic reads "Jan  2 15:04:05 host program[pid]: text", or the same with a time of RFC 3339 as rsyslog writes it.
func (d *syslog) classic(r *record.Record, s *state, b []byte) bool {
	n := 15
	if len(b) > 19 && b[4] == '-' {
		n = max(bytes.IndexByte(b, ' '), 0)
	}
	if len(b) < n+4 || n < 15 || b[n] != ' ' {
		return false
	}
	if n == 15 && (b[3] != ' ' || b[6] != ' ' || b[9] != ':') {
		return false
	}
	if d.old != nil {
		layout := d.old
		if n > 15 {
			layout = d.iso
		}
		ns, took, ok := layout.Parse(b, r.Read)
		if !ok || took != n {
			return false
		}
		r.Time = ns
	}
	host, b, ok := until(b[n+1:], ' ')
	if !ok || len(host) == 0 {
		return false
	}
	s.own(r, "host.name", host, record.Text)
	if i := bytes.IndexByte(b, ':'); i > 0 && i < 64 && bytes.IndexByte(b[:i], ' ') < 0 {
		tag := b[:i]
		b = bytes.TrimPrefix(b[i+1:], []byte(" "))
		if j := bytes.IndexByte(tag, '['); j > 0 && tag[len(tag)-1] == ']' {
			s.number(r, "process.pid", tag[j+1:len(tag)-1])
			tag = tag[:j]
		}
		s.own(r, "process.name", tag, record.Text)
	}
	r.Message, r.Kind = b, record.Text
	return true
}

// modern reads RFC 5424 behind the version.
func (d *syslog) modern(r *record.Record, s *state, b []byte) bool {
	var heads [5][]byte // time, host, program, process, message id
	for i := range heads {
		var ok bool
		if heads[i], b, ok = until(b, ' '); !ok || len(heads[i]) == 0 {
			return false
		}
	}
	if d.iso != nil && string(heads[0]) != "-" {
		ns, n, ok := d.iso.Parse(heads[0], r.Read)
		if !ok || n != len(heads[0]) {
			return false
		}
		r.Time = ns
	}
	s.own(r, "host.name", heads[1], record.Text)
	s.own(r, "process.name", heads[2], record.Text)
	s.number(r, "process.pid", heads[3])
	s.own(r, "event.code", heads[4], record.Text)
	if len(b) == 0 {
		return false
	}
	if b[0] == '-' {
		b = b[1:]
	} else {
		var ok bool
		for n := 0; len(b) > 0 && b[0] == '['; n++ {
			if b, ok = d.element(r, s, b[1:]); !ok || n == d.limit {
				return false
			}
		}
		if !ok {
			return false
		}
	}
	if len(b) > 0 && b[0] != ' ' {
		return false
	}
	b = bytes.TrimPrefix(b, []byte(" "))
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	r.Message, r.Kind = b, record.Text
	return true
}

// element reads one element of structured data, id name="value" …], and returns what is behind it.
func (d *syslog) element(r *record.Record, s *state, b []byte) (rest []byte, ok bool) {
	i := bytes.IndexAny(b, " ]")
	if i <= 0 {
		return nil, false
	}
	id := b[:i]
	for b = b[i:]; ; {
		if len(b) == 0 {
			return nil, false
		}
		if b[0] == ']' {
			return b[1:], true
		}
		name, after, found := until(bytes.TrimLeft(b, " "), '=')
		end := -1
		if found && len(after) > 0 && after[0] == '"' {
			end = closing(after)
		}
		if end < 0 || len(name) == 0 || len(r.Fields)-s.first > d.limit {
			return nil, false
		}
		key := append(append(append(append(s.room(13+len(id)+len(name)), "syslog.data."...), id...), '.'), name...)
		key = s.keep(key)
		s.set(r, view(key), hash(view(key)), false, s.plain(after[1:end]), record.Text)
		b = after[end+1:]
	}
}

// plain takes away the backslashes of structured data, which stand before ", \ and ] only.
func (s *state) plain(b []byte) []byte {
	if bytes.IndexByte(b, '\\') < 0 {
		return b
	}
	out := s.room(len(b))
	for i := 0; i < len(b); i++ {
		if b[i] == '\\' && i+1 < len(b) && (b[i+1] == '"' || b[i+1] == '\\' || b[i+1] == ']') {
			i++
		}
		out = append(out, b[i])
	}
	return s.keep(out)
}
