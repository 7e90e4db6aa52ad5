package sim

import (
	"slices"
	"time"
)

// The numbers of the manual. They are written down again here: nothing of this file knows the code it judges.
const (
	lateFor   = 60 * time.Second
	bridged   = 3 * time.Hour
	lateMost  = 10
	countedTo = 1000
)

// Policy is what a job says of missed starts.
type Policy struct {
	Last     bool
	All      int // N of all(N); 0 is not all
	Deadline time.Duration
}

// Source lists the instants of a schedule, in seconds since 1970.
type Source interface {
	// Between lists those after a up to and with b.
	Between(a, b int64) []int64
	// After is the first one after a; false when there is none, or it is not known.
	After(a int64) (int64, bool)
}

// List is a Source that was written down.
type List []int64

// Between is of Source.
func (l List) Between(a, b int64) []int64 {
	i, _ := slices.BinarySearch(l, a+1)
	j := i
	for j < len(l) && l[j] <= b {
		j++
	}
	return l[i:j]
}

// After is of Source.
func (l List) After(a int64) (int64, bool) {
	i, _ := slices.BinarySearch(l, a+1)
	if i == len(l) {
		return 0, false
	}
	return l[i], true
}

// Seconds is a Source of those seconds of every minute that are whole multiples of N, which divides 60.
type Seconds int64

// Between is of Source.
func (n Seconds) Between(a, b int64) (list []int64) {
	for at, _ := n.After(a); at <= b; at += int64(n) {
		list = append(list, at)
	}
	return list
}

// After is of Source.
func (n Seconds) After(a int64) (int64, bool) { return a - a%int64(n) + int64(n), true }

// judge follows one job by the words of the manual.
type judge struct {
	fixed  bool
	policy Policy
	source Source
	seen   int64 // everything up to here was decided
	told   int64 // the newest start on record, run or given up; 0 is none
	next   int64 // a cache of the first instant after seen
}

// verdict is what is to happen at one look.
type verdict struct {
	runs        []int64 // oldest first
	lost        int
	first, last int64 // of the lost ones
}

// look decides all that passed since the look before. ran is false at the first look of a process.
func (j *judge) look(now time.Time, ran bool) (v verdict) {
	if j.next > now.Unix() {
		return v
	}
	passed := j.source.Between(j.seen, now.Unix())
	j.seen = max(j.seen, now.Unix())
	j.find()
	if len(passed) == 0 {
		return v
	}
	age := func(at int64) time.Duration { return now.Sub(time.Unix(at, 0)) }
	runs := map[int64]bool{}
	newest := passed[len(passed)-1]
	// "A start that is noticed at most a minute late is late, not missed: it runs, at most the newest ten of one job."
	for _, at := range passed[max(0, len(passed)-lateMost):] {
		if age(at) <= lateFor {
			runs[at] = true
		}
	}
	missed := !runs[newest] // else there is a newer start than any that was missed
	// "While the program ran, the newest missed start of a job with fixed times runs if it is at most three hours old and no newer one is late."
	if missed && ran && j.fixed && age(newest) <= bridged {
		runs[newest] = true
	}
	// "catchup=last runs the newest start, late or missed, and catchup=all(N) the newest N, if they are not older than deadline."
	alive := func(at int64) bool { return j.policy.Deadline == 0 || age(at) <= j.policy.Deadline }
	if missed && j.policy.Last && alive(newest) {
		runs[newest] = true
	}
	for _, at := range passed[max(0, len(passed)-j.policy.All):] {
		if alive(at) {
			runs[at] = true
		}
	}
	for _, at := range passed {
		if runs[at] {
			v.runs = append(v.runs, at)
			continue
		}
		v.lost++
		if v.lost == 1 {
			v.first = at
		}
		v.last = at
	}
	v.lost = min(v.lost, countedTo)
	return v
}

// find looks up the next instant.
func (j *judge) find() {
	next, ok := j.source.After(j.seen)
	if !ok {
		next = 1 << 60
	}
	j.next = next
}

// record is what reaches the disk.
func (j *judge) record(at int64) { j.told = max(j.told, at) }

// setBack: "by up to a minute nothing is repeated; by more, wild-card jobs follow it and fixed ones do not run again; by more than three hours all
// follow it." What passed since the look before it stays passed. It tells whether the job follows.
func (j *judge) setBack(by time.Duration, now time.Time) bool {
	if !j.follows(by) || now.Unix() >= j.seen {
		return false
	}
	j.seen = now.Unix()
	j.find()
	return true
}

func (j *judge) follows(by time.Duration) bool { return by > lateFor && !j.fixed || by > bridged }

// restart goes on after the newest start on record. How far that lies ahead of the clock is how far the clock was set back meanwhile.
func (j *judge) restart(now time.Time) {
	told := time.Unix(j.told, 0)
	if j.seen = j.told; j.told == 0 || j.follows(told.Sub(now)) {
		j.seen = now.Unix()
	}
	j.find()
}
