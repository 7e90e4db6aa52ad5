package main

import (
	"fmt"
	"time"

	"github.com/sidecar-kit/sidecar/bench/lab"
)

// proxyHandshake asks what a new TLS connection with one small request costs.
func (b *bench) proxyHandshake(r *rig) ([]row, error) {
	here, missing, err := r.enlist(duty{scheme: "https"}, b.us(), nginx(), haproxy(), hitch())
	defer stopAll(here)
	if err != nil {
		return nil, err
	}
	long := time.Duration(b.sized(1200, 700)) * time.Millisecond
	bars := map[string]bar{"nginx": {1.0, 1.2}, "HAProxy": {1.0, 1.2}, "hitch": {1.0, 1.2}}
	var rows []row
	for _, kind := range []string{"full", "resumed"} {
		s, failed, err := rounds(b.pairs, here, func(c *contender) (lab.Sample, error) {
			return metered(c, func() (lab.Sample, error) {
				s, err := r.load(1, "hand", "-conns", "8", "-for", long.String(), "-resume="+fmt.Sprint(kind == "resumed"), c.addr)
				if err == nil && kind == "resumed" && s["full"] > 8+0.05*s["count"] {
					err = fmt.Errorf("%.0f of %.0f sessions were not resumed", s["full"], s["count"])
				}
				return s, err
			}, func(s lab.Sample) float64 { return s["count"] })
		})
		if err != nil {
			return nil, err
		}
		rows = append(rows, workRows(kind+" handshake, P-256 and X25519, TLS 1.3, and a request of 100 B", "of one", here[0], here, s, bars, microseconds)...)
		missing = append(missing, failed...)
	}
	return append(rows, missingRows(missing)...), nil
}

// bytesCase moves bytes one way through all proxies.
func (b *bench) bytesCase(r *rig, what string, d duty, bars map[string]bar, up bool, all ...*contender) ([]row, error) {
	here, missing, err := r.enlist(d, all...)
	defer stopAll(here)
	if err != nil {
		return nil, err
	}
	long := time.Duration(b.sized(1000, 500)) * time.Millisecond
	s, failed, err := rounds(b.pairs, here, func(c *contender) (lab.Sample, error) {
		return metered(c, func() (lab.Sample, error) {
			return r.load(1, "bulk", "-conns", "4", "-for", long.String(), "-tls="+fmt.Sprint(d.scheme == "tls"), "-up="+fmt.Sprint(up), c.addr)
		}, func(s lab.Sample) float64 { return s["bytes"] / 1e6 })
	})
	if err != nil {
		return nil, err
	}
	rows := workRows(what, "of a MB", here[0], here, s, bars, microseconds)
	for i := range rows {
		rows[i].ours, rows[i].peer = gigabytes(rows[i].ours), gigabytes(rows[i].peer)
	}
	return append(rows, missingRows(append(missing, failed...))...), nil
}

// gigabytes makes MB/s readable.
func gigabytes(s string) string {
	var mb float64
	if n, err := fmt.Sscanf(s, "%f/s", &mb); n == 1 && err == nil {
		return fmt.Sprintf("%.2f GB/s", mb/1e3)
	}
	return s
}

// proxyTCP asks what bytes cost that are not looked at.
func (b *bench) proxyTCP(r *rig) ([]row, error) {
	bars := map[string]bar{"nginx": {2.5, 3.5}, "HAProxy": {1.0, 1.2}}
	return b.bytesCase(r, "plain TCP, download, 4 connections", duty{scheme: "tcp"}, bars, false, b.us(), nginx(), nginx64k(), haproxy())
}

// proxyTLSTCP asks the same of TLS in front of plain TCP.
func (b *bench) proxyTLSTCP(r *rig) ([]row, error) {
	bars := map[string]bar{"nginx": {1.0, 1.1}, "stunnel": {1.0, 1.1}}
	var rows []row
	for _, up := range []bool{false, true} {
		what := map[bool]string{false: "TLS to TCP, download, 4 connections", true: "TLS to TCP, upload, 4 connections"}[up]
		more, err := b.bytesCase(r, what, duty{scheme: "tls"}, bars, up, b.us(), nginx(), nginx64k(), stunnel())
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	return rows, nil
}
