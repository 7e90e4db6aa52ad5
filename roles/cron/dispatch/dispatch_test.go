package dispatch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/roles/cron/job"
	"github.com/sidecar-kit/sidecar/roles/cron/journal"
	"github.com/sidecar-kit/sidecar/roles/cron/run"
	"github.com/sidecar-kit/sidecar/roles/cron/schedule"
	"github.com/sidecar-kit/sidecar/roles/cron/timer"
)

// stage stands in for the runner: a job's command is how long it runs and how
// it ends ("30s", "30s 1", "no").
type stage struct {
	mu      sync.Mutex
	t       *testing.T
	begin   time.Time
	starts  []string // "name@second"
	running map[string]int
	most    int
	fences  []string
}

func newStage(t *testing.T) *stage {
	return &stage{t: t, begin: time.Now(), running: map[string]int{}}
}

type stopped struct{ c chan time.Duration }

func (s stopped) Stop(grace time.Duration) {
	select {
	case s.c <- grace:
	default:
	}
}

func (s *stage) start(t run.Task, done func(run.Result)) (Stopper, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.Job.Command == "no" {
		return nil, &run.StartError{Code: 127, Err: errors.New("no such program")}
	}
	var took time.Duration
	var code int
	length, rest, _ := strings.Cut(t.Job.Command, " ")
	took, err := time.ParseDuration(length)
	if err != nil {
		s.t.Errorf("command %q: %v", t.Job.Command, err)
	}
	_, _ = fmt.Sscan(rest, &code)
	name := t.Job.Name
	s.starts = append(s.starts, fmt.Sprintf("%s@%s", name, time.Since(s.begin)))
	s.fences = append(s.fences, strings.Join(t.Env, " "))
	s.running[name]++
	total := 0
	for _, n := range s.running {
		total += n
	}
	s.most = max(s.most, total)
	stop := stopped{make(chan time.Duration, 1)}
	go func() {
		res := run.Result{Code: code, Took: took}
		select {
		case <-time.After(took):
		case <-stop.c:
			res.Stopped, res.Code = true, 143
		}
		s.mu.Lock()
		s.running[name]--
		s.mu.Unlock()
		done(res)
	}()
	return stop, nil
}

func (s *stage) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.starts)
}

// make builds a job from "SCHEDULE | COMMAND | key=value ...".
func makeJob(t *testing.T, name, line string) *job.Job {
	t.Helper()
	parts := strings.Split(line, "|")
	when, err := schedule.Parse(strings.TrimSpace(parts[0]), schedule.Options{Zone: time.UTC, Seconds: len(strings.Fields(parts[0])) == 6})
	if err != nil {
		t.Fatal(err)
	}
	return &job.Job{Name: name, When: when, Spec: parts[0], Command: strings.TrimSpace(parts[1]), Policy: new(job.Defaults())}
}

type theater struct {
	*stage
	d    *Dispatcher
	stop context.CancelFunc
	done chan error
}

func play(t *testing.T, o Options, jobs ...*job.Job) *theater {
	t.Helper()
	return playOn(t, nil, o, jobs...)
}

func playOn(t *testing.T, book *journal.Journal, o Options, jobs ...*job.Job) *theater {
	t.Helper()
	th := &theater{stage: newStage(t), done: make(chan error, 1)}
	if o.Log.GetLevel() != zerolog.WarnLevel { // a test reads it
		o.Log = zerolog.New(zerolog.NewTestWriter(t))
	}
	o.Start, o.Timer = th.start, timer.Portable()
	if o.Drain == 0 {
		o.Drain = 25 * time.Second
	}
	th.d = New(o)
	th.d.Load(jobs, book)
	ctx, cancel := context.WithCancel(t.Context())
	th.stop = cancel
	go func() { th.done <- th.d.Run(ctx, nil) }()
	synctest.Wait()
	return th
}

func (th *theater) end(t *testing.T) {
	t.Helper()
	th.stop()
	if err := <-th.done; err != nil {
		t.Errorf("Run = %v; want nil", err)
	}
	th.d.o.Timer.Close()
}

func (th *theater) entries() (n int) {
	th.d.do(func() { n = len(th.d.entries) })
	return n
}

func expect(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s = %v; want %v", what, got, want)
	}
}

func TestOverlapPolicies(t *testing.T) {
	tests := []struct {
		policy  job.Overlap
		queue   int
		starts  []string
		skipped Reason
		count   int64
	}{
		{job.Forbid, 0, []string{"j@1m0s", "j@3m0s"}, Overlapping, 1},
		{job.Allow, 0, []string{"j@1m0s", "j@2m0s", "j@3m0s"}, Overlapping, 0},
		{job.Queue, 1, []string{"j@1m0s", "j@2m30s"}, QueueFull, 0},
		{job.Replace, 0, []string{"j@1m0s", "j@2m0s", "j@3m0s"}, Overlapping, 0},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			j := makeJob(t, "j", "* * * * * | 90s")
			j.Policy.Overlap, j.Policy.Queue = tt.policy, tt.queue
			th := play(t, Options{}, j)
			time.Sleep(3*time.Minute + 10*time.Second)
			synctest.Wait()
			i, _, err := th.d.Find("j")
			if err != nil {
				t.Fatal(err)
			}
			expect(t, fmt.Sprintf("starts with policy %d", tt.policy), th.seen(), tt.starts...)
			if got := i.Stats.Skipped[tt.skipped]; got != tt.count {
				t.Errorf("policy %d: skipped %q = %d; want %d", tt.policy, tt.skipped, got, tt.count)
			}
			th.end(t)
		})
	}
}

func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := makeJob(t, "j", "* * * * * | 200s")
		j.Policy.Overlap, j.Policy.Queue = job.Queue, 2
		th := play(t, Options{}, j)
		time.Sleep(4*time.Minute + 5*time.Second)
		i, _, _ := th.d.Find("j")
		if i.Waiting != 2 || i.Running != 1 || i.Stats.Skipped[QueueFull] != 1 {
			t.Errorf("waiting %d, running %d, skipped %d; want 2, 1, 1", i.Waiting, i.Running, i.Stats.Skipped[QueueFull])
		}
		th.end(t)
	})
}

func TestGroupsAndTheCap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var jobs []*job.Job
		for _, name := range []string{"a", "b", "c"} {
			j := makeJob(t, name, "0 * * * * | 10s")
			j.Policy.Group = "db"
			jobs = append(jobs, j)
		}
		th := play(t, Options{}, jobs...)
		time.Sleep(time.Hour + 40*time.Second)
		expect(t, "starts of a group", th.seen(), "a@1h0m0s", "b@1h0m10s", "c@1h0m20s")
		th.end(t)
		if len(th.d.groups) != 0 {
			t.Errorf("%d groups are left; want 0", len(th.d.groups))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		var jobs []*job.Job
		for i, name := range []string{"a", "b", "c", "d"} {
			j := makeJob(t, name, "0 * * * * | 10s")
			j.Policy.Weight = i + 1 // 1 2 3 4
			jobs = append(jobs, j)
		}
		th := play(t, Options{MaxRunning: 3, Workers: 1}, jobs...)
		time.Sleep(time.Hour + 50*time.Second)
		expect(t, "starts under a cap of 3", th.seen(), "a@1h0m0s", "b@1h0m0s", "c@1h0m10s", "d@1h0m20s")
		th.end(t)
		if th.d.used != 0 {
			t.Errorf("used = %d after the end; want 0", th.d.used)
		}
	})
}

func TestRetryGoesOnUntilItIsOverOrStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := makeJob(t, "j", "0 * * * * | 1s 75")
		j.Policy.Retry, j.Policy.RetryDelay = 2, 10*time.Second
		other := makeJob(t, "k", "0 * * * * | 1s 2")
		other.Policy.Retry, other.Policy.RetryOn = 5, []int{75}
		missing := makeJob(t, "m", "0 * * * * | no")
		th := play(t, Options{History: 3}, j, other, missing)
		time.Sleep(time.Hour + 50*time.Minute)
		i, history, _ := th.d.Find("j")
		if i.Stats.Runs[Failure] != 1 || i.Stats.Retries != 2 || len(history) != 1 || history[0].Attempts != 3 {
			t.Errorf("stats = %+v, history = %+v; want one failure of three attempts", i.Stats, history)
		}
		if k, _, _ := th.d.Find("k"); k.Stats.Retries != 0 || k.Stats.Runs[Failure] != 1 {
			t.Errorf("k = %+v; want one failure and no retry of code 2", k.Stats)
		}
		if m, h, _ := th.d.Find("m"); m.Stats.Runs[NotStarted] != 1 || h[0].Code != 127 || m.Running != 0 {
			t.Errorf("m = %+v, %+v; want one that did not start", m.Stats, h)
		}
		if n := len(th.seen()); n != 4 {
			t.Errorf("starts = %v; want 3 of j and 1 of k", th.seen())
		}
		th.end(t)
	})
}

func TestJitterIsBoundedAndStable(t *testing.T) {
	var first []string
	for range 2 {
		synctest.Test(t, func(t *testing.T) {
			j := makeJob(t, "j", "0 * * * * | 1s")
			j.Policy.Jitter, j.Policy.Stable = time.Minute, true
			th := play(t, Options{Seed: "pod-1"}, j)
			time.Sleep(2*time.Hour + 30*time.Minute)
			seen := th.seen()
			if len(seen) != 2 || seen[0] == "j@1h0m0s" {
				t.Errorf("starts = %v; want two, put off", seen)
			}
			if first == nil {
				first = seen
			}
			expect(t, "stable jitter", seen, first...)
			th.end(t)
		})
	}
}

func TestDrainWaitsThenEnds(t *testing.T) {
	tests := []struct {
		name    string
		command string
		atOnce  bool
		max     time.Duration
		outcome Outcome
	}{
		{"short job", "10s", false, 10 * time.Second, Success},
		{"long job", "10h", false, 20 * time.Second, Stopped},
		{"at once", "10h", true, 0, Stopped},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			j := makeJob(t, "j", "* * * * * | "+tt.command)
			late := makeJob(t, "late", "* * * * * | 1s")
			late.Policy.Jitter, late.Policy.Stable = time.Hour, true
			q := makeJob(t, "q", "* * * * * | 1h")
			q.Policy.Group = "g"
			p := makeJob(t, "p", "* * * * * | 1h")
			p.Policy.Group = "g"
			jobs := []*job.Job{j, late}
			if tt.name == "long job" {
				jobs = append(jobs, q, p)
			}
			th := play(t, Options{StopAtOnce: tt.atOnce}, jobs...)
			time.Sleep(time.Minute + time.Second)
			n := len(th.seen())
			begin := time.Now()
			th.stop()
			<-th.done
			th.d.o.Timer.Close()
			if took := time.Since(begin); took > tt.max {
				t.Errorf("%s: drain took %v; want at most %v", tt.name, took, tt.max)
			}
			e := th.d.names["j"]
			if e.stats().Runs[tt.outcome] != 1 {
				t.Errorf("%s: runs = %v; want one %s", tt.name, e.stats().Runs, tt.outcome)
			}
			if len(th.seen()) != n {
				t.Errorf("%s: something started while draining: %v", tt.name, th.seen())
			}
			if got := th.d.names["late"].stats().Skipped[Stopping]; got != 1 {
				t.Errorf("%s: skipped for the stop = %d; want 1", tt.name, got)
			}
			if _, _, err := th.d.Find("j"); !errors.Is(err, ErrEnded) {
				t.Errorf("%s: Find after the end = %v; want ErrEnded", tt.name, err)
			}
		})
	}
}

func openJournal(t *testing.T, dir string) *journal.Journal {
	t.Helper()
	j, err := journal.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// TestAFullDiskIsToldOnceAMinute: jobs run on, and the log does not fill what is left.
func TestAFullDiskIsToldOnceAMinute(t *testing.T) {
	book := openJournal(t, t.TempDir())
	book.Close() // every write fails now
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		th := playOn(t, book, Options{Log: zerolog.New(&log).Level(zerolog.WarnLevel)}, makeJob(t, "each", "* * * * * * | 1ms"))
		time.Sleep(90*time.Second + 500*time.Millisecond)
		if n := len(th.seen()); n != 90 {
			t.Errorf("%d starts; want 90", n)
		}
		th.end(t)
		if n := strings.Count(log.String(), "not on record"); n < 1 || n > 2 {
			t.Errorf("%d complaints in 90 s; want one or two:\n%s", n, log.String())
		}
	})
}

// TestARestartRepeatsNothingAndMakesUp ends the dispatcher as a kill would:
// nothing is told to the journal but what was told before.
func TestARestartRepeatsNothingAndMakesUp(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		jobs := func() []*job.Job {
			var list []*job.Job
			for name, c := range map[string]job.Catchup{"none": job.CatchupNone, "last": job.CatchupLast, "all": job.CatchupAll} {
				j := makeJob(t, name, "0 * * * * | 1s")
				j.Policy.Catchup, j.Policy.CatchupMax, j.Policy.Overlap, j.Policy.Queue = c, 2, job.Queue, 9
				list = append(list, j)
			}
			return list
		}
		log := openJournal(t, dir)
		th := playOn(t, log, Options{}, jobs()...)
		time.Sleep(time.Hour + 30*time.Second)
		if n := len(th.seen()); n != 3 {
			t.Fatalf("starts = %v; want 3", th.seen())
		}
		th.end(t)
		log.Close()
		time.Sleep(4*time.Hour + time.Minute) // 2, 3, 4 and 5 o'clock are missed
		log = openJournal(t, dir)
		again := playOn(t, log, Options{}, jobs()...)
		time.Sleep(10 * time.Second)
		got := map[string]int{}
		for _, s := range again.seen() {
			name, _, _ := strings.Cut(s, "@")
			got[name]++
		}
		if got["none"] != 0 || got["last"] != 1 || got["all"] != 2 {
			t.Errorf("starts after the restart = %v; want none 0, last 1, all 2", got)
		}
		if i, _, _ := again.d.Find("none"); i.Stats.Missed != 4 {
			t.Errorf("missed of none = %d; want 4", i.Stats.Missed)
		}
		again.end(t)
		log.Close()
		log = openJournal(t, dir)
		third := playOn(t, log, Options{}, jobs()...)
		time.Sleep(10 * time.Second)
		expect(t, "starts after a second restart", third.seen())
		third.end(t)
		log.Close()
	})
}

func TestReloadKeepsWhatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		long := func() *job.Job { return makeJob(t, "long", "0 * * * * | 30m") }
		th := play(t, Options{}, long(), makeJob(t, "gone", "0 * * * * | 30m"), makeJob(t, "edited", "0 * * * * | 1s"))
		time.Sleep(time.Hour + time.Minute)
		c := th.d.Reload([]*job.Job{long(), makeJob(t, "edited", "30 * * * * | 1s"), makeJob(t, "new", "15 * * * * | 1s")})
		if want := (Change{Added: 1, Changed: 1, Removed: 1, Same: 1}); c != want {
			t.Errorf("Reload = %+v; want %+v", c, want)
		}
		if i, _, _ := th.d.Find("long"); i.Running != 1 {
			t.Errorf("long has %d runs after the reload; want 1", i.Running)
		}
		if n := th.entries(); n != 4 {
			t.Errorf("%d entries; want 4 while the removed one runs", n)
		}
		time.Sleep(58 * time.Minute)
		expect(t, "starts", th.seen()[3:], "new@1h15m0s", "edited@1h30m0s")
		if n := th.entries(); n != 3 {
			t.Errorf("%d entries; want 3 after the removed one ended", n)
		}
		if i, _, _ := th.d.Find("edited"); i.Stats.Runs[Success] != 2 {
			t.Errorf("edited has %d successes; want 2, the one before it was edited too", i.Stats.Runs[Success])
		}
		th.end(t)
	})
}

func TestSuspendAndTrigger(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		log := openJournal(t, dir)
		th := playOn(t, log, Options{}, makeJob(t, "j", "* * * * * | 90s"))
		if err := th.d.Suspend("j", true); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2*time.Minute + time.Second)
		expect(t, "starts of a suspended job", th.seen())
		id, err := th.d.Trigger("j")
		if err != nil || len(id) != 36 {
			t.Errorf("Trigger = %q, %v; want an id", id, err)
		}
		if _, err := th.d.Trigger("j"); err == nil || !strings.Contains(err.Error(), "still running") {
			t.Errorf("a second Trigger = %v; want that it is still running", err)
		}
		if _, err := th.d.Trigger("x"); !errors.Is(err, ErrUnknown) {
			t.Errorf("Trigger of an unknown job = %v; want ErrUnknown", err)
		}
		synctest.Wait()
		if n, err := th.d.StopRuns("j"); n != 1 || err != nil {
			t.Errorf("StopRuns = %d, %v; want 1", n, err)
		}
		th.end(t)
		log.Close()
		log = openJournal(t, dir)
		again := playOn(t, log, Options{}, makeJob(t, "j", "* * * * * | 1s"))
		if i, _, _ := again.d.Find("j"); !i.Suspended {
			t.Error("the job is not suspended after a restart; want it to be")
		}
		again.end(t)
		log.Close()
	})
}

func TestReboot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := play(t, Options{}, makeJob(t, "r", "@reboot | 1s"))
		time.Sleep(48 * time.Hour)
		th.d.Reload([]*job.Job{makeJob(t, "r", "@reboot | 1s"), makeJob(t, "s", "@reboot | 1s")})
		time.Sleep(time.Minute)
		expect(t, "starts", th.seen(), "r@0s")
		th.end(t)
	})
}

func TestHistoriesOfAllJobsAreBounded(t *testing.T) {
	d := New(Options{History: 3})
	var all []*entry
	for range 1000 {
		all = append(all, &entry{})
	}
	for round := range 5 {
		for _, e := range all {
			d.keep(e, &Record{Code: round, Tail: make([]byte, 4<<10)})
		}
	}
	kept := 0
	for _, e := range all {
		if len(e.past.history) != 3 || e.past.history[2].Code != 4 {
			t.Fatalf("history = %d runs, the last of round %d; want 3, of round 4", len(e.past.history), e.past.history[len(e.past.history)-1].Code)
		}
		for _, r := range e.past.history {
			kept += len(r.Tail)
		}
	}
	if kept > tailsMost || kept < tailsMost-8<<10 || kept != d.tailBytes || len(d.tails) > 3000 {
		t.Errorf("%d bytes of output are kept, counted %d in %d; want %d", kept, d.tailBytes, len(d.tails), tailsMost)
	}
	if len(all[999].past.history[2].Tail) == 0 || len(all[0].past.history[0].Tail) != 0 {
		t.Error("the newest output is gone, or the oldest is not")
	}
}

// TestOfABurstTheNewestRuns stops the machine for some seconds: a job that never
// overlaps makes the newest start, one that catches up all makes each.
func TestOfABurstTheNewestRuns(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		jobs := func() []*job.Job {
			forbid := makeJob(t, "forbid", "*/20 * * * * * | 1s")
			all := makeJob(t, "all", "0 * * * * | 1s")
			all.Policy.Catchup, all.Policy.CatchupMax = job.CatchupAll, 3
			return []*job.Job{forbid, all}
		}
		book := openJournal(t, dir)
		first := playOn(t, book, Options{}, jobs()...)
		time.Sleep(time.Hour + time.Second)
		first.end(t)
		book.Close()
		time.Sleep(3*time.Hour + 45*time.Second) // to 4:00:46
		book = openJournal(t, dir)
		th := playOn(t, book, Options{}, jobs()...)
		time.Sleep(5 * time.Second)
		history := func(name string) (got []string) {
			for _, s := range th.seen() {
				if job, at, _ := strings.Cut(s, "@"); job == name {
					got = append(got, at)
				}
			}
			return got
		}
		expect(t, "starts of all, one after the other", history("all"), "0s", "1s", "2s")
		expect(t, "starts of forbid", history("forbid"), "0s")
		i, _, _ := th.d.Find("forbid")
		if i.Stats.Skipped[Overlapping] != 2 {
			t.Errorf("forbid skipped %d for overlap; want the two older ones of the last minute", i.Stats.Skipped[Overlapping])
		}
		th.end(t)
		book.Close()
	})
}
