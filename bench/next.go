package main

import (
	"fmt"
	"math"
	"syscall"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/sidecar-kit/sidecar/bench/lab"
	"github.com/sidecar-kit/sidecar/roles/cron/schedule"
)

// typical are the schedules of the next case, as they stand in crontabs.
func typical() []string {
	return []string{
		"* * * * *", "*/5 * * * *", "*/15 * * * *", "0 * * * *", "10,40 0-18 * * *", "30 4 * * *", "0 0 * * *", "17 3 * * *", "0 */6 * * *", "0 9-17 * * 1-5",
		"0 3 * * 0", "45 23 * * 6", "0 8 * * mon-fri", "0 0 1 * *", "15 2 1,15 * *", "0 0 1 1 *", "0 0 1 */3 *", "5 4 8-14 * *", "0 12 1-7 * 1", "0 0 29 2 *",
	}
}

// next calculates following times in a zone that changes its clock, beside the library
// that others use. Both are called in turns in this process; what is compared is CPU time.
func (b *bench) next() ([]row, error) {
	calls := 5000 // of the library; ours are too short for the clock and are called more often
	if b.quick {
		calls = 500
	}
	const zone = "TZ=Europe/Berlin "
	zones := &schedule.Zones{}
	var ours, peer, product float64
	var rows []row
	fastest, slowest := math.Inf(1), 0.0
	for _, text := range typical() {
		us, err := schedule.Parse(zone+text, schedule.Options{Zones: zones})
		if err != nil {
			return nil, err
		}
		them, err := cron.ParseStandard(zone + text)
		if err != nil {
			return nil, err
		}
		pairs, err := lab.Pairs(b.pairs, walk(us, 40*calls), walk(them, calls))
		if err != nil {
			return nil, err
		}
		mine, theirs, ratio := lab.Compare(pairs, "cpu")
		ours, peer, product = ours+mine, peer+theirs, product+math.Log(ratio)
		fastest, slowest = min(fastest, ratio), max(slowest, ratio)
		if text == "* * * * *" || text == "30 4 * * *" || text == "0 0 29 2 *" {
			rows = append(rows, info("next of `"+text+"`, CPU", nanoseconds(mine), nanoseconds(theirs), lab.Ratio(ratio)))
		}
	}
	n := float64(len(typical()))
	mean := math.Exp(product / n)
	what := fmt.Sprintf("next of %.0f usual schedules in Europe/Berlin, CPU, ", n)
	return append([]row{
		{what: what + "mean", ours: nanoseconds(ours / n), peer: nanoseconds(peer / n), ratio: lab.Ratio(ours / peer), value: ours / peer, floor: 1. / 3, target: 0.1, bounds: "0.33x / 0.10x"},
		info(what+"geometric mean of the ratios", "-", "-", lab.Ratio(mean)),
		info(what+"best and worst ratio", "-", "-", lab.Ratio(fastest)+", "+lab.Ratio(slowest)),
	}, rows...), nil
}

// walk goes from time to time and measures nanoseconds of CPU per step.
func walk(s cron.Schedule, calls int) func() (lab.Sample, error) {
	return func() (lab.Sample, error) {
		start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		at, before := start, processorTime()
		for range calls {
			if at = s.Next(at); at.IsZero() || at.Year() > 2035 {
				at = start
			}
		}
		return lab.Sample{"cpu": float64(processorTime()-before) / float64(calls)}, nil
	}
}

// processorTime is what this process has used so far.
func processorTime() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func nanoseconds(n float64) string { return fmt.Sprintf("%.0f ns", n) }
