package pattern

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// unit is one part of a time: a letter of strftime, or text that stays.
type unit struct {
	code byte
	text string
}

const day = 24 * time.Hour

// every is how long it stays the same.
func (u unit) every() time.Duration {
	switch u.code {
	case 0:
		return 0
	case 'H':
		return time.Hour
	case 'M':
		return time.Minute
	case 'S':
		return time.Second
	}
	return day
}

// write appends it. '1' and '2' are month and day without a zero in front.
func (u unit) write(dst []byte, t time.Time) []byte {
	isoYear, isoWeek := t.ISOWeek()
	switch u.code {
	case 0:
		return append(dst, u.text...)
	case 'Y':
		return padded(dst, t.Year(), 4)
	case 'y':
		return padded(dst, t.Year()%100, 2)
	case 'm':
		return padded(dst, int(t.Month()), 2)
	case 'd':
		return padded(dst, t.Day(), 2)
	case 'H':
		return padded(dst, t.Hour(), 2)
	case 'M':
		return padded(dst, t.Minute(), 2)
	case 'S':
		return padded(dst, t.Second(), 2)
	case 'j':
		return padded(dst, t.YearDay(), 3)
	case 'G':
		return padded(dst, isoYear, 4)
	case 'V':
		return padded(dst, isoWeek, 2)
	case '1':
		return padded(dst, int(t.Month()), 1)
	case '2':
		return padded(dst, t.Day(), 1)
	case 'b':
		return append(dst, t.Month().String()[:3]...)
	}
	return t.AppendFormat(dst, time.DateOnly) // F
}

func padded(dst []byte, n, width int) []byte {
	text := strconv.Itoa(n)
	for i := len(text); i < width; i++ {
		dst = append(dst, '0')
	}
	return append(dst, text...)
}

func (p *Pattern) clock(units ...unit) {
	for _, u := range units {
		if e := int64(u.every()); e > 0 && (p.every == 0 || e < p.every) {
			p.every = e
		}
	}
	p.parts = append(p.parts, part{kind: clock, clock: units})
}

func (p *Pattern) strftime(c byte) error {
	if strings.IndexByte("YymdHMSjGVbF", c) < 0 {
		return fmt.Errorf("%%%c is no part of a time that is known here\nhint: known are %%Y %%y %%m %%d %%H %%M %%S %%j %%G %%V %%b %%F; a percent sign is %%%%", c)
	}
	p.clock(unit{code: c})
	return nil
}

// joda reads the letters that Elasticsearch and Logstash use.
func (p *Pattern) joda(text string) error {
	const known = " yyyy=Y YYYY=Y uuuu=Y yy=y xxxx=G ww=V DDD=j MM=m M=1 dd=d d=2 HH=H mm=M ss=S "
	var units []unit
	for i := 0; i < len(text); {
		c, n := text[i], 1
		for i+n < len(text) && text[i+n] == c {
			n++
		}
		word := text[i : i+n]
		i += n
		if at := strings.Index(known, " "+word+"="); at >= 0 {
			units = append(units, unit{code: known[at+len(word)+2]})
			continue
		}
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			return fmt.Errorf("%%{+%s}: %q is no part of a time that is known here\nhint: known are yyyy yy MM dd HH mm ss DDD xxxx ww", text, word)
		}
		units = append(units, unit{text: word})
	}
	if len(units) == 0 {
		return errors.New("%{+} has no time in it")
	}
	p.clock(units...)
	return nil
}
