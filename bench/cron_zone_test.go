package main

import (
	"testing"
	"time"
)

func TestZoneFileChangesTheClockOnce(t *testing.T) {
	change := time.Date(2026, 11, 21, 14, 37, 0, 0, time.UTC)
	for _, n := range nights() {
		for _, west := range []bool{true, false} {
			before := offsetFor(change, n.civil, west)
			loc, err := time.LoadLocationFromTZData("made up", zoneFile(change, before, before+n.move))
			if err != nil {
				t.Fatal(err)
			}
			for _, tt := range []struct {
				at   time.Duration
				want time.Duration // what the clock shows, from midnight
			}{{-time.Minute, n.civil - time.Minute}, {0, n.civil + n.move}, {time.Minute, n.civil + n.move + time.Minute}, {30 * 24 * time.Hour, n.civil + n.move}} {
				c := change.Add(tt.at).In(loc)
				shows := time.Duration(c.Hour())*time.Hour + time.Duration(c.Minute())*time.Minute
				if shows != tt.want%(24*time.Hour) {
					t.Errorf("%s, west %t: %v from the change the clock shows %v; want %v", n.name, west, tt.at, shows, tt.want)
				}
			}
		}
	}
}
