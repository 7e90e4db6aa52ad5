package main

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/sidecar-kit/sidecar/bench/lab"
	"github.com/sidecar-kit/sidecar/bench/ship"
)

// logshipLatency asks how long a line takes from the application to the sink, and how long the end takes when nothing is left to do.
func (b *bench) logshipLatency(d *dock) ([]row, error) {
	const rate = 10_000
	peers, missing := d.peers()
	long := b.sized(8, 2)
	var p50, p99, most, exits []float64
	for range min(3, b.pairs) {
		c, exit, err := d.pace(b.ourShipper(), rate, long)
		if err != nil {
			return nil, err
		}
		p50, p99, most, exits = append(p50, c.P50/1e3), append(p99, c.P99/1e3), append(most, c.Max/1e3), append(exits, exit.Seconds())
	}
	last := lab.Quantile(p99, 0.5)
	end := lab.Quantile(exits, 0.5)
	rows := []row{
		judged("from a line to its storage, 10,000 lines a second, p99", lab.MS(last), "-", "-", last, 0.5, 0.1, "500 / 100 ms"),
		info("the same: p50 and longest", lab.MS(lab.Quantile(p50, 0.5))+", "+lab.MS(lab.Quantile(most, 1)), "-", "-"),
		judged("from SIGTERM to the exit when everything was delivered", lab.MS(end), "-", "-", end, 1, 0.3, "1 s / 300 ms"),
	}
	for _, p := range peers {
		c, exit, err := d.pace(p, rate, long)
		if err != nil {
			missing = append(missing, fmt.Sprintf("%s: %v", p.name, err))
			continue
		}
		rows = append(rows, info(fmt.Sprintf("beside %s: p99 (p50)", p.name), fmt.Sprintf("%s (%s)", lab.MS(last), lab.MS(lab.Quantile(p50, 0.5))), fmt.Sprintf("%s (%s)", lab.MS(c.P99/1e3), lab.MS(c.P50/1e3)), ratio(last, c.P99/1e3)),
			info("the same: from SIGTERM to the exit", lab.MS(end), lab.MS(exit.Seconds()), ratio(end, exit.Seconds())))
	}
	return append(rows, missingRows(missing)...), nil
}

// pace writes lines for some seconds at a steady rate, and then asks the shipper to end. The sink compares the time in each line with its own.
func (d *dock) pace(s *shipper, rate, seconds int) (c ship.Counts, exit time.Duration, err error) {
	dir, err := os.MkdirTemp(d.dir, "pace-*")
	if err != nil {
		return c, 0, err
	}
	defer os.RemoveAll(dir)
	l := load{dir: dir, glob: "app.log", lines: rate * seconds}
	if err := d.ready(&l); err != nil {
		return c, 0, err
	}
	defer os.RemoveAll(l.work)
	if err := os.WriteFile(l.path(), nil, 0o644); err != nil { // some begin at the end of a file that they find later
		return c, 0, err
	}
	argv, err := s.argv(d, l)
	if err != nil {
		return c, 0, err
	}
	log, err := os.Create(filepath.Join(l.work, "log"))
	if err != nil {
		return c, 0, err
	}
	defer log.Close()
	cmd := exec.Command("taskset", append([]string{"-c", proxyCPU}, argv...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p, err := startDaemon(cmd, log)
	if err != nil {
		return c, 0, err
	}
	defer p.stop(10 * time.Second)
	time.Sleep(time.Second) // that it has started is not measured
	w := &ship.Writer{Dir: l.dir, Lines: l.lines, Rate: rate, Kind: ship.None}
	if err := w.Run(); err != nil {
		return c, 0, err
	}
	if c, err = d.arrived(l.lines, 15*time.Second); err != nil {
		return c, 0, err
	}
	time.Sleep(500 * time.Millisecond)
	exit, killed := p.stop(10 * time.Second)
	if code := p.cmd.ProcessState.ExitCode(); killed || s.ours && code != 0 {
		return c, time.Duration(math.MaxInt64), fmt.Errorf("exit %d, killed %v", code, killed)
	}
	return c, exit, nil
}
