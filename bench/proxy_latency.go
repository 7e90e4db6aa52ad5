package main

import (
	"fmt"
	"os/exec"
	"strconv"
	"time"

	"github.com/sidecar-kit/sidecar/bench/lab"
)

// busiest is the part of its processor that the load may use when times are measured: beyond it, they are those of the load.
const busiest = 0.6

// proxyLatency asks what the proxy adds to the time of the slowest requests, at half of what the slowest of the proxies can do. The
// load does not wait for answers, so that a pause is seen in all requests that it met.
func (b *bench) proxyLatency(r *rig) ([]row, error) {
	if _, err := exec.LookPath("wrk"); err != nil {
		return missingRows([]string{"wrk is not installed (Debian: wrk)"}), nil
	}
	here, missing, err := r.enlist(duty{scheme: "https"}, b.us(), nginx(), haproxy())
	defer stopAll(here)
	if err != nil {
		return nil, err
	}
	half, rate, err := b.halfRate(r, here)
	if err != nil {
		return nil, err
	}
	long := time.Duration(b.sized(2, 1)) * time.Second
	direct := &contender{name: "no proxy", addr: r.backend}
	s, failed, err := rounds(b.pairs, append(here, direct), func(c *contender) (lab.Sample, error) { return r.openLoop(c, rate, long, c != direct) })
	if err != nil {
		return nil, err
	}
	rows := []row{info(fmt.Sprintf("half of what the slowest one can do is %.0f/s; the load manages %.0f/s. Without proxy and TLS: p50, p99", half, rate), "-", ms2(median(s[direct], "p50"), median(s[direct], "p99")), "-")}
	for _, c := range here[1:] {
		if s[c] == nil {
			continue
		}
		for _, figure := range []string{"p99", "p50"} {
			without := median(s[direct], figure)
			ours, theirs := max(0, median(s[here[0]], figure)-without), max(0, median(s[c], figure)-without)
			line := info(fmt.Sprintf("time added at %.0f requests a second, %s, beside %s", rate, figure, c.name), lab.MS(ours), lab.MS(theirs), ratio(ours, theirs))
			if figure == "p99" {
				line = judged(line.what, line.ours, line.peer, line.ratio, ours/theirs, 1.5, 1.0, "at most 1.5x / 1.0x")
			}
			rows = append(rows, line)
		}
	}
	return append(rows, missingRows(append(missing, failed...))...), nil
}

// halfRate is half of what the slowest one does, and the rate that the load can keep up.
func (b *bench) halfRate(r *rig, here []*contender) (half, rate float64, err error) {
	for _, c := range here {
		s, err := wrk("https://"+c.addr+"/1k", time.Duration(b.sized(2, 1))*time.Second)
		if err != nil {
			return 0, 0, fmt.Errorf("%s: %w", c.name, err)
		}
		if n := s["count"] / s["seconds"] / 2; half == 0 || n < half {
			half = n
		}
	}
	rate = 3000
	for range 3 { // a request costs less the more there are
		before := r.running[0].cpu() // of the backend
		s, err := r.openLoop(here[0], rate, time.Second, true)
		if err != nil {
			return 0, 0, err
		}
		used := s["cpu"] + (r.running[0].cpu() - before).Seconds()
		rate = min(half, busiest*rate/used)
	}
	return half, rate, nil
}

func (r *rig) openLoop(c *contender, rate float64, long time.Duration, tls bool) (lab.Sample, error) {
	s, err := r.load(1, "open", "-path", "/1k", "-conns", "32", "-rate", strconv.Itoa(int(rate)), "-for", long.String(), "-tls="+strconv.FormatBool(tls), c.addr)
	if err == nil && s["failed"] > 0 {
		err = fmt.Errorf("%.0f requests failed", s["failed"])
	}
	return s, err
}

func ms2(a, b float64) string { return lab.MS(a) + ", " + lab.MS(b) }

func values(s []lab.Sample, figure string) (v []float64) {
	for _, x := range s {
		v = append(v, x[figure])
	}
	return v
}

func median(s []lab.Sample, figure string) float64 { return lab.Quantile(values(s, figure), 0.5) }
