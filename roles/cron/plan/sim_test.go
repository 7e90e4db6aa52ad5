package plan_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/sidecar-kit/sidecar/roles/cron/plan/sim"
	"github.com/sidecar-kit/sidecar/roles/cron/schedule"
	"github.com/sidecar-kit/sidecar/roles/cron/schedule/oracle"
)

// TestThroughSetClocksSleepsAndRestarts is a small world of the one that bench has: SIM_SEED is another one, SIM_JOBS a larger one.
func TestThroughSetClocksSleepsAndRestarts(t *testing.T) {
	number := func(name string, otherwise int) int {
		if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
			return n
		}
		return otherwise
	}
	seed, count := uint64(number("SIM_SEED", 1)), number("SIM_JOBS", 24)
	r := rand.New(rand.NewPCG(seed, 2026))
	from := time.Date(2026, 3, 20, 0, 0, 0, 0, time.UTC) // both a gap in the north and an overlap in the south
	const days = 24
	var tally sim.Tally
	for _, name := range []string{"Europe/Berlin", "Australia/Lord_Howe"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		list, _ := oracle.Minutes(zone, from, days*24*60)
		var jobs []sim.Job
		for len(jobs) < count/2 {
			dst := []schedule.DST{schedule.ISC, schedule.Skip, schedule.Both}[r.IntN(3)]
			if j, err := sim.Of(oracle.Maker{Rand: r}.Line(), zone, dst, list, sim.RandomPolicy(r)); err == nil {
				jobs = append(jobs, j)
			}
		}
		o := sim.Options{Seed: seed, From: from.AddDate(0, 0, 4), To: from.AddDate(0, 0, 16), Steps: 20, Suspends: 20, Restarts: 30}
		tally.Add(sim.Run(o, jobs))
	}
	o := sim.Options{Seed: seed, From: from, To: from.Add(6 * time.Hour), Steps: 30, Suspends: 30, Restarts: 60}
	jobs, err := sim.EverySecond(r, 6)
	if err != nil {
		t.Fatal(err)
	}
	tally.Add(sim.Run(o, jobs))
	for _, d := range tally.First {
		t.Error(d)
	}
	t.Logf("seed %d: %+v", seed, tally)
}
