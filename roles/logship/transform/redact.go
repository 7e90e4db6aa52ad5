package transform

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"regexp"
	"slices"
	"strings"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/internal/suggest"
	"github.com/sidecar-kit/sidecar/roles/logship/decode/scan"
	"github.com/sidecar-kit/sidecar/roles/logship/record"
)

// redactConfig says what is taken away, and what is put in its place.
type redactConfig struct {
	presets  []string
	keys     []string
	patterns []*regexp.Regexp
	mask     string
	salt     string // not empty: a keyed hash in place of the mask
	hash     bool
}

// Presets are the kinds of text that redaction knows.
func Presets() []string { return []string{"email", "card", "bearer", "jwt", "aws", "ipv4"} }

func parseRedact(v draft.Value) (*redactConfig, error) {
	c := &redactConfig{mask: "***"}
	if v.Shape != draft.Map {
		return c, c.preset(v)
	}
	err := v.Each([]string{"presets", "keys", "patterns", "mask", "with", "salt"}, func(key string, v draft.Value) error {
		switch key {
		case "presets":
			return c.preset(v)
		case "keys":
			return v.Words(&c.keys)
		case "mask":
			return v.Word(&c.mask)
		case "salt":
			return v.Word(&c.salt)
		case "with":
			var word string
			err := v.OneOf(&word, "mask", "hash")
			c.hash = word == "hash"
			return err
		}
		return v.Each1(func(v draft.Value) error {
			var text string
			if err := v.Word(&text); err != nil {
				return err
			}
			re, err := regexp.Compile(text)
			if err != nil {
				return v.Errorf("%q: %v", text, err)
			}
			if re.MatchString("") {
				return v.Errorf("%q fits nothing at all, so it would fit everywhere", text)
			}
			c.patterns = append(c.patterns, re)
			return nil
		})
	})
	switch {
	case err != nil:
		return nil, err
	case len(c.presets)+len(c.keys)+len(c.patterns) == 0:
		return nil, v.Errorf("redact says not what: want presets (%s), keys or patterns", strings.Join(Presets(), ", "))
	case c.hash && c.salt == "":
		return nil, v.Errorf("with: hash needs a salt, or whoever has the logs can try all values: salt: ${REDACT_SALT}")
	}
	return c, nil
}

func (c *redactConfig) preset(v draft.Value) error {
	if err := v.Words(&c.presets); err != nil {
		return err
	}
	for _, word := range c.presets {
		if !slices.Contains(Presets(), word) {
			return v.Errorf("unknown preset %q%s\nhint: the presets are %s", word, suggest.DidYouMean("", word, Presets()), strings.Join(Presets(), ", "))
		}
	}
	if len(c.presets) == 0 {
		return v.Errorf("redact names no preset")
	}
	return nil
}

// finder returns the next place in b, from i on, that has to be taken away; start is -1 if there is none. The time that all places of a
// text take together is linear in its length, whatever the text: it is written by others.
type finder func(b []byte, i int) (start, end int)

// redactor takes away what nobody may read. It is used by one goroutine.
type redactor struct {
	keys    keySet
	finders []finder
	mask    []byte
	mac     hash.Hash
	sum     [sha256.Size]byte
	scratch *scratch
	count   int64
	path    []byte // the key of the field that is looked into

	keysOnly bool // nothing is looked for but keys
}

func newRedactor(c *redactConfig, env Env, s *scratch) (*redactor, error) {
	d := &redactor{scratch: s, mask: []byte(c.mask)}
	for _, key := range c.keys {
		d.keys.add(key)
	}
	all := map[string][]finder{
		"email": {email("@"), email("%40")}, "card": {card}, "bearer": {scheme('B'), scheme('b')}, "jwt": {jwt},
		"aws": {aws("AKIA"), aws("ASIA")}, "ipv4": {ipv4},
	}
	for _, word := range c.presets {
		d.finders = append(d.finders, all[word]...)
	}
	for _, re := range c.patterns {
		d.finders = append(d.finders, byPattern(re))
	}
	if d.keys.any() {
		d.keysOnly = len(d.finders) == 0
		d.finders = append(d.finders, d.byKey)
	}
	if c.hash {
		salt, err := expand(c.salt, env.Getenv)
		if err != nil {
			return nil, err
		}
		d.mac = hmac.New(sha256.New, []byte(salt))
	}
	return d, nil
}

// apply redacts the message and the fields from first on.
func (d *redactor) apply(r *record.Record, first int) {
	if out, changed := d.value(r.Message, &r.Kind); changed {
		r.Message = out
	}
	for i := first; i < len(r.Fields); i++ {
		f := &r.Fields[i]
		if d.keys.has(f.Key) {
			f.Value, f.Kind = d.replace(f.Value), record.Text
			continue
		}
		if f.Kind == record.Literal && len(f.Value) < 12 {
			continue
		}
		if f.Kind == record.Nested && d.keys.dotted {
			d.path = append(d.path[:0], f.Key...)
		}
		if out, changed := d.value(f.Value, &f.Kind); changed {
			f.Value = out
		}
	}
}

// replace is what stands in the place of b.
func (d *redactor) replace(b []byte) []byte {
	d.count++
	if d.mac == nil {
		return d.mask
	}
	d.mac.Reset()
	_, _ = d.mac.Write(b)
	d.mac.Sum(d.sum[:0])
	out := append(d.scratch.room(40), "hash:"...)
	return d.scratch.keep(hex.AppendEncode(out, d.sum[:8]))
}

// value redacts one value; kind becomes Text if it is changed.
func (d *redactor) value(b []byte, kind *record.Kind) (out []byte, changed bool) {
	if *kind == record.Nested {
		return d.nested(b)
	}
	if len(d.finders) == 0 || d.keysOnly && mark(b, '\\') == len(b) {
		return b, false
	}
	plain := b
	if *kind == record.Escaped && bytes.IndexByte(b, '\\') >= 0 { // \u0040 is an @, too
		plain = d.scratch.keep(scan.Unescape(d.scratch.room(len(b)+8), b))
	}
	for _, find := range d.finders {
		start, end := find(plain, 0)
		if start < 0 {
			continue
		}
		var parts []byte
		at := 0
		for ; start >= 0; start, end = find(plain, at) {
			parts = append(parts, plain[at:start]...)
			parts = append(parts, d.replace(plain[start:end])...)
			at = end
		}
		plain = append(parts, plain[at:]...)
		changed = true
	}
	if !changed {
		return b, false
	}
	*kind = record.Text
	return plain, true
}

// nested redacts within an object or an array.
func (d *redactor) nested(b []byte) (out []byte, changed bool) {
	before := d.count
	out = d.walk(nil, b, d.path)
	if d.count == before {
		return b, false
	}
	return out, true
}

// walk appends the value b, redacted, which stands below the key path. b is valid.
func (d *redactor) walk(dst, b, path []byte) []byte {
	if len(b) == 0 {
		return dst
	}
	if b[0] != '{' && b[0] != '[' {
		return d.leaf(dst, b)
	}
	object, own := b[0] == '{', path
	dst = append(dst, b[0])
	for i := scan.Space(b, 1); i < len(b) && b[i] != ']' && b[i] != '}'; {
		hit := false
		if object {
			from, _ := scan.Key(b, i)
			if from < 0 {
				return append(dst, b[i:]...)
			}
			end, _ := scan.String(b, i+1)
			if own = path[:len(path):len(path)]; len(own) > 0 {
				own = append(own, '.')
			}
			own = scan.Unescape(own, b[i+1:end])
			hit = d.keys.has(string(own))
			dst = append(append(dst, b[i:end+1]...), ':')
			i = from
		}
		keys := 0
		end, _, _ := scan.Value(b, i, 1000, &keys)
		if end < 0 {
			return append(dst, b[i:]...)
		}
		if hit {
			dst, _ = record.AppendString(dst, string(d.replace(b[i:end])))
		} else {
			if !d.keys.dotted {
				own = nil
			}
			dst = d.walk(dst, b[i:end], own)
		}
		if i = scan.Space(b, end); i < len(b) && b[i] == ',' {
			dst = append(dst, ',')
			i = scan.Space(b, i+1)
		}
	}
	return append(dst, b[0]+2)
}

func (d *redactor) leaf(dst, b []byte) []byte {
	kind, inner := record.Literal, b
	if b[0] == '"' {
		kind, inner = record.Escaped, b[1:len(b)-1]
	} else if len(b) < 12 {
		return append(dst, b...)
	}
	if out, changed := d.value(inner, &kind); changed {
		dst, _ = record.AppendString(dst, string(out))
		return dst
	}
	return append(dst, b...)
}
