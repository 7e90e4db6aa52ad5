package dispatch

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/roles/cron/job"
	"github.com/sidecar-kit/sidecar/roles/cron/timer"
)

// chaos does everything to a dispatcher at random, and keeps the books.
type chaos struct {
	*theater
	t     *testing.T
	r     *rand.Rand
	most  int
	steps map[string]int // how often each job of the table is due, in seconds
	table map[string]*job.Job
	books map[*entry]*book
	ended time.Time
}

// book is what an entry has to account for.
type book struct {
	step     int64     // seconds between its instants
	from     time.Time // since when
	due      int64     // before that, and what was triggered
	unlisted bool
}

func (b *book) total(now time.Time) int64 {
	if b.unlisted {
		return b.due
	}
	return b.due + now.Unix()/b.step - b.from.Unix()/b.step
}

func TestEveryStartIsAccountedFor(t *testing.T) {
	seeds := 6
	if n, err := strconv.Atoi(os.Getenv("CHAOS_SEEDS")); err == nil {
		seeds = n
	}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			c := begin(t, uint64(seed), nil)
			for range 250 {
				time.Sleep(time.Duration(c.r.Int64N(int64(8 * time.Second))))
				if time.Now().Nanosecond() < 1e6 {
					time.Sleep(2 * time.Millisecond) // whether an edit comes before or after an instant is to be clear
				}
				synctest.Wait()
				c.act()
				synctest.Wait()
				c.check(false)
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
			c.ended = time.Now()
			c.stop()
			<-c.done
			c.d.o.Timer.Close()
			c.check(true)
			if t.Failed() {
				t.Fatalf("seed %d at the end", seed)
			}
			time.Sleep(time.Hour) // every goroutine of the stage
		})
	}
}

// TestEveryStartIsAccountedForByALeader takes the lease away and lets claims fail. The table stays the same.
func TestEveryStartIsAccountedForByALeader(t *testing.T) {
	seeds := 6
	if n, err := strconv.Atoi(os.Getenv("CHAOS_SEEDS")); err == nil {
		seeds = n
	}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			l := &lock{}
			a := &replica{lock: l}
			c := begin(t, uint64(seed), a)
			a.wake = c.d.Wake
			l.give(a)
			for range 250 {
				time.Sleep(time.Duration(c.r.Int64N(int64(8*time.Second))) + time.Millisecond)
				if c.r.IntN(30) == 0 {
					time.Sleep(2 * time.Minute)
				}
				synctest.Wait()
				switch c.r.IntN(8) {
				case 0:
					l.give(nil)
				case 1, 2:
					l.give(a)
				case 3, 4:
					for range 1 << c.r.IntN(8) {
						l.fail(a, []string{"refused", "lost", "found"}[c.r.IntN(3)])
					}
				case 5:
					l.fail(a, "claimed")
				default:
					c.use(fmt.Sprintf("job%d", c.r.IntN(12)))
				}
				synctest.Wait()
				c.check(false)
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
			c.stop()
			<-c.done
			c.d.o.Timer.Close()
			time.Sleep(time.Hour)
		})
	}
}

func begin(t *testing.T, seed uint64, leader Leader) *chaos {
	c := &chaos{
		theater: &theater{stage: newStage(t), done: make(chan error, 1)}, t: t, r: rand.New(rand.NewPCG(seed, 4)),
		steps: map[string]int{}, table: map[string]*job.Job{}, books: map[*entry]*book{},
	}
	c.most = []int{0, 1, 3, 8}[c.r.IntN(4)]
	time.Sleep(500 * time.Millisecond)
	o := Options{Log: zerolog.Nop(), Start: c.start, Timer: timer.Portable(), Drain: 25 * time.Second, MaxRunning: c.most, History: 3, Leader: leader}
	o.StopAtOnce = c.r.IntN(2) == 0
	c.d = New(o)
	for i := range 8 {
		c.write(fmt.Sprintf("job%d", i))
	}
	c.d.Load(c.list(), nil)
	c.account(nil)
	ctx, cancel := context.WithCancel(t.Context())
	c.theater.stop = cancel
	go func() { c.done <- c.d.Run(ctx, nil) }()
	synctest.Wait()
	return c
}

// write makes a job of a name, or another one of it.
func (c *chaos) write(name string) {
	step := []int{2, 3, 5, 10, 15, 30}[c.r.IntN(6)]
	command := []string{"1s", "1s 1", "4s", "20s", "0s", "no", "700ms 75", "45s", "7s 1"}[c.r.IntN(9)]
	j := makeJob(c.t, name, fmt.Sprintf("@every %ds | %s", step, command))
	p := j.Policy
	p.Overlap, p.Queue = job.Overlap(c.r.IntN(4)), 1+c.r.IntN(3)
	p.Group = []string{"", "", "red", "blue"}[c.r.IntN(4)]
	p.Weight = 1 + c.r.IntN(4)
	p.KillAfter = time.Duration(c.r.IntN(5)) * time.Second
	if c.r.IntN(3) == 0 {
		p.Retry, p.RetryDelay, p.RetryMax = 1+c.r.IntN(3), time.Second, 5*time.Second
	}
	if c.r.IntN(3) == 0 {
		p.Jitter = time.Duration(1+c.r.IntN(20)) * time.Second
	}
	c.table[name], c.steps[name] = j, step
}

func (c *chaos) list() (list []*job.Job) {
	for i := range 12 {
		if j := c.table[fmt.Sprintf("job%d", i)]; j != nil {
			list = append(list, j)
		}
	}
	return list
}

// account opens and closes the books after the table changed. old is the table before.
func (c *chaos) account(old map[string]*entry) {
	now := time.Now()
	for name, e := range c.d.names {
		b := c.books[e]
		switch {
		case b == nil:
			c.books[e] = &book{step: int64(c.steps[name]), from: now}
		case b.step != int64(c.steps[name]):
			b.due, b.step, b.from = b.total(now), int64(c.steps[name]), now
		}
	}
	for _, e := range old {
		if b := c.books[e]; e.gone && !b.unlisted {
			b.due, b.unlisted = b.total(now), true
		}
	}
}

// act does one thing.
func (c *chaos) act() {
	name := fmt.Sprintf("job%d", c.r.IntN(12))
	switch c.r.IntN(8) {
	case 0, 1:
		for range 1 + c.r.IntN(3) {
			name := fmt.Sprintf("job%d", c.r.IntN(12))
			if c.r.IntN(3) == 0 {
				delete(c.table, name)
			} else {
				c.write(name)
			}
		}
		old := map[string]*entry{}
		c.d.do(func() {
			for name, e := range c.d.names {
				old[name] = e
			}
		})
		c.d.Reload(c.list())
		c.d.do(func() { c.account(old) })
	default:
		c.use(name)
	}
}

// use does one thing that leaves the table as it is.
func (c *chaos) use(name string) {
	switch c.r.IntN(6) {
	case 0, 1:
		n := 1 + c.r.IntN(4)
		for range n {
			done := make(chan struct{})
			go func() { // beside the ends
				defer close(done)
				_, _ = c.d.Trigger(name)
			}()
			<-done
		}
		c.d.do(func() {
			if e := c.d.names[name]; e != nil {
				c.books[e].due += int64(n)
			}
		})
	case 2:
		_ = c.d.Suspend(name, true)
	case 3, 4:
		_ = c.d.Suspend(name, false)
	case 5:
		_, _ = c.d.StopRuns(name)
	}
}

// check looks at everything from inside; after the end nothing else touches it.
func (c *chaos) check(ended bool) {
	if ended {
		c.invariants(true)
		return
	}
	c.d.do(func() { c.invariants(false) })
}

func (c *chaos) invariants(ended bool) {
	d, now := c.d, c.ended
	if !ended {
		now = time.Now()
	}
	used, running, room := 0, 0, 0
	flights := map[*flight]bool{}
	for e, b := range c.books {
		s, waiting := e.stats(), int64(len(e.delayed)+len(e.queued))
		for _, f := range e.flights {
			flights[f] = true
			waiting++
			switch f.state {
			case starting, flying:
				used, running = used+f.weight, running+1
			case capped:
				room++
			case landed, delayed:
				c.t.Errorf("%s: a flight is %s", e.job.Name, f.state)
			}
		}
		if d.entries[e.id] != e && waiting > 0 {
			c.t.Errorf("%s: forgotten, and %d starts of it are on their way", e.job.Name, waiting)
		}
		if e.gone && waiting == 0 && d.entries[e.id] == e {
			c.t.Errorf("%s: gone, and its entry is kept", e.job.Name)
		}
		var ran, skipped int64
		for _, n := range s.Runs {
			ran += n
		}
		for _, n := range s.Skipped {
			skipped += n
		}
		upto := now
		if next, ok := d.plan.NextOf(e.id); ok && !next.After(now) && d.o.Leader != nil {
			upto = next.Add(-time.Second) // not looked at yet, or due again
		}
		want := b.total(upto)
		if got := ran + skipped + waiting + s.Missed; got != want || s.Missed != 0 && d.o.Leader == nil {
			c.t.Errorf("%s: %d ran, %d skipped, %d are on their way, %d missed; want %d in all", e.job.Name, ran, skipped, waiting, s.Missed, want)
		}
		if ended && waiting != 0 {
			c.t.Errorf("%s: %d starts on their way after the end", e.job.Name, waiting)
		}
		if len(e.flights) == 0 && len(e.queued) > 0 && !ended {
			c.t.Errorf("%s: %d queued, and nothing runs", e.job.Name, len(e.queued))
		}
	}
	if d.used != used || d.running != running || len(d.waiting) != room {
		c.t.Errorf("used %d, running %d, waiting for room %d; want %d, %d, %d", d.used, d.running, len(d.waiting), used, running, room)
	}
	if c.most > 0 && used > c.most && running > 1 {
		c.t.Errorf("%d of %d are in use by %d runs", used, c.most, running)
	}
	for name, g := range d.groups {
		if g.holder == nil || !flights[g.holder] || g.holder.state == retrying || g.holder.state == grouped || g.holder.job.Policy.Group != name {
			c.t.Errorf("group %s is held by %+v", name, g.holder)
		}
		for _, f := range g.waiting {
			if !flights[f] || f.state != grouped {
				c.t.Errorf("group %s: a flight waits that is %s", name, f.state)
			}
		}
	}
	if len(d.waiting) > 0 && used == 0 {
		c.t.Errorf("%d wait for room, and nothing runs", len(d.waiting))
	}
	if ended && (d.running != 0 || d.used != 0 || len(d.groups) != 0 || len(d.ready) != 0) {
		c.t.Errorf("after the end: running %d, used %d, groups %d, ready %d", d.running, d.used, len(d.groups), len(d.ready))
	}
}
