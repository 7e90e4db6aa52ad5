package adapter

import (
	"strings"
	"sync"
	"time"
)

// quiet is how long the last complaint about somebody stands before another reason is news: who fails for two reasons by turns fills no log.
const quiet = time.Minute

// complaints remembers what was said of whom, so that a reason is logged once, and the next one when it takes its place.
type complaints struct {
	mu   sync.Mutex
	last map[string]complaint
}

type complaint struct {
	text string
	at   time.Time
}

type news int

const (
	nothingNew news = iota
	failsNow
	failsOtherwise
	wellAgain
)

// hear is what is new in a complaint about who; "" is none. Numbers in it make no other reason of it.
func (c *complaints) hear(who, text string, now time.Time) news {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.last[who]
	text = withoutDigits(text)
	what := nothingNew
	switch {
	case text == before.text:
	case before.text == "":
		what = failsNow
	case text == "":
		what = wellAgain
	case now.Sub(before.at) >= quiet:
		what = failsOtherwise
	}
	if what == nothingNew {
		return what
	}
	if c.last == nil {
		c.last = map[string]complaint{}
	}
	c.last[who] = complaint{text, now}
	return what
}

// withoutDigits has one # for each number.
func withoutDigits(text string) string {
	within := false
	return strings.Map(func(r rune) rune {
		switch {
		case r < '0' || r > '9':
			within = within && r == '.'
			if within {
				return -1
			}
			return r
		case within:
			return -1
		}
		within = true
		return '#'
	}, text)
}
