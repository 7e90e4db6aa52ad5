package schedule

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	zones "github.com/sidecar-kit/sidecar/internal/zone"
)

const (
	day        = 24 * 60 * 60
	correction = 3 * 60 * 60  // a larger move of the clock is a correction of the calendar
	maxOffset  = 26 * 60 * 60 // no zone is further from UTC
)

// Zones keeps the zones of a set of schedules, so that each is loaded once.
// The zero value is ready.
type Zones struct {
	mu     sync.Mutex
	byName map[string]*zone
	byLoc  map[*time.Location]*zone
}

// Load returns a zone by its name in the IANA database.
func (z *Zones) Load(name string) (*time.Location, error) {
	zone, err := z.load(name)
	if err != nil {
		return nil, err
	}
	return zone.loc, nil
}

func (z *Zones) load(name string) (*zone, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if known, ok := z.byName[name]; ok {
		return known, nil
	}
	loc, err := loadLocation(name)
	if err != nil {
		return nil, err
	}
	if z.byName == nil {
		z.byName = map[string]*zone{}
	}
	known := &zone{loc: loc}
	z.byName[strings.Clone(name)] = known
	return known, nil
}

// of returns the zone of a location the caller has.
func (z *Zones) of(loc *time.Location) *zone {
	if loc == nil {
		loc = time.Local
	}
	if z == nil {
		return &zone{loc: loc}
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	if known, ok := z.byLoc[loc]; ok {
		return known
	}
	if z.byLoc == nil {
		z.byLoc = map[*time.Location]*zone{}
	}
	known := &zone{loc: loc}
	z.byLoc[loc] = known
	return known
}

// loadLocation checks a name before it is used as the name of a file.
func loadLocation(name string) (*time.Location, error) {
	if name == "" {
		return nil, fmt.Errorf("the name of the zone is missing")
	}
	if len(name) > 64 {
		return nil, fmt.Errorf("no zone has a name of %d bytes", len(name))
	}
	for _, part := range strings.Split(name, "/") {
		if part == "" || strings.Trim(part, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-") != "" {
			return nil, fmt.Errorf("not the name of a zone")
		}
	}
	loc, err := zones.Load(name)
	if err == nil {
		return loc, nil
	}
	if other := capitalised(name); other != name {
		if _, err := zones.Load(other); err == nil {
			return nil, fmt.Errorf("unknown time zone, did you mean %s?", other)
		}
	}
	return nil, fmt.Errorf("unknown time zone")
}

// capitalised is how the database writes nearly all names: Europe/Berlin.
func capitalised(name string) string {
	out, start := []byte(strings.ToLower(name)), true
	for i, c := range out {
		if start && 'a' <= c && c <= 'z' {
			out[i] = c - 'a' + 'A'
		}
		start = c == '/' || c == '_' || c == '-'
	}
	return string(out)
}

// zone is a location with the span of it that was used last.
type zone struct {
	loc  *time.Location
	last atomic.Pointer[span]
}

// span is the time between two transitions of a zone. Instants are seconds of
// Unix time; civil times are seconds, too: what a clock on the wall shows, counted
// as if it were UTC.
type span struct {
	start, end int64 // instants: start <= u < end
	off        int64 // civil time less instant
	civilEnd   int64 // the civil time at end
	gap        int64 // civil times from here to start+off do not exist; none when equal
	again      int64 // civil times from twice to again came in the span before
	twice      int64
	next       atomic.Pointer[span] // found when it is first needed
}

// at returns the span of an instant, and keeps it.
func (z *zone) at(u int64) *span {
	if s := z.last.Load(); s != nil && s.start <= u && u < s.end {
		return s
	}
	s := z.find(u)
	z.last.Store(s)
	return s
}

// after returns the span that follows s.
func (z *zone) after(s *span) *span {
	if n := s.next.Load(); n != nil {
		return n
	}
	n := z.find(s.end)
	s.next.Store(n)
	return n
}

// find asks the zone for the span of an instant.
func (z *zone) find(u int64) *span {
	t := time.Unix(u, 0).In(z.loc)
	from, to := t.ZoneBounds()
	_, off := t.Zone()
	s := &span{start: math.MinInt64, end: math.MaxInt64, off: int64(off), civilEnd: math.MaxInt64}
	if !to.IsZero() {
		s.end = to.Unix()
		if s.end <= u {
			// On the last day of leap years after the zone's table, ZoneBounds is
			// off by one day. No zone changes its clock there.
			s.end = u - floorMod(u, day) + day
		}
		s.civilEnd = s.end + s.off
	}
	if from.IsZero() {
		return s
	}
	s.start = from.Unix()
	if s.start > u {
		s.start = u - floorMod(u, day)
		from = time.Unix(s.start, 0).In(z.loc)
	}
	civil := s.start + s.off
	s.gap, s.twice, s.again = civil, civil, civil
	before := from.Add(-time.Second)
	_, was := before.Zone()
	switch d := off - was; {
	case 0 < d && d <= correction:
		s.gap = s.start + int64(was)
	case -correction <= d && d < 0:
		s.again = s.start + int64(was)
		if first, _ := before.ZoneBounds(); !first.IsZero() {
			s.twice = max(s.twice, first.Unix()+int64(was))
		}
	}
	return s
}
