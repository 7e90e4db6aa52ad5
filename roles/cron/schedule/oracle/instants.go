package oracle

import "github.com/sidecar-kit/sidecar/roles/cron/schedule"

// Instants are the occurrences of a line in a list of minutes, in seconds since 1970.
func (l Line) Instants(list []Moment, dst schedule.DST) []int64 {
	var at []int64
	for _, m := range list {
		if occurs(l, m, dst) {
			at = append(at, m.At.Unix())
		}
	}
	return at
}

// Fixed tells whether the line is one of fixed times, not a wild-card one.
func (l Line) Fixed() bool { return !l.wildcard() }
