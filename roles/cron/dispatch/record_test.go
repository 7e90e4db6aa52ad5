package dispatch

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/roles/cron/job"
	"github.com/sidecar-kit/sidecar/roles/cron/journal"
	"github.com/sidecar-kit/sidecar/roles/cron/timer"
)

// shifted is a timer whose clock a test can set.
type shifted struct {
	timer.Timer
	mu   sync.Mutex
	by   time.Duration // from the true time
	step time.Duration // since the last look
}

func (s *shifted) Set(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !at.IsZero() {
		at = at.Add(-s.by)
	}
	s.Timer.Set(at)
}

func (s *shifted) Look() (time.Time, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, _ := s.Timer.Look()
	step := s.step
	s.step = 0
	return now.Add(s.by), step
}

func (s *shifted) shift(d *Dispatcher, by time.Duration) {
	s.mu.Lock()
	s.by, s.step = s.by+by, s.step+by
	s.mu.Unlock()
	d.Wake()
	synctest.Wait()
}

func playShifted(t *testing.T, book *journal.Journal, leader Leader, jobs ...*job.Job) (*theater, *shifted) {
	t.Helper()
	clock := &shifted{Timer: timer.Portable()}
	th := &theater{stage: newStage(t), done: make(chan error, 1)}
	th.d = New(Options{Log: zerolog.New(zerolog.NewTestWriter(t)), Start: th.start, Timer: clock, Drain: 25 * time.Second, Leader: leader, History: 100})
	th.d.Load(jobs, book)
	ctx, cancel := context.WithCancel(t.Context())
	th.stop = cancel
	go func() { th.done <- th.d.Run(ctx, nil) }()
	synctest.Wait()
	return th, clock
}

func clockOf(t time.Time) string { return t.UTC().Format("15:04") }

// last reads what is on record, in the dispatcher's goroutine.
func (th *theater) last(name string) (at time.Time) {
	th.d.do(func() { at = th.d.journal.State(name).Last })
	return at
}

func TestASetClockIsOnRecord(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		log := openJournal(t, dir)
		th, clock := playShifted(t, log, nil, makeJob(t, "wild", "*/10 * * * * | 1s"), makeJob(t, "fixed", "*/10 0-23 * * * | 1s"),
			makeJob(t, "hours", "0 0-23 * * * | 1s"))
		time.Sleep(65 * time.Minute)
		clock.shift(th.d, -30*time.Minute) // 00:35
		if got := clockOf(th.last("wild")); got != "00:35" {
			t.Errorf("on record of the job that follows = %s; want 00:35", got)
		}
		if got := clockOf(th.last("hours")); got != "01:00" {
			t.Errorf("on record of the job with fixed times = %s; want 01:00", got)
		}
		clock.shift(th.d, 5*time.Hour) // 05:35
		if got := clockOf(th.last("wild")); got != "05:30" {
			t.Errorf("on record of starts that are given up = %s; want 05:30", got)
		}
		th.end(t)
		log.Close()
	})
}

// TestARestartAfterTheClockWasSetBack finds starts on record that lie ahead.
func TestARestartAfterTheClockWasSetBack(t *testing.T) {
	tests := []struct {
		ahead       time.Duration
		wild, fixed string // the first start
	}{
		{time.Minute, "00:02", "00:02"},
		{time.Hour, "00:01", "01:01"},
		{4 * time.Hour, "00:01", "00:01"},
	}
	for _, tt := range tests {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			log := openJournal(t, dir)
			at := time.Now().Add(tt.ahead)
			if err := log.Write(true, journal.Record{Kind: journal.Skip, Job: "wild", At: at}, journal.Record{Kind: journal.Skip, Job: "fixed", At: at}); err != nil {
				t.Fatal(err)
			}
			th, _ := playShifted(t, log, nil, makeJob(t, "wild", "* * * * * | 1s"), makeJob(t, "fixed", "0-59 0-23 * * * | 1s"))
			time.Sleep(5 * time.Hour)
			for name, want := range map[string]string{"wild": tt.wild, "fixed": tt.fixed} {
				if got := clockOf(firstStart(t, th, name)); got != want {
					t.Errorf("%v ahead: the first start of %s = %s; want %s", tt.ahead, name, got, want)
				}
			}
			th.end(t)
			log.Close()
		})
	}
}

func firstStart(t *testing.T, th *theater, name string) time.Time {
	t.Helper()
	for _, s := range th.seen() {
		if d, err := time.ParseDuration(strings.TrimPrefix(s, name+"@")); err == nil {
			return th.begin.Add(d)
		}
	}
	return time.Time{}
}

// TestASkipHidesNoStartThatWaits ends a process while a start is queued and later ones were refused.
func TestASkipHidesNoStartThatWaits(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		jobs := func() *job.Job {
			j := makeJob(t, "j", "*/10 * * * * | 25h")
			j.Policy.Overlap, j.Policy.Queue, j.Policy.Catchup, j.Policy.CatchupMax = job.Queue, 1, job.CatchupAll, 9
			return j
		}
		log := openJournal(t, dir)
		th := playOn(t, log, Options{}, jobs())
		time.Sleep(45 * time.Minute) // 10 runs, 20 waits, 30 and 40 are skipped
		if got := clockOf(th.last("j")); got != "00:10" {
			t.Errorf("on record = %s; want 00:10, after which something waits", got)
		}
		th.end(t)
		log.Close()
		log = openJournal(t, dir)
		again := playOn(t, log, Options{}, jobs())
		if i, _, _ := again.d.Find("j"); i.Running != 1 || i.Waiting != 1 || i.Stats.Skipped[QueueFull] != 1 {
			t.Errorf("after the restart %+v; want 20, 30 and 40 made up for: one runs, one waits, one is skipped", i)
		}
		again.end(t)
		log.Close()
	})
}

// TestALeaderWhoseClockIsSetBack starts nothing twice: the Lease knows what was claimed.
func TestALeaderWhoseClockIsSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lock{}
		a := &replica{lock: l}
		th, clock := playShifted(t, nil, a, makeJob(t, "j", "*/10 * * * * | 1s"))
		a.wake = th.d.Wake
		l.give(a)
		time.Sleep(65 * time.Minute)
		clock.shift(th.d, -30*time.Minute) // 00:35: 00:40, 00:50 and 01:00 were claimed
		time.Sleep(40 * time.Minute)
		_, history, _ := th.d.Find("j")
		seen := map[string]int{}
		for _, r := range history {
			seen[clockOf(r.Scheduled)]++
		}
		if len(seen) != 7 || len(history) != 7 || seen["01:10"] != 1 {
			t.Errorf("starts = %v; want each instant until 01:10 once", seen)
		}
		if s := statsOf(t, th); s.Skipped[Claimed] != 3 {
			t.Errorf("skipped as claimed = %d; want 3", s.Skipped[Claimed])
		}
		th.end(t)
	})
}
