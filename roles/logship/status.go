package logship

import (
	"fmt"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/internal/status"
)

// linesShown is how many files the status page lists.
const linesShown = 20

// facts are what the status page shows.
func (l *Logship) facts() (all []status.Fact) {
	w := l.live.Load()
	if w == nil {
		return nil
	}
	add := func(name, format string, args ...any) {
		all = append(all, status.Fact{Name: name, Value: fmt.Sprintf(format, args...)})
	}
	behind := w.behind()
	for _, ln := range w.lanes {
		st, b := ln.pipe.Stats(), behind[ln.spec.Name]
		text := fmt.Sprintf("%d events delivered, %s behind", st.Events, size(b.bytes))
		if st.Rejected > 0 {
			text += fmt.Sprintf(", %d refused", st.Rejected)
		}
		if st.Retries > 0 {
			text += fmt.Sprintf(", %d attempts failed", st.Retries)
		}
		switch {
		case st.Paused:
			text += "; it needs a person: " + st.Problem
		case st.Problem != "":
			text += "; last attempt failed: " + st.Problem
		}
		add("output "+ln.spec.Name, "%s; %s", ln.spec.String(), text)
	}
	stats := w.set.Stats()
	add("files", "%d, %d of them open", stats.Files, stats.Open)
	for i, f := range w.set.Files() {
		if i == linesShown {
			add("more files", "%d", stats.Files-linesShown)
			break
		}
		var where []string
		for _, p := range f.Outputs {
			where = append(where, fmt.Sprintf("%s lacks %s", p.Output, size(max(0, f.Size-w.store.LowOf(p.Output, f.Gen)))))
		}
		text := size(f.Size) + ", " + strings.Join(where, ", ")
		if f.Now != f.Path {
			text += ", is now " + orElse(f.Now, "removed")
		}
		if f.Err != "" {
			text += "; " + f.Err
		}
		add("file "+f.Path, "%s", text)
	}
	if letter := w.dead.Last(); letter != nil {
		add("last refused event", "%s at %d of %s, %s: %s", letter.Path, letter.Offset, letter.Output, letter.Time.UTC().Format(time.RFC3339), letter.Reason)
	}
	gaps, _ := w.store.Gaps()
	if n := len(gaps); n > 0 {
		g := gaps[n-1]
		add("last gap", "%s from %d to %d: %s", g.Path, g.From, g.To, g.Reason)
	}
	if st := w.store.Stats(); st.Problem != "" {
		add("journal", "cannot be written, nothing is sent until it can: %s", st.Problem)
	}
	return all
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// size writes bytes as people read them.
func size(n int64) string {
	f := float64(n)
	for _, unit := range []string{"B", "KiB", "MiB", "GiB"} {
		if f < 1024 {
			return strings.TrimSuffix(fmt.Sprintf("%.1f", f), ".0") + " " + unit
		}
		f /= 1024
	}
	return fmt.Sprintf("%.1f TiB", f)
}
