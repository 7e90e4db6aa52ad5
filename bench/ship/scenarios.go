package ship

import "time"

// Scenarios are those of the map of the field, S1 to S8, and what nobody else tries. scale is 1 for all of it, less for a part.
func Scenarios(scale float64) []Scenario {
	n := func(lines int) int { return max(2000, int(float64(lines)*scale)) }
	k := func(kills int) int { return max(1, int(float64(kills)*scale+.5)) }
	const rate = 20000
	all := []Scenario{
		{Name: "S1 rename, kills", Lines: n(400_000), Rate: rate, Kind: Rename, Every: time.Second, Kills: k(4), Down: 300 * time.Millisecond, Glob: "app.log*"},
		{Name: "S2 copytruncate", Lines: n(300_000), Rate: rate, Kind: CopyTruncate, Every: time.Second},
		{Name: "S3 rename keeping one, kills, outage", Lines: n(400_000), Rate: rate, Kind: Rename, Every: time.Second, Keep: 1, Kills: k(3), Down: 300 * time.Millisecond, Outages: 1, Outage: time.Duration(8 * scale * float64(time.Second))},
		{Name: "S4 kills over rotations, live name only", Lines: n(300_000), Rate: rate, Kind: Rename, Every: time.Second, Kills: k(3), Down: 2500 * time.Millisecond},
		{Name: "S5 kills over rotations, all names", Lines: n(300_000), Rate: rate, Kind: Rename, Every: time.Second, Kills: k(3), Down: 2500 * time.Millisecond, Glob: "app.log*"},
		{Name: "S6 many kills", Lines: n(400_000), Rate: rate, Kind: Rename, Every: time.Second, Kills: k(8), Down: 100 * time.Millisecond, Glob: "app.log*"},
		{Name: "S7 answers lost", Lines: n(500_000), Rate: rate, Kind: None, Fault: "drop", Faults: 10},
		{Name: "S8 429 items", Lines: n(300_000), Rate: rate, Kind: None, Fault: "item429", Faults: 10},
		{Name: "short items", Lines: n(200_000), Rate: rate, Kind: None, Fault: "short", Faults: 10},
		{Name: "huge answers", Lines: n(200_000), Rate: rate, Kind: None, Fault: "huge", Faults: 3},
	}
	for _, kind := range Kinds() {
		all = append(all, Scenario{
			Name: kind + ", kills", Lines: n(300_000), Rate: rate, Kind: kind, Every: 300 * time.Millisecond, Kills: k(10), Down: 200 * time.Millisecond, Outages: 1,
			Outage: time.Duration(2 * scale * float64(time.Second)),
		})
	}
	return all
}

// Hunts are one scenario for each kind of rotation, with many kills at random instants and several outages, in some twenty seconds.
func Hunts(scale float64) (all []Scenario) {
	n := func(count float64) int { return max(1, int(count*scale+.5)) }
	for _, kind := range Kinds() {
		s := Scenario{
			Name: "hunt " + kind, Lines: n(400_000), Rate: 20_000, Kind: kind, Every: 30 * time.Millisecond, Kills: n(115), Down: 30 * time.Millisecond,
			Outages: n(6), Outage: 200 * time.Millisecond,
		}
		if kind == Delete || kind == Recreate || kind == Symlink { // rotations wait for the shipper
			s.Meet, s.Every = true, 20*time.Millisecond
		}
		all = append(all, s)
	}
	return append(all, Scenario{
		Name: "no room for the state", Lines: n(200_000), Rate: 20_000, Kind: Rename, Every: time.Second, Kills: n(2), Down: 100 * time.Millisecond, Full: time.Duration(3 * scale * float64(time.Second)),
	})
}
