package dispatch

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sidecar-kit/sidecar/roles/cron/job"
)

// lock is the Lease that replicas share.
type lock struct {
	mu     sync.Mutex
	holder *replica
	fence  int64
	last   time.Time
}

// replica is the view that one of them has.
type replica struct {
	lock *lock
	// guarded by the mutex of the lock
	fails   []string // what the next claims meet: "refused", "lost" (it stands, the answer does not come), "claimed"
	claims  []string
	term    int64
	last    time.Time // known here
	elapsed time.Duration
	wake    func()
}

var errServer = errors.New("the server does not answer")

func (r *replica) Held() (int64, bool) {
	r.lock.mu.Lock()
	defer r.lock.mu.Unlock()
	return r.term, r.lock.holder == r
}

func (r *replica) Last() time.Time {
	r.lock.mu.Lock()
	defer r.lock.mu.Unlock()
	return r.last
}

func (r *replica) Claim(ctx context.Context, at time.Time) error {
	if r.elapsed > 0 {
		select {
		case <-time.After(r.elapsed):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	l := r.lock
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.holder != r {
		return errors.New("not the leader")
	}
	if !at.After(r.last) {
		return ErrClaimed
	}
	fail := ""
	if len(r.fails) > 0 {
		fail, r.fails = r.fails[0], r.fails[1:]
	}
	switch fail {
	case "refused":
		return errServer
	case "lost":
		l.last = at
		return errServer
	case "found": // as lost, and the next renewal reads it
		l.last, r.last = at, at
		return errServer
	case "claimed": // by somebody, as the next term will read
		l.last = at
		return ErrClaimed
	}
	if !at.After(l.last) && !at.Equal(l.last) {
		return ErrClaimed
	}
	l.last, r.last = at, at
	r.claims = append(r.claims, at.UTC().Format("15:04:05"))
	return nil
}

// give makes one the leader, nil nobody.
func (l *lock) give(r *replica) {
	l.mu.Lock()
	old := l.holder
	l.holder = r
	if r != nil {
		l.fence++
		r.term, r.last = l.fence, l.last
	}
	l.mu.Unlock()
	for _, x := range []*replica{old, r} {
		if x != nil && x.wake != nil {
			x.wake()
		}
	}
}

func (l *lock) fail(r *replica, how ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.fails = append(r.fails, how...)
}

// pair plays two replicas with the same table; neither leads.
func pair(t *testing.T, jobs func() []*job.Job) (l *lock, a, b *replica, pa, pb *theater) {
	t.Helper()
	l = &lock{}
	a, b = &replica{lock: l}, &replica{lock: l}
	pa = play(t, Options{Leader: a, History: 100}, jobs()...)
	pb = play(t, Options{Leader: b, History: 100}, jobs()...)
	a.wake, b.wake = pa.d.Wake, pb.d.Wake
	return l, a, b, pa, pb
}

func one(t *testing.T, line string) func() []*job.Job {
	return func() []*job.Job { return []*job.Job{makeJob(t, "j", line)} }
}

func statsOf(t *testing.T, th *theater) Stats {
	t.Helper()
	i, _, err := th.d.Find("j")
	if err != nil {
		t.Fatal(err)
	}
	return i.Stats
}

func TestNothingStartsWithoutAClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, a, _, pa, pb := pair(t, func() []*job.Job {
			return []*job.Job{makeJob(t, "j", "* * * * * | 1s"), makeJob(t, "r", "@reboot | 1s")}
		})
		time.Sleep(3*time.Minute + time.Second)
		expect(t, "starts without a leader", append(pa.seen(), pb.seen()...))
		l.give(a)
		time.Sleep(2 * time.Minute)
		starts := pa.seen()
		slices.Sort(starts) // the workers race
		expect(t, "starts of the leader", starts, "j@3m1s", "j@4m0s", "j@5m0s", "r@3m1s")
		expect(t, "starts of the other", pb.seen())
		if s := statsOf(t, pa); s.Missed != 2 {
			t.Errorf("missed = %d; want 2, from before anybody led", s.Missed)
		}
		expect(t, "claims", a.claims, "00:03:00", "00:04:00", "00:05:00")
		pa.end(t)
		pb.end(t)
	})
}

func TestAClaimThatFailsIsMadeAgain(t *testing.T) {
	for _, how := range []string{"refused", "lost"} {
		synctest.Test(t, func(t *testing.T) {
			l, a, _, pa, pb := pair(t, one(t, "* * * * * | 1s"))
			l.give(a)
			l.fail(a, how, how, how)
			time.Sleep(time.Minute + 2500*time.Millisecond)
			expect(t, how+": starts while claims fail", pa.seen())
			time.Sleep(time.Minute)
			expect(t, how+": starts", pa.seen(), "j@1m3s", "j@2m0s")
			if i, tot, _ := pa.d.List(); tot.ClaimErrors != 3 || i[0].Stats.Missed != 0 {
				t.Errorf("%s: claim errors %d, missed %d; want 3, 0", how, tot.ClaimErrors, i[0].Stats.Missed)
			}
			pa.end(t)
			pb.end(t)
		})
	}
}

func TestAClaimThatARenewalFindsIsOurs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, a, _, pa, pb := pair(t, one(t, "* * * * * | 1s"))
		l.give(a)
		l.fail(a, "found")
		time.Sleep(2*time.Minute + 2500*time.Millisecond)
		expect(t, "starts", pa.seen(), "j@1m1s", "j@2m0s")
		if s := statsOf(t, pa); s.Skipped[Claimed] != 0 || s.Missed != 0 {
			t.Errorf("stats = %+v; want none skipped", s)
		}
		pa.end(t)
		pb.end(t)
	})
}

func TestAClaimThatFailsForLongIsMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, a, _, pa, pb := pair(t, one(t, "* * * * * | 1s"))
		l.give(a)
		l.fail(a, slices.Repeat([]string{"refused"}, 200)...)
		time.Sleep(5 * time.Minute)
		s := statsOf(t, pa)
		if n := len(pa.seen()); int64(n)+s.Missed != 5 && int64(n)+s.Missed != 4 || s.Missed < 2 {
			t.Errorf("%d starts, %d missed; want five in all", n, s.Missed)
		}
		pa.end(t)
		pb.end(t)
	})
}

// TestAfterAnUnsureClaim loses the lease while it is not known whether a claim stands.
func TestAfterAnUnsureClaim(t *testing.T) {
	tests := []struct {
		how      string
		to       string // who leads next
		a, b     []string
		aClaimed int64
	}{
		{"refused", "a", []string{"j@1m10s", "j@2m0s"}, nil, 0},
		{"refused", "b", nil, []string{"j@1m10s", "j@2m0s"}, 0},
		{"lost", "a", []string{"j@2m0s"}, nil, 1}, // it may not run: that it was not started is not known to others
		{"lost", "b", nil, []string{"j@2m0s"}, 0},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			name := tt.how + " then " + tt.to
			l, a, b, pa, pb := pair(t, one(t, "* * * * * | 1s"))
			l.give(a)
			l.fail(a, tt.how)
			time.Sleep(time.Minute + 500*time.Millisecond)
			l.give(nil)
			time.Sleep(9500 * time.Millisecond)
			l.give(map[string]*replica{"a": a, "b": b}[tt.to])
			time.Sleep(time.Minute)
			expect(t, name+": starts of a", pa.seen(), tt.a...)
			expect(t, name+": starts of b", pb.seen(), tt.b...)
			if got := statsOf(t, pa).Skipped[Claimed]; got != tt.aClaimed {
				t.Errorf("%s: skipped as claimed = %d; want %d", name, got, tt.aClaimed)
			}
			pa.end(t)
			pb.end(t)
		})
	}
}

func TestClaimedBeforeStartsNothingAndIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, a, _, pa, pb := pair(t, one(t, "* * * * * | 1s"))
		l.give(a)
		l.fail(a, "claimed")
		time.Sleep(3*time.Minute + time.Second)
		expect(t, "starts", pa.seen(), "j@2m0s", "j@3m0s")
		if s := statsOf(t, pa); s.Skipped[Claimed] != 1 || s.Missed != 0 {
			t.Errorf("stats = %+v; want one skipped as claimed", s)
		}
		pa.end(t)
		pb.end(t)
	})
}

// TestALeaderAheadOfThisClock takes over from one whose clock is two seconds ahead: what it claimed is not repeated, and nothing from before either.
func TestALeaderAheadOfThisClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		jobs := func() []*job.Job {
			j := makeJob(t, "j", "* * * * * | 1s")
			j.Policy.Catchup, j.Policy.CatchupMax = job.CatchupAll, 10
			return []*job.Job{j}
		}
		l, a, _, pa, pb := pair(t, jobs)
		time.Sleep(9*time.Minute + 58*time.Second)
		l.last = time.Now().Add(2 * time.Second) // 00:10:00
		l.give(a)
		time.Sleep(2 * time.Minute)
		expect(t, "starts", pa.seen(), "j@11m0s")
		if s := statsOf(t, pa); s.Skipped[Claimed] != 1 || s.Missed != 0 {
			t.Errorf("stats = %+v; want one skipped as claimed", s)
		}
		pa.end(t)
		pb.end(t)
	})
}

func TestHandOverDoublesAndLosesNothing(t *testing.T) {
	for _, gap := range []time.Duration{0, 300 * time.Millisecond, 15 * time.Second, 50 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			l, a, b, pa, pb := pair(t, one(t, "*/20 * * * * * | 1s"))
			for _, th := range []*theater{pa, pb} {
				th.d.do(func() { th.d.names["j"].job.Policy.Overlap = job.Allow })
			}
			l.give(a)
			for i := range 10 {
				time.Sleep(47 * time.Second)
				l.give(nil)
				time.Sleep(gap)
				l.give([]*replica{b, a}[i%2])
			}
			time.Sleep(13 * time.Second)
			seen := map[time.Time]int{}
			for _, th := range []*theater{pa, pb} {
				_, history, _ := th.d.Find("j")
				for _, r := range history {
					seen[r.Scheduled]++
				}
				if s := statsOf(t, th); s.Missed+s.Skipped[Claimed] != 0 {
					t.Errorf("gap %v: %+v; want none missed", gap, s)
				}
			}
			want := int(time.Since(pa.begin) / (20 * time.Second))
			if len(seen) != want {
				t.Errorf("gap %v: %d instants ran; want %d", gap, len(seen), want)
			}
			for at, n := range seen {
				if n != 1 {
					t.Errorf("gap %v: %s ran %d times", gap, at.Format(time.TimeOnly), n)
				}
			}
			pa.end(t)
			pb.end(t)
		})
	}
}

func TestLosingTheLeaseLetsRunsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, a, b, pa, pb := pair(t, one(t, "* * * * * | 10m"))
		l.give(a)
		time.Sleep(time.Minute + time.Second)
		l.give(b)
		time.Sleep(12 * time.Minute)
		if s := statsOf(t, pa); s.Runs[Success] != 1 || s.Runs[Stopped] != 0 {
			t.Errorf("runs = %v; want one success", s.Runs)
		}
		expect(t, "starts of the old leader", pa.seen(), "j@1m0s")
		if n := len(pb.seen()); n != 2 {
			t.Errorf("starts of the new leader = %v; want two of ten minutes", pb.seen())
		}
		pa.end(t)
		pb.end(t)
	})
}

// TestAJobThatIsNewHereIsNotDueBefore: the Lease was last written before the job came.
func TestAJobThatIsNewHereIsNotDueBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, a, _, pa, pb := pair(t, one(t, "0 * * * * | 1s"))
		l.last = time.Now()
		time.Sleep(2*time.Hour + time.Minute)
		late := func() *job.Job {
			j := makeJob(t, "late", "*/10 * * * * | 1s")
			j.Policy.Catchup, j.Policy.CatchupMax = job.CatchupAll, 10
			return j
		}
		pa.d.Reload([]*job.Job{makeJob(t, "j", "0 * * * * | 1s"), late()})
		time.Sleep(15 * time.Minute)
		l.give(a)
		time.Sleep(time.Second)
		expect(t, "starts", pa.seen(), "late@2h16m0s")
		if i, _, _ := pa.d.Find("late"); i.Stats.Skipped != [reasons]int64{} || i.Stats.Missed != 0 {
			t.Errorf("stats of the new job = %+v; want nothing from before it was there", i.Stats)
		}
		if s := statsOf(t, pa); s.Missed != 2 {
			t.Errorf("missed = %d; want the two since the Lease was written", s.Missed)
		}
		pa.end(t)
		pb.end(t)
	})
}

// TestAnEditOnAStandbyIsNotDueBefore: nobody looks at the plan of a standby.
func TestAnEditOnAStandbyIsNotDueBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, a, _, pa, pb := pair(t, one(t, "0 * * * * | 1s"))
		time.Sleep(2*time.Hour + 5*time.Minute)
		pa.d.Reload([]*job.Job{makeJob(t, "j", "*/10 * * * * | 1s")})
		time.Sleep(10 * time.Minute)
		l.give(a)
		time.Sleep(time.Second)
		if s := statsOf(t, pa); s.Missed != 1 {
			t.Errorf("missed = %d; want the one since the edit", s.Missed)
		}
		pa.end(t)
		pb.end(t)
	})
}

// TestASlowServerDoesNotStopTheRest: while a claim waits, ends are not lost.
func TestASlowServerDoesNotStopTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, a, _, pa, pb := pair(t, one(t, "*/10 * * * * * | 3s"))
		a.elapsed = 4 * time.Second
		l.give(a)
		time.Sleep(61 * time.Second)
		if s := statsOf(t, pa); s.Runs[Success] < 4 || len(pa.seen()) < 5 || s.Missed != 0 {
			t.Errorf("stats = %+v, starts = %v; want five", s, pa.seen())
		}
		a.elapsed = 6 * time.Second // longer than a claim may take
		n := len(pa.seen())
		time.Sleep(30 * time.Second)
		if got := len(pa.seen()); got > n+1 {
			t.Errorf("%d starts without a claim", got-n)
		}
		pa.end(t)
		pb.end(t)
	})
}
