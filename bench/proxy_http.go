package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sidecar-kit/sidecar/bench/lab"
)

// proxyHTTPS asks what a request costs.
func (b *bench) proxyHTTPS(r *rig) ([]row, error) {
	bars := map[string]bar{"nginx": {1.0, 1.3}, "HAProxy": {0.9, 1.1}, "caddy": {2.5, 4}}
	rows, err := b.httpRows(r, "TLS, HTTP/1.1 keep-alive, 1 KB, 32 connections", duty{scheme: "https"}, "/1k", b.pairs, 2*time.Second, bars, b.us(), nginx(), haproxy(), caddy())
	if err != nil {
		return nil, err
	}
	for _, v := range []struct {
		what, path string
		d          duty
	}{
		{"the same with 100 B", "/100", duty{scheme: "https"}},
		{"the same with 64 KB", "/64k", duty{scheme: "https"}},
		{"the same with access logs", "/1k", duty{scheme: "https", logs: true}},
		{"plain HTTP/1.1, 1 KB", "/1k", duty{scheme: "http"}},
		{"TLS, HTTP/2, 1 KB, 8 connections of 16 streams", "/1k", duty{scheme: "https", h2: true}},
	} {
		more, err := b.httpRows(r, v.what, v.d, v.path, min(3, b.pairs), time.Second, nil, b.us(), nginx(), haproxy())
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

func (b *bench) httpRows(r *rig, what string, d duty, path string, pairs int, long time.Duration, bars map[string]bar, all ...*contender) ([]row, error) {
	load, tool := wrk, "wrk"
	if d.h2 {
		load, tool = h2load, "h2load"
	}
	if _, err := exec.LookPath(tool); err != nil {
		return missingRows([]string{fmt.Sprintf("%s: %s is not installed (Debian: wrk, nghttp2-client)", what, tool)}), nil
	}
	here, missing, err := r.enlist(d, all...)
	defer stopAll(here)
	if err != nil {
		return nil, err
	}
	if b.quick {
		long = time.Second
	}
	s, failed, err := rounds(pairs, here, func(c *contender) (lab.Sample, error) {
		return metered(c, func() (lab.Sample, error) { return load(scheme(d)+c.addr+path, long) }, func(s lab.Sample) float64 { return s["count"] })
	})
	if err != nil {
		return nil, err
	}
	return append(workRows(what, "of a request", here[0], here, s, bars, microseconds), missingRows(append(missing, failed...))...), nil
}

func scheme(d duty) string { return d.scheme + "://" }

func stopAll(list []*contender) {
	for _, c := range list {
		c.stop()
	}
}

// tool runs a load program on the processor of the load.
func tool(long time.Duration, argv ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), long+20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "taskset", append([]string{"-c", loadCPU}, argv...)...)
	cmd.Env = os.Environ()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %.300s", argv[0], err, out)
	}
	return string(out), nil
}

var (
	wrkDone    = regexp.MustCompile(`(\d+) requests in ([\d.]+)(m?s|m),`)
	wrkErrors  = regexp.MustCompile(`Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)`)
	wrkStatus  = regexp.MustCompile(`Non-2xx or 3xx responses: (\d+)`)
	h2loadDone = regexp.MustCompile(`requests: (\d+) total, \d+ started, \d+ done, (\d+) succeeded, (\d+) failed`)
)

func wrk(url string, long time.Duration) (lab.Sample, error) {
	out, err := tool(long, "wrk", "-t1", "-c32", fmt.Sprintf("-d%ds", int(long.Seconds())), "--timeout", "5s", url)
	if err != nil {
		return nil, err
	}
	return readWrk(out)
}

func readWrk(out string) (lab.Sample, error) {
	m := wrkDone.FindStringSubmatch(out)
	if m == nil {
		return nil, fmt.Errorf("wrk said %.200q", out)
	}
	s := lab.Sample{"count": number(m[1]), "seconds": number(m[2])}
	switch m[3] {
	case "ms":
		s["seconds"] /= 1000
	case "m":
		s["seconds"] *= 60
	}
	for _, re := range []*regexp.Regexp{wrkErrors, wrkStatus} {
		if m := re.FindStringSubmatch(out); m != nil {
			for _, n := range m[1:] {
				s["failed"] += number(n)
			}
		}
	}
	return s, nil
}

func h2load(url string, long time.Duration) (lab.Sample, error) {
	const perSecond = 8000
	n := strconv.Itoa(int(long.Seconds() * perSecond))
	began := time.Now()
	out, err := tool(long, "h2load", "-t1", "-c8", "-m16", "-n"+n, url)
	if err != nil {
		return nil, err
	}
	m := h2loadDone.FindStringSubmatch(out)
	if m == nil || !strings.Contains(out, "Application protocol: h2") {
		return nil, fmt.Errorf("h2load said %.300q", out)
	}
	return lab.Sample{"count": number(m[2]), "failed": number(m[1]) - number(m[2]), "seconds": time.Since(began).Seconds()}, nil
}

func number(s string) float64 {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0
	}
	return n
}
