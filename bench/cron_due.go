package main

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/robfig/cron/v3"
	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/bench/lab"
	"github.com/sidecar-kit/sidecar/roles/cron/dispatch"
	"github.com/sidecar-kit/sidecar/roles/cron/job"
	cronrun "github.com/sidecar-kit/sidecar/roles/cron/run"
	"github.com/sidecar-kit/sidecar/roles/cron/schedule"
	"github.com/sidecar-kit/sidecar/roles/cron/timer"
)

// crowd is how many jobs the cron cases load.
const crowd = 10_000

// cronDue makes 10,000 jobs due in each second, and asks how late they start. No process is
// made: what is measured is the dispatcher and its timer, beside the library's loop.
func (b *bench) cronDue() ([]row, error) {
	seconds := max(3, b.seconds/4)
	pairs, err := lab.Pairs(b.pairs,
		func() (lab.Sample, error) { return dueOurs(crowd, seconds) },
		func() (lab.Sample, error) { return duePeer(crowd, seconds) })
	if err != nil {
		return nil, err
	}
	var rows []row
	for _, figure := range []string{"p50", "p99", "max"} {
		ours, peer, r := lab.Compare(pairs, figure)
		line := info(fmt.Sprintf("%d jobs due in one second: start after it, %s, beside robfig/cron", crowd, figure), lab.MS(ours), lab.MS(peer), lab.Ratio(r))
		if figure == "p99" {
			line.value, line.floor, line.target, line.bounds = ours, 0.020, 0.005, "20 / 5 ms"
		}
		rows = append(rows, line)
	}
	ours, peer, r := lab.Compare(pairs, "cpu")
	rows = append(rows, info("the same: CPU per start", nanoseconds(ours*1e9), nanoseconds(peer*1e9), lab.Ratio(r)))
	ours, _, _ = lab.Compare(pairs, "starts")
	return append(rows, judged(fmt.Sprintf("starts that were lost or doubled, of %d a round", crowd*seconds), fmt.Sprintf("%.0f", math.Abs(1-ours)*float64(crowd*seconds)), "-", "-", math.Abs(1-ours), 0, 0, "0 / 0")), nil
}

// lateness collects how late each start was, by its second.
type lateness struct {
	first, seconds int64
	notes          [][]float64
	counts         []atomic.Int64
	all            sync.WaitGroup
}

func newLateness(jobs, seconds int) *lateness {
	l := &lateness{first: time.Now().Unix() + 3, seconds: int64(seconds), counts: make([]atomic.Int64, seconds)}
	for range seconds {
		l.notes = append(l.notes, make([]float64, jobs+1))
	}
	l.all.Add(jobs * seconds)
	return l
}

// note takes a start; which second it belongs to is known or rounded down.
func (l *lateness) note(now, scheduled time.Time) {
	second := scheduled.Unix() - l.first
	if second < 0 || second >= l.seconds {
		return
	}
	i := l.counts[second].Add(1) - 1
	if i >= int64(len(l.notes[second]))-1 {
		return // one too many: counted
	}
	l.notes[second][i] = now.Sub(scheduled).Seconds()
	l.all.Done()
}

// sample waits for all starts. A quantile is the median of those of the seconds.
func (l *lateness) sample(cpu time.Duration) (lab.Sample, error) {
	done := make(chan struct{})
	go func() { l.all.Wait(); close(done) }()
	last := time.Unix(l.first+l.seconds, 0)
	select {
	case <-done:
	case <-time.After(time.Until(last) + 20*time.Second):
		return nil, fmt.Errorf("starts are missing 20 s after they were due")
	}
	var p50, p99, most []float64
	starts, want := 0.0, 0.0
	for i := range l.notes {
		n := l.counts[i].Load()
		values := l.notes[i][:len(l.notes[i])-1]
		p50, p99, most = append(p50, lab.Quantile(values, 0.5)), append(p99, lab.Quantile(values, 0.99)), append(most, lab.Quantile(values, 1))
		starts, want = starts+float64(n), want+float64(len(values))
	}
	return lab.Sample{
		"p50": lab.Quantile(p50, 0.5), "p99": lab.Quantile(p99, 0.5), "max": lab.Quantile(most, 0.5),
		"cpu": (processorTime() - cpu).Seconds() / want, "starts": starts / want,
	}, nil
}

type nothing struct{}

func (nothing) Stop(time.Duration) {}

// dueOurs uses the dispatcher of the role with a starter whose runs end at once.
func dueOurs(jobs, seconds int) (lab.Sample, error) {
	zones := &schedule.Zones{}
	list := make([]*job.Job, 0, jobs)
	for i := range jobs {
		when, err := schedule.Parse("* * * * * *", schedule.Options{Seconds: true, Zones: zones, Zone: time.UTC})
		if err != nil {
			return nil, err
		}
		list = append(list, &job.Job{Name: fmt.Sprintf("job-%d", i), When: when, Spec: "* * * * * *", Policy: new(job.Defaults())})
	}
	clock := timer.New()
	defer clock.Close()
	var l *lateness
	d := dispatch.New(dispatch.Options{
		Log: zerolog.Nop(), Timer: clock, History: 1, Drain: time.Second,
		Start: func(t cronrun.Task, done func(cronrun.Result)) (dispatch.Stopper, error) {
			l.note(time.Now(), t.Scheduled)
			done(cronrun.Result{})
			return nothing{}, nil
		},
	})
	d.Load(list, nil)
	l = newLateness(jobs, seconds)
	cpu := processorTime()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx, nil) }()
	s, err := l.sample(cpu)
	stop()
	if rerr := <-ended; err == nil {
		err = rerr
	}
	return s, err
}

// duePeer gives the same to the library, which does not tell a job when it was due.
func duePeer(jobs, seconds int) (lab.Sample, error) {
	c := cron.New(cron.WithSeconds(), cron.WithLocation(time.UTC), cron.WithLogger(cron.DiscardLogger))
	var l *lateness
	for range jobs {
		if _, err := c.AddFunc("* * * * * *", func() {
			now := time.Now()
			l.note(now, now.Truncate(time.Second))
		}); err != nil {
			return nil, err
		}
	}
	l = newLateness(jobs, seconds)
	cpu := processorTime()
	c.Start()
	s, err := l.sample(cpu)
	<-c.Stop().Done()
	return s, err
}
