package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// record is a line of the journal.
type record struct {
	job  int
	at   int64
	back bool
}

// look is a turn of the dispatcher: by is how far the clock was set since the one before. With kill >= 0 the process ends before anything is
// started, and so many records reached the disk.
func (w *world) look(by time.Duration, kill int) {
	w.tally.Looks++
	now, away := w.wall, w.away
	w.away = false
	var book []record
	if by < 0 {
		book = w.setBack(-by, now)
	}
	due, lost := w.plan.Advance(now, away)
	got := map[int]*verdict{}
	of := func(id int) *verdict {
		if got[id] == nil {
			got[id] = &verdict{}
		}
		return got[id]
	}
	for _, l := range lost {
		v := of(l.ID)
		v.lost, v.first, v.last = v.lost+l.Count, l.First.Unix(), l.Last.Unix()
		book = append(book, record{l.ID, v.last, false})
	}
	for i, d := range due {
		v, at := of(d.ID), d.Scheduled.Unix()
		v.runs = append(v.runs, at)
		book = append(book, record{d.ID, at, false})
		if i > 0 && (due[i-1].Scheduled.After(d.Scheduled) || due[i-1].Scheduled.Equal(d.Scheduled) && due[i-1].ID >= d.ID) {
			w.differ(d.ID, now, away, "starts are not in the order of instants and files")
		}
		if late := now.Sub(d.Scheduled) > lateFor; late != d.Missed {
			w.differ(d.ID, now, away, fmt.Sprintf("Missed = %v; want %v", d.Missed, late))
		}
		if d.Missed {
			w.tally.CaughtUp++
		}
	}
	w.tally.Runs += len(due)
	w.compare(now, away, got)
	if kill >= 0 {
		book = book[:min(kill, len(book))]
	}
	for _, r := range book {
		if r.back {
			w.disk[r.job], w.judges[r.job].told = r.at, r.at
			continue
		}
		w.disk[r.job] = max(w.disk[r.job], r.at)
		w.judges[r.job].record(r.at)
	}
}

// setBack tells both, and compares which jobs follow.
func (w *world) setBack(by time.Duration, now time.Time) (book []record) {
	ids := w.plan.SetBack(by, now)
	w.tally.Followed += len(ids)
	followed := make(map[int]bool, len(ids))
	for _, id := range ids {
		followed[id] = true
		book = append(book, record{id, now.Unix(), true})
	}
	for i, j := range w.judges {
		before := j.next
		if j.setBack(by, now); (j.next != before) != followed[i] {
			w.differ(i, now, false, fmt.Sprintf("set back by %v: it follows: %v", by, followed[i]))
		}
	}
	return book
}

// compare asks every judge.
func (w *world) compare(now time.Time, away bool, got map[int]*verdict) {
	soonest, ok := w.plan.Next()
	first := int64(1 << 60)
	for i, j := range w.judges {
		want := j.look(now, !away)
		first = min(first, j.next)
		v := got[i]
		if v == nil {
			v = &verdict{}
		}
		w.tally.Lost += want.lost
		if slices.Equal(v.runs, want.runs) && v.lost == want.lost && (want.lost == 0 || v.last == want.last) && (want.lost == 0 || v.first == want.first) {
			continue
		}
		w.differ(i, now, away, fmt.Sprintf("%s; want %s", *v, want))
	}
	if first < 1<<60 && (!ok || soonest.Unix() != first) {
		w.differ(0, now, away, fmt.Sprintf("Next = %s; want %s", soonest.UTC(), time.Unix(first, 0).UTC()))
	}
}

func (v verdict) String() string {
	var b strings.Builder
	for i, at := range v.runs {
		if i == 3 && len(v.runs) > 5 {
			fmt.Fprintf(&b, "... %d in all ", len(v.runs))
			break
		}
		fmt.Fprintf(&b, "%s ", time.Unix(at, 0).UTC().Format("2T15:04:05"))
	}
	fmt.Fprintf(&b, "and %d lost", v.lost)
	if v.lost > 0 {
		fmt.Fprintf(&b, " %s to %s", time.Unix(v.first, 0).UTC().Format("2T15:04:05"), time.Unix(v.last, 0).UTC().Format("2T15:04:05"))
	}
	return b.String()
}

func (w *world) differ(id int, now time.Time, away bool, what string) {
	w.tally.Differences++
	if len(w.tally.First) < 5 {
		j := w.jobs[id]
		w.tally.First = append(w.tally.First, fmt.Sprintf("%s (fixed %v, %+v), look at %s, away %v: %s", j.Text, j.Fixed, j.Policy,
			now.UTC().Format("2006-01-02T15:04:05.000"), away, what))
	}
}
