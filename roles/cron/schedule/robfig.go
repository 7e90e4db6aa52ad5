package schedule

import (
	"fmt"
	"strings"

	"github.com/robfig/cron/v3"
)

// robfigStar is the bit with which robfig/cron marks a field that is * or ?.
const robfigStar = 1 << 63

// robfig reads a schedule with the library that CronJobs use, and takes over its
// sets. Only what the library accepts by mistake is refused before.
func (p *parser) robfig(s *Schedule, ws []word) {
	count := "5 fields"
	if p.o.Seconds {
		count = "5 fields, or 6 with seconds first"
	}
	if len(ws) != 5 && (len(ws) != 6 || !p.o.Seconds) {
		p.fail(ws[0].column, "schedule", joined(ws), fmt.Sprintf("%s, must be %s in the robfig dialect", plural(len(ws)), count), "5 4 * * *")
		return
	}
	kinds := []kind{second, minute, hour, dom, month, dow}[6-len(ws):]
	for i, w := range ws {
		p.robfigField(kinds[i], w)
	}
	if len(p.errs) > 0 {
		return
	}
	s.text = joined(ws)
	found, err := robfigParse(s.text)
	if err != nil {
		p.fail(ws[0].column, "schedule", s.text, err.Error(), "5 4 * * *")
		return
	}
	const values = 1<<63 - 1
	s.second, s.minute = found.Second&values, found.Minute&values
	s.hour, s.days, s.month, s.weekdays = uint32(found.Hour), uint32(found.Dom), uint16(found.Month), uint8(found.Dow)
	if (found.Dom|found.Dow)&robfigStar == 0 {
		s.flags |= either
	} else {
		s.flags |= plainStars
	}
	for i, w := range ws {
		if w.text[0] != '*' && w.text[0] != '?' {
			continue
		}
		switch kinds[i] {
		case dom:
			s.flags |= domStar
		case dow:
			s.flags |= dowStar
		case second, minute, hour:
			s.flags |= wildcard
		}
	}
}

// robfigField checks one field by itself, so that the error can say where.
func (p *parser) robfigField(k kind, w word) {
	l := k.limits()
	if i := strings.IndexFunc(w.text, func(r rune) bool { return r <= ' ' || r > '~' || r == '=' }); i >= 0 {
		// The library takes any white space for the end of a field, and TZ= for a zone.
		p.fail(w.column+i, l.name, w.text, "a character that no field has", l.example)
		return
	}
	at := w.column
	for item := range strings.SplitSeq(w.text, ",") {
		part := word{item, at}
		at += len(item) + 1
		if item == "" {
			p.fail(part.column, l.name, w.text, "an item of the list is empty", l.example)
			continue
		}
		fields := []string{"*", "*", "*", "*", "*", "*"}
		fields[k] = item
		if _, err := robfigParse(strings.Join(fields, " ")); err != nil {
			p.fail(part.column, l.name, item, err.Error(), l.example)
			continue
		}
		values := []int{60, 60, 24, 31, 12, 7}[k]
		if _, step, stepped := strings.Cut(item, "/"); stepped {
			if n, ok := number(step); !ok || n > values {
				p.fail(part.column, l.name, item, fmt.Sprintf("the step is greater than the number of values, %d", values), l.example)
			}
		}
	}
}

// robfigParse asks the library. It is known to panic on some texts.
func robfigParse(text string) (found *cron.SpecSchedule, err error) {
	defer func() {
		if r := recover(); r != nil {
			found, err = nil, fmt.Errorf("not a schedule: %v", r)
		}
	}()
	const all = cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow
	parsed, err := cron.NewParser(all).Parse(text)
	if err != nil {
		return nil, err
	}
	found, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return nil, fmt.Errorf("not a schedule")
	}
	return found, nil
}
