package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/sidecar-kit/sidecar/roles/cron/schedule"
	"github.com/sidecar-kit/sidecar/roles/cron/schedule/oracle"
)

// yearMinutes is 2026 with a day before and after.
const yearMinutes = 367 * 24 * 60

// besides is which of the lines the library is asked about: it is slow.
const besides = 10

// yearTally is what came of it.
type yearTally struct {
	mu                         sync.Mutex
	pairs, occurrences         int
	differences                []*oracle.Difference
	peerPairs, peerDifferences int
	oursBeside                 int // differences of ours in the pairs that the peer was asked about
}

// year compares every instant of 2026 for random lines in every zone with the oracle, minute by minute. The library that others use is asked for
// the lines without days, which it reads in the same way.
func (b *bench) year() ([]row, error) {
	lines := b.lines
	if b.quick {
		lines = 10
	}
	clocks, zones, err := clocksOf(filepath.Join("..", "roles", "cron", "schedule", "testdata", "zones.txt"))
	if err != nil {
		return nil, err
	}
	r := rand.New(rand.NewPCG(2026, uint64(lines)))
	made := make([]oracle.Line, lines)
	for i := range made {
		made[i] = oracle.Maker{Rand: r}.Line()
	}
	tally := &yearTally{}
	work := make(chan *time.Location)
	var all sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for c := range work {
				tally.zone(c, made)
			}
		})
	}
	for i, c := range clocks {
		fmt.Fprintf(os.Stderr, "clock %d of %d: %s\n", i+1, len(clocks), c)
		work <- c
	}
	close(work)
	all.Wait()
	slices.SortStableFunc(tally.differences, func(a, b *oracle.Difference) int { return len(a.Line) - len(b.Line) })
	for _, d := range tally.differences[:min(len(tally.differences), 10)] {
		fmt.Fprintln(os.Stderr, d)
	}
	n := len(tally.differences)
	return []row{
		{
			what: fmt.Sprintf("2026 minute by minute, %d random lines in %d zones (%d different clocks): pairs that differ from the oracle", lines, zones, len(clocks)),
			ours: fmt.Sprintf("%d of %d", n, tally.pairs), peer: "-", value: float64(n), bounds: "0 / 0",
		},
		info("the same under --dst isc for lines without days that robfig/cron reads", fmt.Sprintf("%d of %d", tally.oursBeside, tally.peerPairs), fmt.Sprintf("%d of %d", tally.peerDifferences, tally.peerPairs), ""),
		info("instants compared", fmt.Sprint(tally.occurrences), "-", ""),
	}, nil
}

// zone goes through the lines in one zone.
func (t *yearTally) zone(zone *time.Location, lines []oracle.Line) {
	moments, ok := oracle.Minutes(zone, time.Date(2025, 12, 31, 0, 0, 0, 0, time.UTC), yearMinutes)
	if !ok {
		fmt.Fprintf(os.Stderr, "%s moves its clock at a fraction of a minute and is left out\n", zone)
		return
	}
	for i, l := range lines {
		n, d := oracle.Compare(l, zone, moments, []schedule.DST{schedule.ISC, schedule.Skip, schedule.Both}[i%3])
		if d != nil {
			d = oracle.Smallest(l, d, zone, moments)
		}
		asked, same := false, true
		if i%besides == 0 {
			asked, same = robfigAgrees(l, zone, moments)
		}
		mine := asked && oursDiffers(l, zone, moments)
		t.mu.Lock()
		t.pairs++
		t.occurrences += n
		if d != nil {
			t.differences = append(t.differences, d)
		}
		if asked {
			t.peerPairs++
		}
		if mine {
			t.oursBeside++
		}
		if !same {
			t.peerDifferences++
		}
		t.mu.Unlock()
	}
}

// robfigAgrees asks the library for the same year under the default rule.
func robfigAgrees(l oracle.Line, zone *time.Location, moments []oracle.Moment) (asked, same bool) {
	if !strings.HasSuffix(l.Text(), " * * *") {
		return false, true
	}
	s, err := cron.ParseStandard("CRON_TZ=" + zone.String() + " " + l.Text())
	if err != nil {
		return false, true
	}
	return true, oracle.Agrees(l, s.Next, moments, schedule.ISC)
}

func oursDiffers(l oracle.Line, zone *time.Location, moments []oracle.Moment) bool {
	_, d := oracle.Compare(l, zone, moments, schedule.ISC)
	return d != nil
}

// clocksOf returns one zone of a list for all those that show the same time at every instant of the year, and how many there are in all.
func clocksOf(path string) ([]*time.Location, int, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, 0, err
	}
	known := map[string]bool{}
	var clocks []*time.Location
	names := strings.Fields(string(data))
	for _, name := range names {
		zone, err := time.LoadLocation(name)
		if err != nil {
			return nil, 0, err
		}
		var shape strings.Builder
		at := time.Date(2025, 12, 31, 0, 0, 0, 0, time.UTC).Add(-time.Minute)
		for end := at.Add((yearMinutes + 1) * time.Minute); at.Before(end); {
			local := at.In(zone)
			_, offset := local.Zone()
			fmt.Fprintf(&shape, "%d@%d ", offset, at.Unix())
			_, next := local.ZoneBounds()
			if next.IsZero() {
				break
			}
			at = next
		}
		if !known[shape.String()] {
			known[shape.String()] = true
			clocks = append(clocks, zone)
		}
	}
	return clocks, len(names), nil
}
