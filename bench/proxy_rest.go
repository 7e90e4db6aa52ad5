package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sidecar-kit/sidecar/bench/lab"
)

// proxyIdle asks what a connection at rest needs of memory.
func (b *bench) proxyIdle(r *rig) ([]row, error) {
	var rows []row
	for _, v := range []struct {
		what, scheme, path string
		conns              int
		bar                bar
	}{
		// Each end needs a descriptor for a connection, and the limit of a process may be 20,000.
		{"TLS keep-alive connections after one request", "https", "/100", 10_000, bar{1.3, 0.8}},
		{"TLS to TCP connections after one byte", "tls", "", 9_000, bar{}},
	} {
		n := b.sized(v.conns, 300)
		here, missing, err := r.enlist(duty{scheme: v.scheme, idle: true}, b.us(), nginx())
		if err != nil {
			return nil, err
		}
		var figures []lab.Sample
		for _, c := range here {
			s, err := r.idleMemory(c, v.path, n)
			c.stop()
			if err != nil && len(figures) == 0 {
				stopAll(here)
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
			if err != nil {
				missing = append(missing, fmt.Sprintf("%s: %v", c.name, err))
				continue
			}
			figures = append(figures, s)
		}
		rows = append(rows, idleRows(fmt.Sprintf("%d idle %s", n, v.what), v.bar, here, figures)...)
		rows = append(rows, missingRows(missing)...)
	}
	return rows, nil
}

func idleRows(what string, bar bar, here []*contender, figures []lab.Sample) []row {
	ours := figures[0]
	if len(figures) < 2 {
		return []row{info(what+": RSS of one", kilobytes(ours["each"]), "-", "-")}
	}
	theirs := figures[1]
	r := ours["each"] / theirs["each"]
	line := info(what+", beside "+here[1].name+": RSS of one", kilobytes(ours["each"]), kilobytes(theirs["each"]), lab.Ratio(r))
	if bar.floor > 0 {
		line = judged(line.what, line.ours, line.peer, line.ratio, r, bar.floor, bar.target, fmt.Sprintf("at most %.1fx / %.1fx", bar.floor, bar.target))
	}
	return []row{line, info("the same: RSS of the process", lab.MB(ours["all"]), lab.MB(theirs["all"]), lab.Ratio(ours["all"]/theirs["all"]))}
}

// idleMemory is what n connections add to the resident set.
func (r *rig) idleMemory(c *contender, path string, n int) (lab.Sample, error) {
	rest := func(seconds int) { time.Sleep(time.Duration(r.b.sized(seconds, 1)) * time.Second) } // what is only a reserve is given back meanwhile
	rest(3)
	before := c.rss()
	cmd := exec.Command("taskset", "-c", loadCPU, filepath.Join(r.b.bin, "proxyload"), "hold", "-tls", "-path", path, "-conns", strconv.Itoa(n), c.addr)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	defer func() { _ = in.Close(); _ = cmd.Wait() }()
	watch := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	defer watch.Stop()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("hold: %w", err)
	}
	if open := strings.TrimSpace(strings.TrimPrefix(line, "open ")); open != strconv.Itoa(n) {
		return nil, fmt.Errorf("only %s of %d connections could be opened", open, n)
	}
	rest(8)
	after := c.rss()
	return lab.Sample{"each": (after - before) / float64(n), "all": after}, nil
}

// proxyRest asks what a proxy with one route needs while nothing happens, and how soon it is there.
func (b *bench) proxyRest(r *rig) ([]row, error) {
	var here []*contender
	var missing []string
	figures := map[string][]lab.Sample{}
	for i := range b.sized(3, 1) {
		for _, c := range []*contender{b.us(), nginx(), haproxy(), caddy()} {
			began := time.Now()
			got, gone, err := r.enlist(duty{scheme: "https"}, c)
			if i == 0 {
				missing = append(missing, gone...)
			}
			if err != nil && c.program == b.sidecar {
				return nil, err
			}
			if err != nil || len(got) == 0 {
				continue
			}
			took := time.Since(began)
			time.Sleep(2 * time.Second)
			figures[c.name] = append(figures[c.name], lab.Sample{"rss": c.rss(), "start": took.Seconds()})
			if i == 0 {
				here = append(here, c)
			}
			c.stop()
		}
	}
	if len(here) == 0 {
		return nil, errors.New("nothing started")
	}
	us := figures["sidecar"]
	rss := median(us, "rss")
	rows := []row{judged("RSS at rest with one HTTPS route", lab.MB(rss), "-", "-", rss, 15e6, 10e6, "15 / 10 MB")}
	for _, c := range here[1:] {
		them := figures[c.name]
		rows = append(rows, info("the same, beside "+c.name, lab.MB(rss), lab.MB(median(them, "rss")), ratio(rss, median(them, "rss"))),
			info("from exec to the first connection, beside "+c.name, lab.MS(median(us, "start")), lab.MS(median(them, "start")), ratio(median(us, "start"), median(them, "start"))))
	}
	return append(rows, missingRows(missing)...), nil
}
