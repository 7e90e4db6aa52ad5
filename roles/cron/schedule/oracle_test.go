package schedule_test

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/sidecar-kit/sidecar/roles/cron/schedule"
	"github.com/sidecar-kit/sidecar/roles/cron/schedule/oracle"
)

// TestOracle compares random lines in random zones with what the rules say. ORACLE_PAIRS=100000 makes it longer, ORACLE_SEED another one.
func TestOracle(t *testing.T) {
	number := func(name string, otherwise int) int {
		if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
			return n
		}
		return otherwise
	}
	pairs, seed := number("ORACLE_PAIRS", 5000), number("ORACLE_SEED", 1)
	data, err := os.ReadFile("testdata/zones.txt")
	if err != nil {
		t.Fatal(err)
	}
	zones := strings.Fields(string(data))
	r := rand.New(rand.NewPCG(uint64(seed), 2026))
	var found []*oracle.Difference
	done, count := 0, 0
	for done < pairs {
		name, year := zones[r.IntN(len(zones))], 2026
		if r.IntN(4) == 0 { // gaps of a day, of half an hour, two in a month: they lie in other years
			year = 1970 + r.IntN(68)
		}
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, start := range oracle.Windows(r, zone, year) {
			list, ok := oracle.Minutes(zone, start, 48*60)
			if !ok {
				continue
			}
			for range 10 {
				l, dst := oracle.Maker{Rand: r}.Line(), []schedule.DST{schedule.ISC, schedule.Skip, schedule.Both}[r.IntN(3)]
				n, d := oracle.Compare(l, zone, list, dst)
				if d != nil {
					found = append(found, oracle.Smallest(l, d, zone, list))
				}
				done, count = done+1, count+n
			}
		}
	}
	slices.SortStableFunc(found, func(a, b *oracle.Difference) int { return len(a.Line) - len(b.Line) })
	for _, d := range found[:min(len(found), 10)] {
		t.Error(d)
	}
	t.Logf("seed %d: %d pairs, %d occurrences, %d differences", seed, done, count, len(found))
}
