package e2e

import (
	"os"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/bench/ship"
)

// TestKilledLogshipLosesNothing kills 50 processes while files are rotated in every way and the receiver fails. The full number is in
// docs/benchmarks.md. A removal while nothing runs is outlived by links that were always there.
func TestKilledLogshipLosesNothing(t *testing.T) {
	t.Parallel()
	binary := sidecar(t)
	const rate, lines = 10_000, 30_000
	var all []ship.Scenario
	for _, kind := range ship.Kinds() {
		all = append(all, ship.Scenario{
			Name: kind, Kind: kind, Lines: lines, Rate: rate, Every: 400 * time.Millisecond, Kills: 5, Down: 100 * time.Millisecond, Outages: 1, Outage: 300 * time.Millisecond,
		})
	}
	all = append(all,
		ship.Scenario{Name: "live name only", Kind: ship.Rename, Lines: lines, Rate: rate, Every: 300 * time.Millisecond, Kills: 2, Down: 700 * time.Millisecond},
		ship.Scenario{Name: "answers lost", Kind: ship.Rename, Lines: lines, Rate: rate, Every: time.Second, Kills: 3, Glob: "app.log*", Fault: "drop", Faults: 5},
	)
	total := make(chan int, len(all))
	t.Run("all", func(t *testing.T) {
		for _, s := range all {
			t.Run(s.Name, func(t *testing.T) {
				t.Parallel()
				log, err := os.CreateTemp(t.TempDir(), "log")
				if err != nil {
					t.Fatal(err)
				}
				defer log.Close()
				r, err := ship.Run(t.TempDir(), strictSink(t, s.Lines), ship.Sidecar(binary, "--pin", "always"), s, log)
				t.Log(r)
				total <- r.Kills
				if err != nil || r.Missing != 0 || r.Doubled != 0 || r.Exit != nil || r.Rotations == 0 || r.Counts.Malformed != 0 {
					said, _ := os.ReadFile(log.Name())
					t.Errorf("%v, %v; want every line once, and exit code 0; it said\n%s", r, err, said[max(0, len(said)-4000):])
				}
			})
		}
	})
	kills := 0
	for range len(total) {
		kills += <-total
	}
	if kills != 50 {
		t.Errorf("%d kills; want 50", kills)
	}
}
