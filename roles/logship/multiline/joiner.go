package multiline

import (
	"bytes"
	"time"

	"github.com/sidecar-kit/sidecar/roles/logship/record"
)

// Event is one or more lines. Text has a line feed between lines; empty lines at its end are cut off, but belong to its range.
type Event struct {
	Text      []byte
	Off, Next int64 // offsets in the generation: of its first byte, and behind its line end
	Flags     record.Flags
}

// Joiner joins the lines of one file for one output. It is used by one goroutine.
//
// Add gives the events that a line ended, which are valid until the next call of Add, Hold or Flush or the end of the block. Call Hold before
// the block of the lines is released, Flush when Due has passed, when the generation ends, and at the end of a range that is read again.
type Joiner struct {
	config Config
	flags  [8]bool // presets, in the order of Words

	open          bool
	event         Event  // Text is in the block, or in buffer
	own           bool   // Text is buffer
	buffer, spare []byte // joined text
	lines         int
	trace         trace
	single        bool // the event began with a line that cannot be the first of several
	due           time.Time
	done          [3]Event
}

// New returns a joiner, nil if the configuration joins nothing.
func (c Config) New() *Joiner {
	if !c.On() {
		return nil
	}
	j := &Joiner{config: c}
	for i, word := range Words() {
		for _, p := range c.Presets {
			j.flags[i] = j.flags[i] || p == word
		}
	}
	return j
}

// Add takes the next line: its text without line end, its offset and that behind its line end.
func (j *Joiner) Add(line []byte, off, next int64, flags record.Flags) []Event {
	done := j.done[:0]
	if flags&(record.More|record.Rest|record.Cut) != 0 { // a part of a line that is too long anyway
		done = j.close(done)
		return append(done, Event{line, off, next, flags})
	}
	if j.open && (j.single || !j.goesOn(line)) {
		done = j.close(done)
	}
	if j.open && (j.lines >= j.config.Lines || len(j.event.Text)+1+len(line) > j.config.Bytes) {
		j.event.Flags |= record.More
		done = j.close(done)
	}
	if !j.open {
		j.begin(line, off, next, flags)
	} else {
		j.join(line, next, flags)
	}
	if j.ends(line) {
		done = j.close(done)
	}
	return done
}

func (j *Joiner) begin(line []byte, off, next int64, flags record.Flags) {
	j.open, j.own, j.lines, j.trace = true, false, 1, trace{}
	j.event = Event{line, off, next, flags}
	c := &j.config
	j.single = c.Start != nil && c.End != nil && !c.Start.match(line)
	if j.flags[1] {
		j.trace.pythonBegins(line)
	}
	if j.flags[2] {
		j.trace.goBegins(line)
	}
	if j.flags[4] {
		j.trace.nodeBegins(line)
	}
}

// goesOn tells if line belongs to the event that is open.
func (j *Joiner) goesOn(line []byte) bool {
	c := &j.config
	if len(c.Presets) > 0 && j.presetGoesOn(line) {
		return true
	}
	switch {
	case c.Start != nil && c.Start.match(line):
		return false
	case c.Continue != nil:
		return c.Continue.match(line)
	default:
		return c.Start != nil || c.End != nil
	}
}

func (j *Joiner) presetGoesOn(line []byte) bool {
	if j.flags[6] && !dated(line) || j.flags[7] && criPart(j.event.Text) {
		return true
	}
	// Nearly all lines begin with a byte that begins no line of a stack trace.
	return j.flags[0] && java(line) || j.flags[1] && j.trace.pythonGoesOn(line) || j.flags[2] && j.trace.goGoesOn(line) ||
		j.flags[3] && ruby(line) || j.flags[4] && j.trace.nodeGoesOn(line) || j.flags[5] && blank(line)
}

// ends tells if line is the last one of the event that is open.
func (j *Joiner) ends(line []byte) bool {
	return j.config.End != nil && !j.single && j.config.End.match(line)
}

// criPart tells if the last line of text is one that a container runtime has cut: time, stream, P.
func criPart(text []byte) bool {
	text = text[bytes.LastIndexByte(text, '\n')+1:]
	for range 2 {
		i := bytes.IndexByte(text, ' ')
		if i < 0 {
			return false
		}
		text = text[i+1:]
	}
	return begins(text, "P ")
}

// join adds a line to the event that is open. Where it stands right behind it in the block, nothing is copied.
func (j *Joiner) join(line []byte, next int64, flags record.Flags) {
	j.lines++
	j.event.Next = next
	j.event.Flags |= flags | record.Multiline
	text := j.event.Text
	if n := len(text); !j.own && len(line) > 0 && cap(text) > n+1 {
		if whole := text[:n+2]; &whole[n+1] == &line[0] && whole[n] == '\n' {
			j.event.Text = text[: n+1+len(line) : cap(text)]
			return
		}
	}
	if !j.own {
		j.buffer = append(j.buffer[:0], text...)
		j.own = true
	}
	j.buffer = append(j.buffer, '\n')
	j.buffer = append(j.buffer, line...)
	j.event.Text = j.buffer
}

// close ends the event that is open.
func (j *Joiner) close(done []Event) []Event {
	if !j.open {
		return done
	}
	e := j.event
	if e.Flags&record.Multiline != 0 {
		e.Text = bytes.TrimRight(e.Text, "\n")
	}
	e.Text = e.Text[:len(e.Text):len(e.Text)]
	if j.own { // this buffer is the caller's until the next call
		j.buffer, j.spare = j.spare, j.buffer
		if cap(j.spare) > 1<<20 {
			j.spare = nil
		}
	}
	j.open, j.event, j.due = false, Event{}, time.Time{}
	return append(done, e)
}

// Hold copies what is pending out of the block. now is when the block was read: Due counts from it.
func (j *Joiner) Hold(now time.Time) {
	if !j.open {
		return
	}
	if !j.own {
		j.buffer = append(j.buffer[:0], j.event.Text...)
		j.event.Text, j.own = j.buffer, true
	}
	j.due = now.Add(j.config.Timeout)
}

// Due is when Flush has to be called, if no line comes before; zero when nothing is pending.
func (j *Joiner) Due() time.Time { return j.due }

// Pending is the offset at which the event that is open begins.
func (j *Joiner) Pending() (off int64, open bool) { return j.event.Off, j.open }

// Flush ends the event that is open.
func (j *Joiner) Flush() []Event { return j.close(j.done[:0]) }
