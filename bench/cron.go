package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sidecar-kit/sidecar/bench/lab"
)

// supercronic is the version that cron is compared with. It is no requirement of this
// module: its own ones would move ours.
const supercronic = "github.com/aptible/supercronic@v0.2.48"

func (b *bench) cronCases() []benchCase {
	return []benchCase{
		{"cron-due", b.cronDue},
		{"cron-idle", b.cronIdle},
		{"cron-jobs", b.cronJobs},
		{"cron-crowd", b.cronCrowd},
		{"cron-stop", b.cronStop},
		{"cron-night", b.cronNight},
	}
}

// crond is a program that starts jobs.
type crond struct {
	name  string
	years bool                        // reads seconds and years
	argv  func(spool string) []string // spool holds one crontab, named root
}

func (b *bench) ourCrond() crond {
	return crond{"sidecar", true, func(spool string) []string {
		return []string{b.sidecar, "cron", "--admin", "127.0.0.1:0", "--crontab", filepath.Join(spool, "root")}
	}}
}

// peerCronds are those there are on this machine; missing says what is not.
func (b *bench) peerCronds() (peers []crond, missing []string, err error) {
	sc, err := b.supercronic()
	if err != nil {
		return nil, nil, err
	}
	bb, err := b.busyboxCrond()
	if err != nil {
		return []crond{sc}, []string{err.Error()}, nil
	}
	return []crond{sc, bb}, nil, nil
}

// supercronic builds the peer once per run of the benchmark.
func (b *bench) supercronic() (crond, error) {
	path := filepath.Join(b.bin, "supercronic")
	if _, err := os.Stat(path); err != nil {
		build := exec.Command("go", "install", supercronic)
		build.Dir = b.dir
		build.Env = append(os.Environ(), "GOBIN="+b.bin, "CGO_ENABLED=0", "GOFLAGS=")
		if out, err := build.CombinedOutput(); err != nil {
			return crond{}, fmt.Errorf("build the peer %s: %w: %s", supercronic, err, out)
		}
	}
	return crond{"supercronic", true, func(spool string) []string { return []string{path, filepath.Join(spool, "root")} }}, nil
}

func (b *bench) busyboxCrond() (crond, error) {
	path, err := exec.LookPath(b.busybox)
	if err != nil {
		return crond{}, fmt.Errorf("busybox crond: %w", err)
	}
	if out, err := exec.Command(path, "--list").Output(); err != nil || !strings.Contains("\n"+string(out), "\ncrond\n") {
		return crond{}, fmt.Errorf("busybox crond: %s has no crond; that of Debian's busybox-static has: -busybox PATH", path)
	}
	if os.Geteuid() != 0 {
		return crond{}, errors.New("busybox crond: runs as root only")
	}
	return crond{"busybox crond", false, func(spool string) []string {
		return []string{path, "crond", "-f", "-L", "/dev/stderr", "-c", spool}
	}}, nil
}

// spool makes a folder with one crontab.
func (b *bench) spool(name, table string) (string, error) {
	dir := filepath.Join(b.dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, "root"), []byte(table), 0o600)
}

// daemon is a crond that runs.
type daemon struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed
}

// startCrond starts one with a small, equal environment; log gets both of its outputs.
func startCrond(c crond, spool string, log io.Writer, env ...string) (*daemon, error) {
	argv := c.argv(spool)
	return startDaemon(exec.Command(argv[0], argv[1:]...), log, env...)
}

func startDaemon(cmd *exec.Cmd, log io.Writer, env ...string) (*daemon, error) {
	d := &daemon{cmd: cmd, ended: make(chan struct{})}
	d.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "SHELL=/bin/sh", "HOME=/"}, env...)
	d.cmd.Stdout, d.cmd.Stderr = log, log
	d.cmd.WaitDelay = 5 * time.Second // background children may keep a pipe
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { _ = d.cmd.Wait(); close(d.ended) }() // its code is read from its state
	return d, nil
}

func (d *daemon) pid() int { return d.cmd.Process.Pid }

// stop asks it to end, kills it when it does not in time, and says how long that took.
func (d *daemon) stop(patience time.Duration) (took time.Duration, killed bool) {
	begin := time.Now()
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.ended:
		return time.Since(begin), false
	case <-time.After(patience):
	}
	_ = d.cmd.Process.Kill()
	<-d.ended
	return time.Since(begin), true
}

// cpu is what it and the children it waited for used; only after stop.
func (d *daemon) cpu() time.Duration {
	return d.cmd.ProcessState.UserTime() + d.cmd.ProcessState.SystemTime()
}

// vitals are the figures of a process that runs, without its children.
type vitals struct {
	rss, peak float64       // bytes
	cpu       time.Duration // of living threads, to the nanosecond
	switches  float64       // times a thread went to sleep, which is how often one woke
}

func look(pid int) (v vitals, err error) {
	root := "/proc/" + strconv.Itoa(pid)
	if v.rss, err = statusField(root, "VmRSS:"); err != nil {
		return v, err
	}
	if v.peak, err = statusField(root, "VmHWM:"); err != nil {
		return v, err
	}
	v.rss, v.peak = v.rss*1024, v.peak*1024
	threads, err := filepath.Glob(root + "/task/*")
	for _, t := range threads {
		n, serr := statusField(t, "voluntary_ctxt_switches:")
		b, rerr := os.ReadFile(t + "/schedstat")
		if serr != nil || rerr != nil {
			continue // a thread that ended meanwhile
		}
		v.switches += n
		ns, _, _ := bytes.Cut(b, []byte(" "))
		if d, err := strconv.ParseInt(string(ns), 10, 64); err == nil {
			v.cpu += time.Duration(d)
		}
	}
	return v, err
}

func statusField(root, name string) (float64, error) {
	b, err := os.ReadFile(root + "/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			return strconv.ParseFloat(strings.Fields(rest)[0], 64)
		}
	}
	return 0, fmt.Errorf("%s/status has no %s", root, name)
}

// children counts the living children of a process.
func children(pid int) int {
	lists, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children")
	n := 0
	for _, l := range lists {
		b, _ := os.ReadFile(l)
		n += len(bytes.Fields(b))
	}
	return n
}

// missingRows tell in the table what could not be compared.
func missingRows(missing []string) (rows []row) {
	for _, m := range missing {
		rows = append(rows, info("**not compared**: "+m, "-", "-", "-"))
	}
	return rows
}

// judged is a row whose value has bounds.
func judged(what, ours, peer, ratio string, value, floor, target float64, bounds string) row {
	return row{what: what, ours: ours, peer: peer, ratio: ratio, value: value, floor: floor, target: target, bounds: bounds}
}

// ratio prints a/b where there is a b.
func ratio(a, b float64) string {
	if b == 0 || math.IsNaN(b) {
		return "-"
	}
	return lab.Ratio(a / b)
}
