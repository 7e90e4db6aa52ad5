package run

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sidecar-kit/sidecar/roles/cron/job"
)

// keepPartial is how large a buffer a stream keeps for the next unfinished line.
const keepPartial = 4 << 10

// stream is one output of a run. All of it is guarded by Runner.out.
type stream struct {
	x       *Run
	kind    int // 0 stdout, 1 stderr
	fd      int // -1 when closed
	late    bool
	part    int    // pieces of the current line that were given out
	partial []byte // the rest of a line that is not complete
}

func streamName(kind int) string {
	if kind == 0 {
		return "stdout"
	}
	return "stderr"
}

// take takes what was read from the stream.
func (s *stream) take(data []byte) {
	if !s.late {
		s.x.tail.write(data)
	}
	for len(data) > 0 {
		i := bytes.IndexByte(data, '\n')
		if i < 0 {
			s.hold(data)
			break
		}
		s.line(data[:i])
		data = data[i+1:]
	}
	s.x.r.flush(s.kind)
}

// end gives out a last line that has no newline.
func (s *stream) end() {
	if len(s.partial) > 0 || s.part > 0 {
		s.line(nil)
	}
	s.partial = nil
	s.x.r.flush(s.kind)
}

// hold keeps the beginning of a line and gives out what is too long to be kept.
func (s *stream) hold(data []byte) {
	limit := s.x.r.o.MaxLine
	for len(s.partial)+len(data) > limit {
		n := limit - len(s.partial)
		s.partial = append(s.partial, data[:n]...)
		data = data[n:]
		whole := runeBoundary(s.partial)
		s.piece(s.partial[:whole], false)
		s.partial = append(s.partial[:0], s.partial[whole:]...)
	}
	s.partial = append(s.partial, data...)
}

// line ends the current line with data.
func (s *stream) line(data []byte) {
	if len(s.partial) == 0 && len(data) <= s.x.r.o.MaxLine {
		s.piece(data, true)
		return
	}
	s.hold(data)
	s.piece(s.partial, true)
	s.partial = s.partial[:0]
	if cap(s.partial) > keepPartial {
		s.partial = nil
	}
}

// runeBoundary is the length of data without an incomplete character at its end.
func runeBoundary(data []byte) int {
	for n := 1; n < utf8.UTFMax && n < len(data); n++ {
		if c := data[len(data)-n]; utf8.RuneStart(c) {
			if c >= utf8.RuneSelf && !utf8.FullRune(data[len(data)-n:]) {
				return len(data) - n
			}
			break
		}
	}
	return len(data)
}

// piece gives out a line, or a part of one that is too long.
func (s *stream) piece(data []byte, last bool) {
	x := s.x
	part := 0
	if !last || s.part > 0 {
		s.part++
		part = s.part
	}
	if last {
		x.lines++
		if part > 0 {
			x.cut++
		}
		s.part = 0
	}
	policy := x.task.Job.Policy
	if policy.LogOutput == job.OutputNone {
		return
	}
	x.records++
	if policy.MaxLogLines > 0 && x.records > int64(policy.MaxLogLines) {
		x.dropped++
		return
	}
	if policy.LogOutput != job.OutputLog {
		r := x.r
		r.raw[s.kind] = append(r.raw[s.kind], data...)
		if last {
			r.raw[s.kind] = append(r.raw[s.kind], '\n')
		}
	}
	if policy.LogOutput != job.OutputRaw {
		s.record(data, part, last)
	}
}

// record logs a line. Both streams have one level: programs tell progress on
// stderr as well as trouble, so the stream is a field and not a verdict.
func (s *stream) record(data []byte, part int, last bool) {
	e := s.x.r.o.Log.Info()
	if e == nil {
		return
	}
	e = e.Str("job", s.x.task.Job.Name).Str("run", s.x.task.ID).Str("stream", streamName(s.kind))
	if part > 0 {
		e = e.Int("part", part).Bool("more", !last)
	}
	if s.late {
		e = e.Bool("late", true)
	}
	if last {
		data = bytes.TrimSuffix(data, []byte{'\r'})
	}
	e.Msg(safe(data))
}

// flush writes the raw lines. An error is nobody's: the reader went away.
func (r *Runner) flush(kind int) {
	if len(r.raw[kind]) == 0 {
		return
	}
	w := r.o.Stdout
	if kind == 1 {
		w = r.o.Stderr
	}
	if w != nil {
		_, _ = w.Write(r.raw[kind])
	}
	r.raw[kind] = r.raw[kind][:0]
}

// safe makes control bytes and what is not UTF-8 visible, so that a line can not
// move the cursor of who reads the log.
func safe(line []byte) string {
	plain := true
	for _, c := range line {
		if c < ' ' && c != '\t' || c >= 0x7f {
			plain = false
			break
		}
	}
	if plain {
		return string(line)
	}
	var b strings.Builder
	b.Grow(len(line) + 16)
	for i := 0; i < len(line); {
		c, n := utf8.DecodeRune(line[i:])
		switch {
		case c == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, line[i])
		case c != '\t' && unicode.IsControl(c), unicode.Is(unicode.Cf, c) && c != '\u200c' && c != '\u200d': // joiners are text
			fmt.Fprintf(&b, `\u%04x`, c)
		default:
			b.Write(line[i : i+n])
		}
		i += n
	}
	return b.String()
}

// ring keeps the last bytes of what is written to it.
type ring struct {
	limit int
	at    int // where the next byte goes once it is full
	data  []byte
}

func (t *ring) write(p []byte) {
	if len(p) > t.limit {
		p = p[len(p)-t.limit:]
	}
	if room := t.limit - len(t.data); room > 0 {
		n := min(room, len(p))
		t.data = append(t.data, p[:n]...)
		p = p[n:]
	}
	for len(p) > 0 {
		n := copy(t.data[t.at:], p)
		p = p[n:]
		if t.at += n; t.at == t.limit {
			t.at = 0
		}
	}
}

func (t *ring) bytes() []byte {
	if t.at == 0 {
		return t.data
	}
	return append(append(make([]byte, 0, len(t.data)), t.data[t.at:]...), t.data[:t.at]...)
}
