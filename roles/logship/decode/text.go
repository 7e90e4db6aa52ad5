package decode

import (
	"bytes"
	"regexp"
	"unicode/utf8"

	"github.com/sidecar-kit/sidecar/roles/logship/decode/scan"
	"github.com/sidecar-kit/sidecar/roles/logship/decode/stamp"
	"github.com/sidecar-kit/sidecar/roles/logship/record"
)

// common is what the decoders of text share.
type common struct {
	names   *names
	times   *stamp.Layout
	numbers map[string]bool // keys whose values are numbers if they look like one
	limit   int             // of fields
}

// field puts a value that is text.
func (c *common) field(r *record.Record, s *state, key, value []byte) {
	plain := true
	for _, ch := range key {
		plain = plain && ch >= ' ' && ch < utf8.RuneSelf && ch != '"' && ch != '\\'
	}
	c.put(r, s, view(key), plain, value)
}

func (c *common) put(r *record.Record, s *state, key string, plain bool, value []byte) {
	kind := record.Text
	if len(c.numbers) > 0 && c.numbers[key] && scan.IsNumber(value) {
		kind = record.Literal
	}
	s.put(r, c.names, key, plain, value, kind, c.times)
}

// logfmt reads key=value pairs with blanks between.
type logfmt struct{ common }

func (d *logfmt) decode(r *record.Record, s *state) bool {
	s.found = found{}
	mark, b := len(r.Fields), r.Message
	if !d.pairs(r, s, b) || len(r.Fields) == mark && s.found.message == nil {
		r.Fields = r.Fields[:mark]
		return false
	}
	s.commit(r)
	return true
}

func (d *logfmt) pairs(r *record.Record, s *state, b []byte) bool {
	for n := 0; ; n++ {
		for len(b) > 0 && b[0] <= ' ' {
			b = b[1:]
		}
		if len(b) == 0 {
			return true
		}
		i := 0
		for i < len(b) && b[i] > ' ' && b[i] != '=' && b[i] != '"' {
			i++
		}
		if i == 0 || i == len(b) || b[i] != '=' || n == d.limit {
			return false // a word that is no pair: this is prose
		}
		key := b[:i]
		b = b[i+1:]
		if len(b) > 0 && b[0] == '"' {
			end := closing(b)
			if end < 0 || end+1 < len(b) && b[end+1] > ' ' {
				return false
			}
			d.field(r, s, key, s.unquote(b[1:end]))
			b = b[end+1:]
			continue
		}
		for i = 0; i < len(b) && b[i] > ' '; {
			i++
		}
		d.field(r, s, key, b[:i:i])
		b = b[i:]
	}
}

// closing returns the index of the quote that ends the string which b begins with, -1 if there is none.
func closing(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return -1
}

// unquote is the text of a quoted string; other escapes than JSON's stand for the byte behind the backslash.
func (s *state) unquote(b []byte) []byte {
	if bytes.IndexByte(b, '\\') < 0 {
		return b
	}
	return s.keep(scan.Unescape(s.room(len(b)+8), b))
}

// pattern reads lines by a regular expression with names.
type pattern struct {
	common
	re   *regexp.Regexp
	keys []string
}

func (d *pattern) decode(r *record.Record, s *state) bool {
	m := d.re.FindSubmatchIndex(r.Message)
	if m == nil {
		return false
	}
	s.found = found{}
	b := r.Message
	for i, key := range d.keys {
		if from := m[2*i]; key != "" && from >= 0 {
			d.put(r, s, key, true, b[from:m[2*i+1]])
		}
	}
	if !s.found.hasText {
		s.found.message, s.found.kind = b, record.Text
	}
	s.commit(r)
	return true
}

// csv reads values with a separator between, maybe in quotes, one for each column.
type csv struct {
	common
	columns   []string
	separator byte
}

func (d *csv) decode(r *record.Record, s *state) bool {
	s.found = found{}
	mark := len(r.Fields)
	if !d.row(r, s, r.Message) {
		r.Fields = r.Fields[:mark]
		return false
	}
	s.commit(r)
	return true
}

func (d *csv) row(r *record.Record, s *state, b []byte) bool {
	for i, column := range d.columns {
		var value []byte
		if len(b) > 0 && b[0] == '"' {
			end, doubled := 1, false
			for end < len(b) && (b[end] != '"' || end+1 < len(b) && b[end+1] == '"') {
				if b[end] == '"' {
					doubled = true
					end++
				}
				end++
			}
			if end >= len(b) {
				return false
			}
			value, b = b[1:end], b[end+1:]
			if doubled {
				value = s.undouble(value)
			}
		} else if end := bytes.IndexByte(b, d.separator); end >= 0 {
			value, b = b[:end], b[end:]
		} else {
			value, b = b, nil
		}
		if last := i == len(d.columns)-1; last {
			if len(b) > 0 {
				return false
			}
		} else if len(b) == 0 || b[0] != d.separator {
			return false
		} else {
			b = b[1:]
		}
		if column != "" {
			d.put(r, s, column, false, value)
		}
	}
	return true
}

func (s *state) undouble(b []byte) []byte {
	out := s.room(len(b))
	for i := 0; i < len(b); i++ {
		out = append(out, b[i])
		if b[i] == '"' {
			i++
		}
	}
	return s.keep(out)
}
