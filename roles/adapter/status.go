package adapter

import (
	"fmt"
	"time"

	"github.com/sidecar-kit/sidecar/internal/status"
)

// facts are what the status page shows.
func (a *Adapter) facts() (all []status.Fact) {
	w := a.live.Load()
	if w == nil {
		return nil
	}
	add := func(name, format string, args ...any) {
		all = append(all, status.Fact{Name: name, Value: fmt.Sprintf(format, args...)})
	}
	for _, addr := range w.addresses() {
		add("listening", "%s", a.server.Addr(addr))
	}
	for _, f := range w.sources {
		add("source "+f.plan.name, "%s", f.describe())
	}
	for i, v := range w.views {
		s := v.Stats()
		text := fmt.Sprintf("%s; %d requests, %d series, last answer in %s", w.plan.views[i].String(), s.Requests, s.Series, s.Took.Round(10*time.Microsecond))
		if s.Err != nil {
			text += "; lacks: " + status1(s.Err)
		}
		add("view "+v.Path(), "%s", text)
	}
	for _, p := range w.pushes {
		add("push "+p.plan.path, "%s", p.describe())
	}
	now := time.Now()
	for _, st := range w.board.States() {
		ok, why := st.Well(now)
		word := map[bool]string{true: "ok", false: "failed"}[ok]
		add("check "+st.Spec.Name, "%s (%s %s): %s", word, st.Spec.Kind, st.Spec.Target, why)
	}
	return all
}

// status1 is an error on one line.
func status1(err error) string {
	text := err.Error()
	for i := range len(text) {
		if text[i] == '\n' {
			return text[:i] + " …"
		}
	}
	return text
}

func (f *feed) describe() string {
	drops := f.dropped()
	left := ""
	if n := drops.Sum(); n > 0 {
		left = fmt.Sprintf("; %d samples left out", n)
	}
	if f.table != nil {
		s := f.table.Stats()
		return fmt.Sprintf("%s: %d series, %d packets, %d samples, %d lost in the kernel%s", f.plan.format, s.Series, s.Packets, s.Samples+s.Decoded, s.KernelDrops, left)
	}
	s := f.pull.Stats()
	switch {
	case s.Fetched == 0:
		return f.plan.format + ": " + errNoPage.Error()
	case s.Last.Err != nil:
		return fmt.Sprintf("%s: %d fetches, %d failed; last: %s%s", f.plan.format, s.Fetched, s.Failed, status1(s.Last.Err), left)
	}
	return fmt.Sprintf("%s: %d fetches, %d failed, last in %s%s", f.plan.format, s.Fetched, s.Failed, s.Last.Took.Round(10*time.Microsecond), left)
}
