package main

import (
	"fmt"
	"math"

	"github.com/sidecar-kit/sidecar/bench/lab"
)

// logshipLines asks what a line costs on its way from a file to _bulk.
func (b *bench) logshipLines(d *dock) ([]row, error) {
	us := b.ourShipper()
	peers, missing := d.peers()
	samples, failed, err := d.race(b.sized(500_000, 20_000), b.pairs, load{}, append([]*shipper{us}, peers...)...)
	if err != nil {
		return nil, err
	}
	rows := []row{
		atLeast("lines of 135 B to _bulk with ids, in a second of CPU", million(perCPU(samples[us])), "-", "-", perCPU(samples[us]), 1.0e6, 1.9e6, "at least 1.0 M / 1.9 M"),
		info("the same: peak memory of the process", lab.MB(worst(samples[us], "rss")), "-", "-"),
	}
	rows = append(rows, besideRows("lines in a second of CPU", us, peers, samples, map[string]bar{"rsyslog": {6, 18}, "otelcol": {1, 8}})...)
	rows = append(rows, info("published for machines of this kind, quiet, 500,000 lines: fluent-bit 5.1 memory, filesystem", "-", "0.380 M, 0.352 M", "-"),
		info("the same: otelcol 0.149, syslog-ng 3.38, telegraf 1.37, rsyslog 8.2302", "-", "0.240 M, 0.142 M, 0.109 M, 0.104 M", "-"))
	return append(rows, missingRows(append(missing, failed...))...), nil
}

// logshipParse asks what decoding, adding and redacting cost.
func (b *bench) logshipParse(d *dock) ([]row, error) {
	us := b.ourShipper()
	samples, _, err := d.race(b.sized(500_000, 20_000), b.pairs, load{parse: true}, us)
	if err != nil {
		return nil, err
	}
	v := perCPU(samples[us])
	return []row{atLeast("lines parsed as JSON, 6 fields added, 3 keys redacted, to _bulk, in a second of CPU", million(v), "-", "-", v, 0.4e6, 0.8e6, "at least 0.4 M / 0.8 M")}, nil
}

// logshipGzip compares those that compress.
func (b *bench) logshipGzip(d *dock) ([]row, error) {
	us := b.ourShipper()
	peers, missing := d.peers("otelcol", "telegraf")
	samples, failed, err := d.race(b.sized(500_000, 20_000), b.pairs, load{gzip: true}, append([]*shipper{us}, peers...)...)
	if err != nil {
		return nil, err
	}
	best, rate := "", 0.0
	for _, p := range peers {
		if v := perCPU(samples[p]); v > rate {
			best, rate = p.name, v
		}
	}
	missing = append(missing, "rsyslog 8.2302 (omelasticsearch) and syslog-ng 3.38 (http): they do not compress")
	rows := besideRows("lines in a second of CPU, gzip", us, peers, samples, map[string]bar{best: {1.5, 3}})
	if len(peers) == 0 {
		rows = []row{info("lines in a second of CPU, gzip", million(perCPU(samples[us])), "-", "-")}
	}
	return append(rows, missingRows(append(missing, failed...))...), nil
}

// race measures shippers in turns, each with the same file.
func (d *dock) race(lines, pairs int, l load, all ...*shipper) (map[*shipper][]lab.Sample, []string, error) {
	f, err := d.freight(lines)
	if err != nil {
		return nil, nil, err
	}
	f.gzip, f.parse = l.gzip, l.parse
	byName := map[string]*shipper{}
	var list []*contender
	for _, s := range all {
		byName[s.name] = s
		list = append(list, &s.contender)
	}
	samples, failed, err := rounds(pairs, list, func(c *contender) (lab.Sample, error) { return d.ship(byName[c.name], f) })
	of := map[*shipper][]lab.Sample{}
	for c, s := range samples {
		of[byName[c.name]] = s
	}
	return of, failed, err
}

// besideRows are the rows of the peers: above 1 is better for us.
func besideRows(what string, us *shipper, peers []*shipper, samples map[*shipper][]lab.Sample, bars map[string]bar) (rows []row) {
	for _, p := range peers {
		if samples[p] == nil {
			continue
		}
		bar := bars[p.name]
		show := func(seconds float64) string { return million(1 / seconds) }
		rows = append(rows, work(fmt.Sprintf("%s, beside %s %s", what, p.name, p.version), compare(samples[us], samples[p], "cpu"), show, bar.floor, bar.target),
			info("the same: peak memory", lab.MB(worst(samples[us], "rss")), lab.MB(worst(samples[p], "rss")), ratio(worst(samples[us], "rss"), worst(samples[p], "rss"))))
	}
	return rows
}

// atLeast is a row whose value is better the larger it is.
func atLeast(what, ours, peer, ratio string, value, floor, target float64, bounds string) row {
	return judged(what, ours, peer, ratio, 1/value, 1/floor, 1/target, bounds)
}

// perCPU is the median of units in a second of CPU.
func perCPU(samples []lab.Sample) float64 {
	if len(samples) == 0 {
		return math.NaN()
	}
	var all []float64
	for _, s := range samples {
		all = append(all, s["cpu"])
	}
	return 1 / lab.Quantile(all, 0.5)
}

func worst(samples []lab.Sample, figure string) (most float64) {
	for _, s := range samples {
		most = max(most, s[figure])
	}
	return most
}

func million(n float64) string { return fmt.Sprintf("%.3f M", n/1e6) }
