package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"

	"github.com/sidecar-kit/sidecar/bench/lab"
)

// proxyCases measure the proxy role beside the proxies that Debian has. What is missing here is skipped, with the reason in the table.
func (b *bench) proxyCases() []benchCase {
	cases := []struct {
		name string
		run  func(*rig) ([]row, error)
	}{
		{"proxy-https", b.proxyHTTPS},
		{"proxy-latency", b.proxyLatency},
		{"proxy-handshake", b.proxyHandshake},
		{"proxy-tcp", b.proxyTCP},
		{"proxy-tls-tcp", b.proxyTLSTCP},
		{"proxy-idle", b.proxyIdle},
		{"proxy-rest", b.proxyRest},
		{"proxy-swap", b.proxySwap},
		{"proxy-stop", b.proxyStop},
		{"proxy-smuggle", b.proxySmuggle},
		{"proxy-h2spec", b.proxyH2spec},
	}
	var list []benchCase
	for _, c := range cases {
		list = append(list, benchCase{c.name, func() ([]row, error) {
			r, err := b.newRig()
			if r != nil {
				defer r.close()
				defer r.closeOnSignal()()
			}
			var rows []row
			if err == nil {
				rows, err = c.run(r)
			}
			if err != nil { // the other cases are measured all the same
				fmt.Fprintf(os.Stderr, "%s: %v\n", c.name, err)
				rows = append(rows, judged("**could not be measured**: "+err.Error(), "-", "-", "-", 1, 0, 0, ""))
			}
			return rows, nil
		}})
	}
	return list
}

// rounds measures all contenders in turns: one round that is thrown away, then n, every other one in the opposite order. A peer
// that fails is left out, and said to be.
func rounds(n int, all []*contender, run func(*contender) (lab.Sample, error)) (samples map[*contender][]lab.Sample, missing []string, err error) {
	samples = map[*contender][]lab.Sample{}
	failed := map[*contender]bool{}
	for i := range n + 1 {
		order := slices.Clone(all)
		if i%2 == 1 {
			slices.Reverse(order)
		}
		for _, c := range order {
			if failed[c] {
				continue
			}
			s, err := run(c)
			if err != nil && c == all[0] {
				return nil, nil, fmt.Errorf("%s: %w", c.name, err)
			}
			if err != nil {
				failed[c] = true
				delete(samples, c)
				missing = append(missing, fmt.Sprintf("%s: %v", c.name, err))
				continue
			}
			if i > 0 {
				samples[c] = append(samples[c], s)
			}
		}
	}
	return samples, missing, nil
}

// versus is the comparison of one figure: medians, and median and range of the ratios theirs/ours round by round.
type versus struct{ ours, theirs, ratio, least, most float64 }

func compare(ours, theirs []lab.Sample, figure string) versus {
	var a, b, ratios []float64
	for i := range ours {
		a, b = append(a, ours[i][figure]), append(b, theirs[i][figure])
		ratios = append(ratios, theirs[i][figure]/ours[i][figure])
	}
	return versus{lab.Quantile(a, 0.5), lab.Quantile(b, 0.5), lab.Quantile(ratios, 0.5), lab.Quantile(ratios, 0), lab.Quantile(ratios, 1)}
}

// work is a row about the work that is done with the same CPU time: above 1 is better for us. Bounds of 0 make it information.
func work(what string, v versus, show func(float64) string, floor, target float64) row {
	r := info(what, show(v.ours), show(v.theirs), fmt.Sprintf("%.2fx (%.2f to %.2f)", v.ratio, v.least, v.most))
	if floor > 0 {
		r.value, r.floor, r.target = 1/v.ratio, 1/floor, 1/target
		r.bounds = fmt.Sprintf("at least %.1fx / %.1fx", floor, target)
	}
	return r
}

func microseconds(seconds float64) string { return fmt.Sprintf("%.1f us", seconds*1e6) }

func eachSecond(n float64) string { return fmt.Sprintf("%.0f/s", n) }

// bar is what a peer is to be beaten by.
type bar struct{ floor, target float64 }

// workRows are the rows of one measurement, a peer each: CPU per unit first, then the rate, which depends on what else the machine does.
func workRows(what, unit string, us *contender, all []*contender, s map[*contender][]lab.Sample, bars map[string]bar, show func(float64) string) (rows []row) {
	for _, c := range all {
		if c == us || s[c] == nil {
			continue
		}
		bar := bars[c.name]
		rows = append(rows, work(fmt.Sprintf("%s, beside %s: CPU %s", what, c.name, unit), compare(s[us], s[c], "cpu"), show, bar.floor, bar.target))
		if _, ok := s[us][0]["rate"]; ok {
			v := compare(s[c], s[us], "rate") // more is better here
			rows = append(rows, info("the same: units in a second of time", eachSecond(v.theirs), eachSecond(v.ours), lab.Ratio(v.ratio)))
		}
	}
	return rows
}

// metered is a sample of a run with the CPU time of the proxy per unit.
func metered(c *contender, run func() (lab.Sample, error), units func(lab.Sample) float64) (lab.Sample, error) {
	before := c.cpu()
	s, err := run()
	if err != nil {
		return nil, err
	}
	used := (c.cpu() - before).Seconds()
	n := units(s)
	if n <= 0 || math.IsNaN(n) {
		return nil, errors.New("no work was done")
	}
	if s["failed"] > 0.001*n {
		return nil, fmt.Errorf("%.0f of %.0f failed", s["failed"], n)
	}
	s["cpu"], s["rate"] = used/n, n/s["seconds"]
	return s, nil
}

// sized is how many of something -quick does.
func (b *bench) sized(usual, quick int) int {
	if b.quick {
		return quick
	}
	return usual
}
