// Package pattern makes names from events: of an index, of an object, of a topic, of a label. A pattern is text with %{...} for
// facts of the event and time in either of two spellings: %{+yyyy.MM.dd}, or %Y.%m.%d.
package pattern

import (
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/roles/logship/record"
)

// Clean appends a value from an event to dst so that it cannot break out of its place in the name.
type Clean func(dst, value []byte) []byte

// Pattern makes one name for each event. It remembers the last time it wrote: it is used by one goroutine.
type Pattern struct {
	parts []part
	clean Clean
	text  string
	every int64 // nanoseconds for which the time in the name is the same; 0: there is none
	slot  int64
	known bool
}

type part struct {
	text  string // literal, or the name of the fact
	other string // instead of a fact that the event does not have
	kind  kind
	clock []unit
	last  []byte // text of clock in the slot
}

type kind uint8

const (
	literal kind = iota
	field
	input
	file
	base
	level
	clock
)

// Parse reads a pattern. clean may be nil: values are taken as they are.
func Parse(text string, clean Clean) (*Pattern, error) {
	p := &Pattern{clean: clean, text: text}
	for rest := text; rest != ""; {
		at := strings.IndexByte(rest, '%')
		if at < 0 || at == len(rest)-1 {
			p.literal(rest)
			break
		}
		p.literal(rest[:at])
		rest = rest[at+1:]
		if rest[0] != '{' {
			if rest[0] == '%' {
				p.literal("%")
			} else if err := p.strftime(rest[0]); err != nil {
				return nil, fmt.Errorf("%q: %w", text, err)
			}
			rest = rest[1:]
			continue
		}
		end := strings.IndexByte(rest, '}')
		if end < 0 {
			return nil, fmt.Errorf("%q: %%{ is not closed", text)
		}
		if err := p.fact(rest[1:end]); err != nil {
			return nil, fmt.Errorf("%q: %w", text, err)
		}
		rest = rest[end+1:]
	}
	return p, nil
}

func (p *Pattern) literal(text string) {
	if text == "" {
		return
	}
	if n := len(p.parts); n > 0 && p.parts[n-1].kind == literal {
		p.parts[n-1].text += text
		return
	}
	p.parts = append(p.parts, part{text: text})
}

func (p *Pattern) fact(text string) error {
	if layout, ok := strings.CutPrefix(text, "+"); ok {
		return p.joda(layout)
	}
	name, other, _ := strings.Cut(text, ":-")
	if name == "" {
		return fmt.Errorf("%%{%s} names nothing\nhint: %%{input}, %%{path}, %%{file}, %%{level}, the key of a field, or time such as %%{+yyyy.MM.dd}", text)
	}
	k := field
	switch name {
	case "input":
		k = input
	case "path":
		k = file
	case "file":
		k = base
	case "level":
		k = level
	}
	if other == "" {
		other = "unknown"
	}
	p.parts = append(p.parts, part{text: name, other: other, kind: k})
	return nil
}

// Constant returns the name if it is the same for every event.
func (p *Pattern) Constant() (string, bool) {
	switch {
	case len(p.parts) == 0:
		return "", true
	case len(p.parts) == 1 && p.parts[0].kind == literal:
		return p.parts[0].text, true
	}
	return "", false
}

// Fixed is the pattern with another text for everything that is not the same in every name.
func (p *Pattern) Fixed(other string) string {
	var b strings.Builder
	for _, c := range p.parts {
		if c.kind == literal {
			b.WriteString(c.text)
		} else {
			b.WriteString(other)
		}
	}
	return b.String()
}

// String is the pattern as it was written.
func (p *Pattern) String() string { return p.text }

// Append appends the name for r. Time is in UTC.
func (p *Pattern) Append(dst []byte, r *record.Record) []byte {
	if p.every > 0 {
		p.tick(r.Stamp())
	}
	for i := range p.parts {
		c := &p.parts[i]
		switch c.kind {
		case literal:
			dst = append(dst, c.text...)
		case clock:
			dst = append(dst, c.last...)
		case field:
			dst = p.value(dst, Field(r, c.text), c.other)
		case level:
			dst = p.value(dst, []byte(r.Level.String()), c.other)
		case input:
			dst = p.value(dst, []byte(r.File.Input), c.other)
		case file:
			dst = p.value(dst, []byte(r.File.Path), c.other)
		case base:
			dst = p.value(dst, []byte(path.Base(r.File.Path)), c.other)
		}
	}
	return dst
}

func (p *Pattern) value(dst, value []byte, other string) []byte {
	if len(value) == 0 {
		return append(dst, other...)
	}
	if p.clean == nil {
		return append(dst, value...)
	}
	return p.clean(dst, value)
}

// Field returns the value of a field by its key, nil if there is none.
func Field(r *record.Record, key string) []byte {
	for i := range r.Fields {
		if r.Fields[i].Key == key {
			return r.Fields[i].Value
		}
	}
	return nil
}

// tick writes time anew when a border of the smallest unit was crossed.
func (p *Pattern) tick(stamp int64) {
	slot := stamp / p.every
	if stamp < 0 {
		slot--
	}
	if p.known && slot == p.slot {
		return
	}
	p.known, p.slot = true, slot
	now := time.Unix(0, stamp).UTC()
	for i := range p.parts {
		c := &p.parts[i]
		if c.kind != clock {
			continue
		}
		c.last = c.last[:0]
		for _, u := range c.clock {
			c.last = u.write(c.last, now)
		}
	}
}
