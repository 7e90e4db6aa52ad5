package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/bench/lab"
)

// cronJobs starts many short processes each second: what is compared is the CPU of the
// program and of its children, over the runs that its own log tells of.
func (b *bench) cronJobs() ([]row, error) {
	peer, err := b.supercronic()
	if err != nil {
		return nil, err
	}
	var rows []row
	for _, each := range []int{200, 500} {
		table := strings.Repeat("* * * * * * * true\n", each)
		pairs, err := lab.Pairs(min(b.pairs, 3),
			func() (lab.Sample, error) { return b.shortJobs(b.ourCrond(), table) },
			func() (lab.Sample, error) { return b.shortJobs(peer, table) })
		if err != nil {
			return nil, err
		}
		what := fmt.Sprintf("%d jobs `true` each second for %d s, beside supercronic: ", each, b.seconds)
		ours, theirs, r := lab.Compare(pairs, "per run")
		rows = append(rows, judged(what+"CPU per run, with the children", lab.MS(ours), lab.MS(theirs), lab.Ratio(r), r, 1.0, 0.7, "1.0x / 0.7x"))
		ours, theirs, r = lab.Compare(pairs, "own")
		rows = append(rows, info(what+"CPU per run of the program alone", lab.MS(ours), lab.MS(theirs), lab.Ratio(r)))
		ours, theirs, r = lab.Compare(pairs, "runs")
		rows = append(rows, info(what+"runs", whole(ours), whole(theirs), lab.Ratio(r)))
	}
	return rows, nil
}

func (b *bench) shortJobs(c crond, table string) (lab.Sample, error) {
	spool, err := b.spool("jobs-table", table)
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(b.dir, "jobs.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	d, err := startCrond(c, spool, log, "TZ=UTC")
	if err != nil {
		return nil, err
	}
	time.Sleep(time.Duration(b.seconds) * time.Second)
	v, err := look(d.pid())
	if took, killed := d.stop(30 * time.Second); killed {
		return nil, fmt.Errorf("%s did not end in %s", c.name, took)
	}
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(log.Name())
	if err != nil {
		return nil, err
	}
	runs := float64(bytes.Count(text, []byte("job succeeded")))
	if runs == 0 {
		return nil, fmt.Errorf("%s ran nothing: %s", c.name, text[:min(len(text), 1000)])
	}
	return lab.Sample{"per run": d.cpu().Seconds() / runs, "own": v.cpu.Seconds() / runs, "runs": runs}, nil
}
