package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/bench/lab"
)

// cronCrowd has thousands of jobs run at once, and asks for the peak memory of the program
// that watches them.
func (b *bench) cronCrowd() ([]row, error) {
	peer, err := b.supercronic()
	if err != nil {
		return nil, err
	}
	jobs := 5000
	if b.quick {
		jobs = 300
	}
	var pairs []lab.Pair
	for range min(b.pairs, 3) { // no warm-up: there is nothing to warm, and each takes a minute
		var p lab.Pair
		if p.A, err = b.crowdRun(b.ourCrond(), jobs); err != nil {
			return nil, err
		}
		if p.B, err = b.crowdRun(peer, jobs); err != nil {
			return nil, err
		}
		pairs = append(pairs, p)
	}
	what := fmt.Sprintf("%d jobs at once, beside supercronic: ", jobs)
	ours, theirs, r := lab.Compare(pairs, "peak")
	rows := []row{judged(what+"peak RSS", lab.MB(ours), lab.MB(theirs), lab.Ratio(r), r, 0.5, 0.3, "0.5x / 0.3x")}
	ours, theirs, r = lab.Compare(pairs, "cpu")
	rows = append(rows, info(what+"CPU per run, with the children", lab.MS(ours), lab.MS(theirs), lab.Ratio(r)))
	ours, theirs, r = lab.Compare(pairs, "alive")
	return append(rows, info(what+"most processes seen at once", whole(ours), whole(theirs), lab.Ratio(r))), nil
}

// crowdRun lets all jobs of a table start in one second. They sleep so long that the last
// one starts before the first one ends, also on a slow machine.
func (b *bench) crowdRun(c crond, jobs int) (lab.Sample, error) {
	nap := 5 + jobs/250
	at := time.Now().UTC().Add(5 * time.Second)
	line := fmt.Sprintf("%d %d %d * * * * sleep %d\n", at.Second(), at.Minute(), at.Hour(), nap)
	spool, err := b.spool("crowd-table", strings.Repeat(line, jobs))
	if err != nil {
		return nil, err
	}
	d, err := startCrond(c, spool, nil, "TZ=UTC")
	if err != nil {
		return nil, err
	}
	defer d.stop(40 * time.Second)
	most := 0
	for end := at.Add(time.Duration(3*nap) * time.Second); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
		n := children(d.pid())
		most = max(most, n)
		if n == 0 && most > 0 {
			break
		}
	}
	v, err := look(d.pid())
	if err != nil {
		return nil, fmt.Errorf("%s is gone: %w", c.name, err)
	}
	if most < jobs*95/100 {
		return nil, fmt.Errorf("%s: only %d of %d jobs were seen at once", c.name, most, jobs)
	}
	d.stop(40 * time.Second)
	return lab.Sample{"peak": v.peak, "alive": float64(most), "cpu": d.cpu().Seconds() / float64(jobs)}, nil
}
