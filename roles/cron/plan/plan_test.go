package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/roles/cron/job"
)

// every is a schedule of equal steps, enough to tell what a plan does.
type every struct {
	step time.Duration
	wild bool
}

func (e every) Next(t time.Time) time.Time { return t.Truncate(e.step).Add(e.step) }
func (e every) Prev(t time.Time) time.Time { return t.Truncate(e.step) }
func (e every) Wildcard() bool             { return e.wild }

type never struct{ every }

func (never) Next(time.Time) time.Time { return time.Time{} }

func noon() time.Time { return time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC) }

func text(due []Due, lost []Lost) string {
	var b strings.Builder
	for _, d := range due {
		fmt.Fprintf(&b, "%d@%s", d.ID, d.Scheduled.UTC().Format("15:04:05"))
		if d.Missed {
			b.WriteString("!")
		}
		b.WriteString(" ")
	}
	for _, l := range lost {
		fmt.Fprintf(&b, "lost %d x%d %s-%s ", l.ID, l.Count, l.First.UTC().Format("15:04:05"), l.Last.UTC().Format("15:04:05"))
	}
	return strings.TrimSpace(b.String())
}

func TestAdvance(t *testing.T) {
	tests := []struct {
		name  string
		s     every
		rules Rules
		after time.Duration // the look comes so long after the cursor
		away  bool
		want  string
	}{
		{"not yet", every{time.Minute, true}, Rules{}, 59 * time.Second, false, ""},
		{"on time", every{time.Minute, true}, Rules{}, time.Minute, false, "1@12:01:00"},
		{"late is run", every{time.Hour, false}, Rules{}, time.Hour + Late, false, "1@13:00:00"},
		{"each late second is run", every{time.Second, true}, Rules{}, 3 * time.Second, false, "1@12:00:01 1@12:00:02 1@12:00:03"},
		{"the newest of a burst", every{time.Second, true}, Rules{}, 12 * time.Second, false,
			"1@12:00:03 1@12:00:04 1@12:00:05 1@12:00:06 1@12:00:07 1@12:00:08 1@12:00:09 1@12:00:10 1@12:00:11 1@12:00:12 lost 1 x2 12:00:01-12:00:02"},
		{"wild-card jobs go on", every{time.Hour, true}, Rules{}, time.Hour + Late + time.Second, false, "lost 1 x1 13:00:00-13:00:00"},
		{"fixed jobs are made up for", every{time.Hour, false}, Rules{}, 2*time.Hour + 30*time.Minute, false, "1@14:00:00! lost 1 x1 13:00:00-13:00:00"},
		{"but not after a correction", every{4 * time.Hour, false}, Rules{}, 7*time.Hour + time.Second, false, "lost 1 x1 16:00:00-16:00:00"},
		{"nor when the program was away", every{time.Hour, false}, Rules{}, 2*time.Hour + 30*time.Minute, true, "lost 1 x2 13:00:00-14:00:00"},
		{"away for seconds is late", every{time.Hour, false}, Rules{}, time.Hour + time.Second, true, "1@13:00:00"},
		{"last", every{time.Hour, true}, Rules{Catchup: job.CatchupLast}, 10*time.Hour + 30*time.Minute, true, "1@22:00:00! lost 1 x9 13:00:00-21:00:00"},
		{"last within its deadline", every{time.Hour, true}, Rules{Catchup: job.CatchupLast, Deadline: 20 * time.Minute}, 90 * time.Minute, true, "lost 1 x1 13:00:00-13:00:00"},
		{"all, oldest first", every{time.Hour, true}, Rules{Catchup: job.CatchupAll, Max: 2}, 3*time.Hour + 30*time.Minute, true, "1@14:00:00! 1@15:00:00! lost 1 x1 13:00:00-13:00:00"},
		{"all within its deadline", every{time.Hour, true}, Rules{Catchup: job.CatchupAll, Max: 9, Deadline: time.Hour}, 3*time.Hour + 30*time.Minute, true, "1@15:00:00! lost 1 x2 13:00:00-14:00:00"},
		{"counting ends", every{time.Second, true}, Rules{}, 10 * time.Hour, true, "lost 1 x1000"},
	}
	for _, tt := range tests {
		p := New()
		p.Add(1, tt.s, tt.rules, noon())
		now := noon().Add(tt.after)
		got := text(p.Advance(now, tt.away))
		if tt.name == "counting ends" {
			_, rest, _ := strings.Cut(got, "lost")
			got = strings.Join(strings.Fields("lost" + rest)[:3], " ")
		}
		if got != tt.want {
			t.Errorf("%s: Advance = %q; want %q", tt.name, got, tt.want)
		}
		if next, ok := p.Next(); !ok || !next.After(now) {
			t.Errorf("%s: Next after Advance = %v, %v; want one after %v", tt.name, next, ok, now)
		}
		if again := text(p.Advance(now, tt.away)); again != "" {
			t.Errorf("%s: a second Advance = %q; want nothing", tt.name, again)
		}
	}
}

func TestOneInstantIsInOrderOfIds(t *testing.T) {
	p := New()
	for _, id := range []int{5, 3, 9, 1, 7} {
		p.Add(id, every{time.Minute, true}, Rules{}, noon())
	}
	p.Add(4, every{30 * time.Second, true}, Rules{}, noon())
	got := text(p.Advance(noon().Add(time.Minute), false))
	if want := "4@12:00:30 1@12:01:00 3@12:01:00 4@12:01:00 5@12:01:00 7@12:01:00 9@12:01:00"; got != want {
		t.Errorf("Advance = %q; want %q", got, want)
	}
}

func TestSetBack(t *testing.T) {
	tests := []struct {
		by                time.Duration
		wild, fixed, name string
	}{
		{30 * time.Second, "12:31:00", "13:00:00", "repeats nothing for seconds"},
		{20 * time.Minute, "12:11:00", "13:00:00", "wild-card jobs follow"},
		{5 * time.Hour, "07:31:00", "08:00:00", "all follow a correction"},
	}
	for _, tt := range tests {
		p := New()
		p.Add(1, every{time.Minute, true}, Rules{}, noon())
		p.Add(2, every{time.Hour, false}, Rules{}, noon())
		now := noon().Add(30*time.Minute + 10*time.Second)
		p.Advance(now, false)
		p.SetBack(tt.by, now.Add(-tt.by))
		for id, want := range map[int]string{1: tt.wild, 2: tt.fixed} {
			next, _ := p.NextOf(id)
			if got := next.UTC().Format("15:04:05"); got != want {
				t.Errorf("%s: next of %d = %s; want %s", tt.name, id, got, want)
			}
		}
	}
}

func TestRemoveAndReplace(t *testing.T) {
	p := New()
	for id := range 100 {
		p.Add(id, every{time.Duration(id%7+1) * time.Minute, true}, Rules{}, noon())
	}
	for id := 0; id < 100; id += 2 {
		p.Remove(id)
	}
	p.Remove(1000)
	p.Add(1, never{}, Rules{}, noon())
	p.Add(3, every{time.Hour, true}, Rules{}, noon())
	if _, ok := p.NextOf(1); ok {
		t.Error("NextOf a job that never runs = true; want false")
	}
	var ids []int
	var last time.Time
	for {
		next, ok := p.Next()
		if !ok {
			break
		}
		if next.Before(last) {
			t.Fatalf("Next went back from %v to %v", last, next)
		}
		last = next
		due, _ := p.Advance(next, false)
		for _, d := range due {
			ids = append(ids, d.ID)
			p.Remove(d.ID)
		}
	}
	slices.Sort(ids)
	if len(ids) != 49 || ids[0] != 3 || slices.Contains(ids, 2) {
		t.Errorf("jobs seen = %v; want the 49 odd ones from 3", ids)
	}
}
