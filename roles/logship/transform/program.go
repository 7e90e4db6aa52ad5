package transform

import (
	"slices"
	"strings"

	"github.com/sidecar-kit/sidecar/roles/logship/decode/scan"
	"github.com/sidecar-kit/sidecar/roles/logship/record"
)

// Program is a list of transforms, used by one goroutine.
type Program struct {
	config  Config
	env     Env
	ops     []op
	fields  []record.Field
	common  *record.Common
	scratch scratch
	redacts []*redactor
	replay  bool
}

// op is a step that works on each record; it tells if the record goes on.
type op struct {
	drop string // the reason if it does not
	run  func(r *record.Record, first int) bool
}

// scratch is memory for the values of one record.
type scratch struct{ buf []byte }

func (s *scratch) room(n int) []byte {
	if cap(s.buf)-len(s.buf) < n {
		s.buf = make([]byte, 0, max(1024, 2*cap(s.buf), 2*n))
	}
	return s.buf[len(s.buf):len(s.buf):cap(s.buf)]
}

func (s *scratch) keep(b []byte) []byte {
	if n := len(s.buf); n+len(b) <= cap(s.buf) && (len(b) == 0 || &s.buf[:n+1][n] == &b[0]) {
		s.buf = s.buf[:n+len(b)]
	}
	return b[:len(b):len(b)]
}

// Taken are the keys that the program adds: no application may set them.
func (c Config) Taken() []string { return c.taken() }

// Files are the files that added values come from; see Program.Refresh.
func (c Config) Files() []string { return c.files() }

// New makes a program. A variable that is not set is an error; files are read by Refresh, which has to be called before Apply.
func (c Config) New(env Env) (*Program, error) {
	p := &Program{config: c, env: env}
	for i := range c.steps {
		s := &c.steps[i]
		switch s.word {
		case "add", "kubernetes":
			for _, a := range s.add {
				if _, err := expand(a.text, env.Getenv); err != nil {
					return nil, pathError(s.place, a.key, err)
				}
			}
		case "drop":
			p.op("", p.dropKeys(s.keys))
		case "keep":
			p.op("", keepKeys(s.keys))
		case "rename":
			p.op("", rename(s.rename))
		case "filter":
			p.op("filter", func(r *record.Record, _ int) bool { return !s.when.holds(r) })
		case "only":
			p.op("filter", func(r *record.Record, _ int) bool { return s.when.holds(r) })
		case "sample":
			p.op("sample", func(r *record.Record, _ int) bool { return s.sample.passes(r) })
		case "limit":
			l := &limit{limitConfig: s.limit, buckets: map[string]*bucket{}}
			p.op("limit", func(r *record.Record, _ int) bool { return p.replay || l.passes(r) })
		case "redact":
			d, err := newRedactor(s.redact, env, &p.scratch)
			if err != nil {
				return nil, pathError(s.place, "redact", err)
			}
			p.redacts = append(p.redacts, d)
			p.op("", func(r *record.Record, first int) bool { d.apply(r, first); return true })
		}
	}
	return p, nil
}

func (p *Program) op(drop string, run func(r *record.Record, first int) bool) {
	p.ops = append(p.ops, op{drop, run})
}

// Refresh reads the files of added values. An error names what could not be read; the rest is in force.
func (p *Program) Refresh() error {
	fields, err := p.config.static(p.env)
	r := record.Record{Fields: fields}
	for _, d := range p.redacts {
		d.apply(&r, 0)
	}
	for i := range fields { // the memory of redaction is used again
		fields[i].Value = slices.Clone(fields[i].Value)
	}
	p.fields = fields
	p.common = common(fields)
	if len(fields) == 0 {
		p.common = nil
	}
	return err
}

// Begin gives r the fields that all records have. Decoders add theirs behind them.
func (p *Program) Begin(r *record.Record) {
	r.Fields = append(r.Fields[:0], p.fields...)
	r.Common = p.common
}

// Apply runs the steps on a record that was decoded. A record that is not to be sent has Drop set.
func (p *Program) Apply(r *record.Record) {
	if cap(p.scratch.buf) > 1<<20 {
		p.scratch.buf = nil
	}
	p.scratch.buf = p.scratch.buf[:0]
	first := len(p.fields)
	for i := range p.ops {
		if o := &p.ops[i]; !o.run(r, first) {
			r.Drop = o.drop
			return
		}
	}
}

// Replay makes rate limits let everything pass, so that what was sent once is sent again.
func (p *Program) Replay(on bool) { p.replay = on }

// Redacted counts what was taken away. It is for the goroutine that applies.
func (p *Program) Redacted() int64 {
	var n int64
	for _, d := range p.redacts {
		n += d.count
	}
	return n
}

// dropKeys takes away fields, and members of objects.
func (p *Program) dropKeys(keys []string) func(r *record.Record, first int) bool {
	message := slices.Contains(keys, "message")
	return func(r *record.Record, first int) bool {
		if message {
			r.Message = nil
		}
		n := first
		for i := first; i < len(r.Fields); i++ {
			f := &r.Fields[i]
			if matches(keys, f.Key) {
				continue
			}
			if f.Kind == record.Nested && f.Value[0] == '{' {
				for _, key := range keys {
					if rest, ok := strings.CutPrefix(key, f.Key+"."); ok {
						f.Value = without(f.Value, rest)
					}
				}
			}
			if n != i {
				r.Fields[n] = *f
			}
			n++
		}
		r.Fields = r.Fields[:n]
		return true
	}
}

// without returns the object b without the member at path.
func without(b []byte, path string) []byte {
	value, kind, ok := scan.Find(b, path)
	if !ok {
		return b
	}
	// The value is a part of b: its place is the difference of what is left of both.
	start := cap(b) - cap(value)
	end := start + len(value)
	if kind == record.Escaped {
		start, end = start-1, end+1
	}
	from := start
	for from > 0 && b[from] != ':' || from == start {
		from--
	}
	for from--; b[from] != '"'; {
		from--
	}
	for from--; b[from] != '"' || escaped(b, from); {
		from--
	}
	out := append([]byte{}, b[:from]...)
	end = scan.Space(b, end)
	if b[end] == ',' {
		return append(out, b[scan.Space(b, end+1):]...)
	}
	for i := len(out) - 1; i > 0; i-- {
		if out[i] == ',' {
			out = out[:i]
			break
		}
		if out[i] == '{' {
			break
		}
	}
	return append(out, b[end:]...)
}

// escaped tells if an odd number of backslashes stands before b[i].
func escaped(b []byte, i int) bool {
	n := 0
	for i > 0 && b[i-1] == '\\' {
		n++
		i--
	}
	return n%2 == 1
}

func keepKeys(keys []string) func(r *record.Record, first int) bool {
	return func(r *record.Record, first int) bool {
		n := first
		for i := first; i < len(r.Fields); i++ {
			if matches(keys, r.Fields[i].Key) {
				r.Fields[n] = r.Fields[i]
				n++
			}
		}
		r.Fields = r.Fields[:n]
		return true
	}
}

// rename gives fields other keys. A field that has the new key is replaced; the new key message makes it the message.
func rename(pairs [][2]string) func(r *record.Record, first int) bool {
	return func(r *record.Record, first int) bool {
		for _, pair := range pairs {
			i := first
			for i < len(r.Fields) && r.Fields[i].Key != pair[0] {
				i++
			}
			if i == len(r.Fields) {
				continue
			}
			if f := r.Fields[i]; pair[1] == "message" {
				r.Message, r.Kind = f.Value, f.Kind
				if f.Kind == record.Literal || f.Kind == record.Nested {
					r.Kind = record.Text
				}
				r.Fields = slices.Delete(r.Fields, i, i+1)
				continue
			}
			for j := len(r.Fields) - 1; j >= first; j-- {
				if j != i && r.Fields[j].Key == pair[1] {
					r.Fields = slices.Delete(r.Fields, j, j+1)
					if j < i {
						i--
					}
				}
			}
			r.Fields[i].Key, r.Fields[i].Plain = pair[1], false
		}
		return true
	}
}
