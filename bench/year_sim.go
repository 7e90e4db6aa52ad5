package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/sidecar-kit/sidecar/roles/cron/plan/sim"
	"github.com/sidecar-kit/sidecar/roles/cron/schedule"
	"github.com/sidecar-kit/sidecar/roles/cron/schedule/oracle"
)

// worlds is over how many years, each with its own accidents, the lines are spread.
const worlds = 8

// sim lets the plan of 1,000 random lines in all zones live through the year, with clocks that are set, sleeps and restarts, beside a judge.
func (b *bench) sim() ([]row, error) {
	lines, steps, suspends, restarts := b.lines, 200, 200, 500
	if b.quick {
		lines, steps, suspends, restarts = 40, 20, 20, 50
	}
	clocks, zones, err := clocksOf(filepath.Join("..", "roles", "cron", "schedule", "testdata", "zones.txt"))
	if err != nil {
		return nil, err
	}
	jobs := simJobs(clocks, lines)
	from := time.Date(2026, 1, 4, 0, 0, 0, 0, time.UTC)
	year := sim.Options{From: from, To: time.Date(2026, 12, 12, 0, 0, 0, 0, time.UTC), Steps: steps, Suspends: suspends, Restarts: restarts}
	var total sim.Tally
	var mu sync.Mutex
	var all sync.WaitGroup
	work := make(chan int)
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for i := range work {
				o := year
				o.Seed = uint64(i)
				var mine []sim.Job
				for n := i; n < len(jobs); n += worlds {
					mine = append(mine, jobs[n])
				}
				t := sim.Run(o, mine)
				fmt.Fprintf(os.Stderr, "world %d: %d looks, %d starts, %d differences\n", i, t.Looks, t.Runs, t.Differences)
				mu.Lock()
				total.Add(t)
				mu.Unlock()
			}
		})
	}
	for i := range worlds {
		work <- i
	}
	close(work)
	all.Wait()
	days := year
	days.Seed, days.To = worlds, from.AddDate(0, 0, 5)
	often, err := sim.EverySecond(rand.New(rand.NewPCG(2026, 1)), 30)
	if err != nil {
		return nil, err
	}
	t := sim.Run(days, often)
	for _, d := range append(total.First, t.First...) {
		fmt.Fprintln(os.Stderr, d)
	}
	return simRows(total, t, fmt.Sprintf("%d lines in %d zones (%d clocks)", len(jobs), zones, len(clocks)), year), nil
}

func simRows(year, often sim.Tally, lines string, o sim.Options) []row {
	n := year.Differences + often.Differences
	both := year
	both.Add(often)
	each := fmt.Sprintf("%d clock steps of up to 6 h, %d suspends, %d restarts", o.Steps, o.Suspends, o.Restarts)
	return []row{
		{
			what: fmt.Sprintf("2026 lived through by %s, and 5 days by 30 jobs of every few seconds, with %s each: answers that differ from the manual", lines, each),
			ours: fmt.Sprintf("%d of %d", n, both.Runs+both.Lost), peer: "-", value: float64(n), bounds: "0 / 0",
		},
		info("looks at the clock", fmt.Sprint(both.Looks), "-", ""),
		info("starts, of these made up for", fmt.Sprintf("%d, %d", both.Runs, both.CaughtUp), "-", ""),
		info("lost and counted as such (each gap up to 1,000)", fmt.Sprint(both.Lost), "-", ""),
		info("clock steps, suspends, restarts (killed between decision and start)",
			fmt.Sprintf("%d, %d, %d (%d)", both.Steps, both.Suspends, both.Restarts, both.Killed), "-", ""),
		info("jobs that followed a clock set back", fmt.Sprint(both.Followed), "-", ""),
	}
}

// simJobs spreads random lines over the clocks; lines that never come are left out.
func simJobs(clocks []*time.Location, lines int) []sim.Job {
	r := rand.New(rand.NewPCG(2026, 11))
	jobs := make([]sim.Job, 0, lines)
	for n, zone := range clocks {
		list, ok := oracle.Minutes(zone, time.Date(2025, 12, 25, 0, 0, 0, 0, time.UTC), 400*24*60)
		if !ok {
			continue
		}
		for len(jobs) < lines*(n+1)/len(clocks) {
			dst := []schedule.DST{schedule.ISC, schedule.Skip, schedule.Both}[r.IntN(3)]
			if j, err := sim.Of(oracle.Maker{Rand: r}.Line(), zone, dst, list, sim.RandomPolicy(r)); err == nil {
				jobs = append(jobs, j)
			}
		}
	}
	r.Shuffle(len(jobs), func(a, b int) { jobs[a], jobs[b] = jobs[b], jobs[a] })
	return jobs
}
