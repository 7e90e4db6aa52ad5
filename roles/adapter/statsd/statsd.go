// Package statsd reads and writes lines of StatsD: counters, gauges, timers, histograms, distributions and sets, with the tags of DogStatsD,
// InfluxDB, Librato and SignalFX, and DogStatsD 1.0 to 1.4. It understands a line as statsd_exporter does, and counts the same faults by
// the same names; docs/decisions/0290 has the exceptions. Nothing is allocated for a line whose tag names need no repair. Used by push and emit.
package statsd

import (
	"strings"
	"unicode/utf8"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// Kind is what the samples of a line are.
type Kind uint8

// The kinds. Unknown ones are faults.
const (
	Unknown Kind = iota
	Counter
	Gauge
	Timer // milliseconds, Scale makes seconds of them
	Histogram
	Distribution
	Set
)

// Fault says why a sample is not used.
type Fault uint8

// The faults; String gives the names of statsd_exporter.
const (
	None               Fault = iota
	MalformedLine            // no colon, no name, or no UTF-8: all of the line is lost
	MixedTags                // tags in the name and after |#: all of the line is lost
	NotEnoughParts           // no | after the colon: all of the line is lost
	BadAggregate             // several packed values of a type that cannot have them: all of the line is lost
	MalformedComponent       // less than 2 parts, more than 8, or an empty one
	MalformedValue           // no number, or not a finite one
	InvalidFactor            // a part that begins like none that is known; also counted, with the sample kept, for a sample rate that is no number
	MalformedContainer       // |c without an id
	IllegalEvent             // a type that is not known
	Faults                   // how many there are
)

// String is the value of the label "reason".
func (f Fault) String() string {
	return [...]string{
		"", "malformed_line", "mixed_tagging_styles", "not_enough_parts_after_colon", "invalid_extended_aggregate_type", "malformed_component",
		"malformed_value", "invalid_sample_factor", "malformed_container_id", "illegal_event", "",
	}[f]
}

// Parser says which tags are looked for. The zero value looks for all.
type Parser struct {
	NoDogStatsD, NoInfluxDB, NoLibrato, NoSignalFX bool
}

// Special is a line that is no metric.
type Special uint8

// The kinds of lines.
const (
	Metric       Special = iota
	Event                // DogStatsD's _e{...}
	ServiceCheck         // DogStatsD's _sc|...
)

// Is says what a line is by how it begins.
func Is(line string) Special {
	switch {
	case len(line) < 3 || line[0] != '_':
	case strings.HasPrefix(line, "_e{"):
		return Event
	case strings.HasPrefix(line, "_sc|"):
		return ServiceCheck
	}
	return Metric
}

// Cut finds the name with its tags, the first value or the packed ones, and what follows from the first bar on. ok is false when there is no
// colon, no name or no bar.
func Cut(line string) (name, values, rest string, ok bool) {
	colon := strings.IndexByte(line, ':')
	if colon <= 0 {
		return "", "", "", false
	}
	body := line[colon+1:]
	bar := strings.IndexByte(body, '|')
	if bar < 0 {
		return "", "", "", false
	}
	return line[:colon], body[:bar], body[bar:], true
}

// Piece is one sample of a line, or several of the same name, type and tags: Values has colons between them then.
type Piece struct{ Values, Rest string }

// Pieces takes any line apart, which Cut does for the ones that have a single sample. The pieces are appended to dst.
func (p Parser) Pieces(dst []Piece, line string) (name string, pieces []Piece, fault Fault) {
	colon := strings.IndexByte(line, ':')
	if colon <= 0 || !utf8.ValidString(line) {
		return "", dst, MalformedLine
	}
	name, body := line[:colon], line[colon+1:]
	dog := strings.Contains(body, "|#")
	if dog && p.tagged(name) {
		return name, dst, MixedTags
	}
	bar := strings.IndexByte(body, '|')
	if bar < 0 {
		return name, dst, NotEnoughParts
	}
	values, rest := body[:bar], body[bar:]
	switch {
	case strings.IndexByte(values, ':') >= 0:
		kind, _, _ := strings.Cut(rest[1:], "|")
		if kind != "ms" && kind != "h" && kind != "d" {
			return name, dst, BadAggregate
		}
		return name, append(dst, Piece{values, rest}), None
	case dog:
		return name, append(dst, Piece{values, rest}), None
	}
	for body != "" || len(dst) == 0 {
		end := sampleEnd(body)
		piece := body[:end]
		bar := strings.IndexByte(piece, '|')
		if bar < 0 {
			bar = len(piece)
		}
		dst = append(dst, Piece{piece[:bar], piece[bar:]})
		if end == len(body) {
			break
		}
		if body = body[end+1:]; body == "" {
			dst = append(dst, Piece{})
		}
	}
	return name, dst, None
}

// sampleEnd is where the next sample of name:1|c:2|g begins. The colon of |c:ID, |e:DATA and |card:LEVEL is none that parts samples.
func sampleEnd(body string) int {
	bars, last := 0, 0
	for i := range len(body) {
		switch body[i] {
		case '|':
			bars, last = bars+1, i+1
		case ':':
			if part := body[last:i]; bars < 2 || part != "c" && part != "e" && part != "card" {
				return i
			}
		}
	}
	return len(body)
}

// tagged reports whether a name has a tag that can be read.
func (p Parser) tagged(name string) bool {
	var h Head
	p.nameTags(name, &h)
	return len(h.Tags) > 0
}

// Head is what the name and the rest of a piece say: all but the values. Its strings are parts of them where they need no repair.
type Head struct {
	Name    string        // as it was sent, without tags
	Tags    []model.Label // names are valid ones; of two of one name the last counts
	Kind    Kind
	Rate    float64 // sample rate; 1 if there is none
	Parts   Fault   // MalformedComponent if there are too few or too many parts; this is found before the value is looked at, all others after
	After   Fault   // what is wrong besides
	BadRate bool    // an InvalidFactor that leaves the sample in use
	BadTags int     // tags without name or value, left out
	Stamped bool    // has a timestamp, which is not used: pages have none
}

// Reset empties h and keeps its memory.
func (h *Head) Reset() { *h = Head{Tags: h.Tags[:0]} }

// Head reads the name with its tags and the rest of a piece.
func (p Parser) Head(name, rest string, h *Head) {
	h.Reset()
	h.Rate = 1
	h.Name = p.nameTags(name, h)
	parts := strings.Count(rest, "|") + 1
	if parts < 2 || parts > 8 {
		h.Parts = MalformedComponent
		return
	}
	kind, rest, more := strings.Cut(rest[1:], "|")
	h.Kind = kindOf(kind)
	if more && (rest == "" || rest[0] == '|' || rest[len(rest)-1] == '|' || strings.Contains(rest, "||")) {
		h.After = MalformedComponent
		return
	}
	for more && h.After == None {
		var part string
		part, rest, more = strings.Cut(rest, "|")
		p.part(part, h)
	}
	if h.After == None && h.Kind == Unknown {
		h.After = IllegalEvent
	}
}

func (p Parser) part(part string, h *Head) {
	switch part[0] {
	case '@':
		rate, ok := ParseFloat(part[1:])
		h.BadRate = h.BadRate || !ok
		if rate == 0 {
			rate = 1
		}
		if h.Kind == Counter { // two of them multiply
			rate *= h.Rate
		}
		h.Rate = rate
	case '#':
		if !p.NoDogStatsD {
			tags(part[1:], ':', h)
		}
	case 'T':
		h.Stamped = true
	case 'e':
		if !strings.HasPrefix(part, "e:") {
			h.After = InvalidFactor
		}
	case 'c':
		if strings.HasPrefix(part, "card:") {
			return
		}
		if !strings.HasPrefix(part, "c:") || len(part) == 2 {
			h.After = MalformedContainer
			return
		}
		h.set("container_id", part[2:])
	default:
		h.After = InvalidFactor
	}
}

func kindOf(text string) Kind {
	switch text {
	case "c":
		return Counter
	case "g":
		return Gauge
	case "ms":
		return Timer
	case "h":
		return Histogram
	case "d":
		return Distribution
	case "s":
		return Set
	}
	return Unknown
}
