package adapter

import (
	"strings"
	"sync"
	"time"

	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/roles/adapter/check"
	"github.com/sidecar-kit/sidecar/roles/adapter/source"
)

// quiet is how long the last complaint about somebody stands before another reason is news: who fails for two
// reasons by turns, or fails and does not, fills no log.
const quiet = time.Minute

// complaints remembers what was said of whom, so that a reason is logged once, and the next one when it takes its place.
type complaints struct {
	mu   sync.Mutex
	last map[string]*complaint
}

type complaint struct {
	told bool   // that it fails, and not yet that it is well again
	text string // that was told last
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
	if c.last == nil {
		c.last = map[string]*complaint{}
	}
	k := c.last[who]
	if k == nil {
		k = &complaint{}
		c.last[who] = k
	}
	if text == "" {
		if k.told {
			k.told = false
			return wellAgain
		}
		return nothingNew
	}
	text = withoutDigits(text)
	again, recent := text == k.text, now.Sub(k.at) < quiet
	if k.told && (again || recent) || !k.told && again && recent {
		return nothingNew
	}
	what := failsNow
	if k.told {
		what = failsOtherwise
	}
	k.told, k.text, k.at = true, text, now
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

// heard logs what changed about a source: that it began to fail, with why, another reason, and that it is well again.
func (a *Adapter) heard(f *feed, r source.Result) source.Result {
	complaint := ""
	if r.Err != nil {
		complaint = r.Err.Error()
	}
	name := f.plan.name
	switch a.said.hear("source "+name, complaint, time.Now()) {
	case wellAgain:
		a.log.Info().Str("source", name).Msg("the source answers again")
		a.env.Status.Event("info", "source "+name+" answers again")
	case failsNow:
		a.log.Warn().Str("source", name).Str("err", complaint).Msg("the source gives nothing that can be used")
		a.env.Status.Event("warn", "source "+name+": "+complaint)
	case failsOtherwise:
		a.log.Warn().Str("source", name).Str("err", complaint).Msg("the source gives nothing that can be used, for another reason")
	case nothingNew:
	}
	return r
}

// pushed logs what changed about the receiver of a push view.
func (a *Adapter) pushed(view string, err error) {
	complaint := ""
	if err != nil {
		complaint = secret.Redact(err.Error())
	}
	switch a.said.hear("push "+view, complaint, time.Now()) {
	case wellAgain:
		a.log.Info().Str("view", view).Msg("the receiver takes what is pushed again")
		a.env.Status.Event("info", "push "+view+" is taken again")
	case failsNow, failsOtherwise:
		a.log.Warn().Str("view", view).Str("err", complaint).Msg("the receiver does not take what is pushed")
		a.env.Status.Event("warn", "push "+view+": "+complaint)
	}
}

// turned is told when a check changes, and each time it fails again.
func (a *Adapter) turned(st check.State, turned bool) {
	name, complaint := st.Spec.Name, ""
	e, word, level := a.log.Info(), "ok", "info"
	if !st.OK {
		complaint = "failed: " + st.Last.Detail
		e, word, level = a.log.Warn(), "failed", "warn"
	}
	what := a.said.hear("check "+name, complaint, time.Now())
	e = e.Str("check", name).Str("kind", st.Spec.Kind).Str("detail", st.Last.Detail)
	switch {
	case turned:
		e.Msg("check " + word)
		a.env.Status.Event(level, "check "+name+" "+word)
	case what == failsOtherwise:
		e.Msg("check failed, for another reason")
	}
}
