package schedule

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/internal/suggest"
)

// maxText bounds what Parse looks at. No schedule is written in more.
const maxText = 1024

// Error is one thing that is wrong with a schedule.
type Error struct {
	Column  int    // of the value, in bytes from 1
	Field   string // such as "hour"
	Value   string // as it was written
	Problem string
	Example string // of a right value
}

// Error names the field, the value, what is wrong and what would be right.
func (e *Error) Error() string {
	text := fmt.Sprintf("%s %q: %s", e.Field, e.Value, e.Problem)
	if e.Example != "" {
		text += ", for example " + e.Example
	}
	return text
}

// Parse reads a schedule. All that is wrong with it is in the error, as *Error
// values that errors.Join put together.
func Parse(text string, o Options) (*Schedule, error) {
	p := &parser{o: o}
	s := p.parse(text)
	if len(p.errs) > 0 {
		return nil, errors.Join(p.errs...)
	}
	return s, nil
}

type parser struct {
	o    Options
	errs []error
}

func (p *parser) fail(column int, field, value, problem, example string) {
	if len(value) > 64 {
		value = strings.ToValidUTF8(value[:64], "") + "..."
	}
	p.errs = append(p.errs, &Error{Column: column, Field: field, Value: value, Problem: problem, Example: example})
}

// word is a part of the text and where it begins.
type word struct {
	text   string
	column int
}

// words splits at spaces and tabs.
func words(text string) []word {
	var out []word
	for at := 0; at < len(text); {
		if isSpace(text[at]) {
			at++
			continue
		}
		end := at
		for end < len(text) && !isSpace(text[end]) {
			end++
		}
		out = append(out, word{text[at:end], at + 1})
		at = end
	}
	return out
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

func (p *parser) parse(text string) *Schedule {
	if len(text) > maxText {
		p.fail(1, "schedule", text, fmt.Sprintf("longer than %d bytes", maxText), "5 4 * * *")
		return nil
	}
	ws := words(text)
	s := &Schedule{zone: p.zone(&ws)}
	if len(p.errs) > 0 {
		return nil
	}
	prefix := ""
	if skipped := words(text); len(skipped) > len(ws) {
		prefix = skipped[0].text + " "
	}
	switch {
	case len(ws) == 0:
		p.fail(len(text)+1, "schedule", text, "is empty", "5 4 * * *")
		return nil
	case ws[0].text[0] == '@':
		p.macro(s, ws)
	case p.o.Dialect == Robfig:
		p.robfig(s, ws)
	default:
		p.fields(s, ws)
	}
	if len(p.errs) > 0 {
		return nil
	}
	s.text = prefix + s.text
	if s.text == text {
		s.text = text // one string for both
	}
	if s.is(reboot) || s.every > 0 {
		return s
	}
	s.setRule(p.o.DST)
	s.setDaily()
	if s.Next(time.Now()).IsZero() {
		p.fail(ws[0].column, "schedule", s.text, "never comes", "0 0 28 2 *")
	}
	return s
}

// zone takes a zone from the front of the words.
func (p *parser) zone(ws *[]word) *zone {
	if len(*ws) == 0 {
		return p.o.Zones.of(p.o.Zone)
	}
	first := (*ws)[0]
	key, name, ok := strings.Cut(first.text, "=")
	if !ok || key != "CRON_TZ" && key != "TZ" {
		return p.o.Zones.of(p.o.Zone)
	}
	*ws = (*ws)[1:]
	zones := p.o.Zones
	if zones == nil {
		zones = &Zones{}
	}
	found, err := zones.load(name)
	if err != nil {
		p.fail(first.column+len(key)+1, key, name, err.Error(), key+"=Europe/Berlin 5 4 * * *")
		return nil
	}
	if len(*ws) == 0 {
		p.fail(first.column+len(first.text), "schedule", first.text, "a zone without a schedule", first.text+" 5 4 * * *")
	}
	return found
}

// macro reads what begins with @.
func (p *parser) macro(s *Schedule, ws []word) {
	name := strings.ToLower(ws[0].text)
	if p.o.Dialect == Robfig {
		name = ws[0].text // robfig/cron knows them in lower case only
	}
	if name == "@every" {
		p.every(s, ws)
		return
	}
	if len(ws) > 1 {
		p.fail(ws[1].column, "schedule", ws[1].text, "nothing may follow "+name, name)
		return
	}
	s.text = name
	s.second, s.minute, s.hour, s.days, s.month, s.weekdays = 1, 1, 1, allDays, allMonths, allWeekdays
	s.flags = domStar | dowStar | plainStars
	switch name {
	case "@reboot":
		if p.o.Dialect == Robfig {
			p.fail(ws[0].column, "schedule", name, "the robfig dialect has no @reboot", "dialect vixie")
		}
		s.flags = reboot
	case "@yearly", "@annually":
		s.days, s.month = 1<<1, 1<<1
		s.flags &^= domStar
	case "@monthly":
		s.days = 1 << 1
		s.flags &^= domStar
	case "@weekly":
		s.weekdays = 1 << 0
		s.flags &^= dowStar
	case "@daily", "@midnight":
	case "@hourly":
		s.hour = 1<<24 - 1
		s.flags |= wildcard // as 0 * * * *
	default:
		known := []string{"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly", "@every", "@reboot"}
		p.fail(ws[0].column, "schedule", ws[0].text, "unknown name"+suggest.DidYouMean("", name, known), "@daily")
	}
}

// every reads @every 90s.
func (p *parser) every(s *Schedule, ws []word) {
	const example = "@every 1h30m"
	if len(ws) != 2 {
		p.fail(ws[0].column, "schedule", ws[0].text, "must be followed by one duration", example)
		return
	}
	d, err := time.ParseDuration(ws[1].text)
	if p.o.Dialect == Robfig && err == nil {
		d = max(d.Truncate(time.Second), time.Second) // as the library does
	}
	switch {
	case err != nil:
		p.fail(ws[1].column, "@every", ws[1].text, "not a duration", example)
	case d < time.Second:
		p.fail(ws[1].column, "@every", ws[1].text, "must be at least 1s", example)
	case d%time.Second != 0:
		p.fail(ws[1].column, "@every", ws[1].text, "must be whole seconds", example)
	default:
		s.every = int64(d / time.Second)
		s.text = "@every " + ws[1].text
		s.flags = wildcard
	}
}

// kinds says which fields there are for a number of words.
func (p *parser) kinds(ws []word) ([]kind, string) {
	all := []kind{second, minute, hour, dom, month, dow, year}
	switch n := len(ws); {
	case n == 7:
		return all, ""
	case n == 6 && (p.o.Seconds || p.o.Dialect == Quartz):
		return all[:6], ""
	case n == 5 && p.o.Dialect != Quartz:
		return all[1:6], ""
	case n == 6:
		return nil, "6 words, which may mean seconds first or a year last: write 7 (second to year), or ask for seconds"
	case p.o.Dialect == Quartz:
		return nil, fmt.Sprintf("%s, the quartz dialect has 6 or 7 fields (second minute hour day month weekday, year)", plural(n))
	case p.o.Seconds:
		return nil, fmt.Sprintf("%s, must be 5 fields, 6 with seconds first, or 7 with a year last", plural(n))
	default:
		return nil, fmt.Sprintf("%s, must be 5 fields (minute hour day month weekday), or 7 with second and year", plural(n))
	}
}

// fields reads a schedule of the vixie and quartz dialects.
func (p *parser) fields(s *Schedule, ws []word) {
	kinds, problem := p.kinds(ws)
	if problem != "" {
		example := "5 4 * * *"
		if p.o.Dialect == Quartz {
			example = "0 5 4 * * ?"
		}
		p.fail(ws[0].column, "schedule", joined(ws), problem, example)
		return
	}
	s.second = 1
	written := make([]word, len(ws))
	for i, w := range ws {
		f := field{parser: p, kind: kinds[i], word: w}
		written[i] = word{text: f.read(s)}
		if kinds[i] == dow && p.o.Dialect == Vixie && strings.Contains(w.text, "-7") {
			s.flags |= sundaySeven
		}
		star := w.text[0] == '*' || w.text[0] == '?'
		switch {
		case !star:
		case kinds[i] == dom:
			s.flags |= domStar
		case kinds[i] == dow:
			s.flags |= dowStar
		case kinds[i] <= hour:
			s.flags |= wildcard
		}
		if (kinds[i] == dom || kinds[i] == dow) && plainStar(w.text) {
			s.flags |= plainStars
		}
	}
	if s.flags&(domStar|dowStar) == 0 {
		s.flags |= either
	}
	s.text = joined(written)
}

// plainStar reports whether an item of a field is all values without a step.
func plainStar(text string) bool {
	for item := range strings.SplitSeq(text, ",") {
		switch item {
		case "*", "?", "*/1", "?/1":
			return true
		}
	}
	return false
}

func joined(ws []word) string {
	texts := make([]string, len(ws))
	for i, w := range ws {
		texts[i] = w.text
	}
	return strings.Join(texts, " ")
}

func plural(words int) string {
	if words == 1 {
		return "1 word"
	}
	return fmt.Sprintf("%d words", words)
}
