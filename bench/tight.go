package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sidecar-kit/sidecar/bench/lab"
)

// tight copies inside of a memory limit that cp dies of, or suffers from, and counts who is killed.
func (b *bench) tight() ([]row, error) {
	runs, size, files := b.tights, int64(bigBytes), copyFiles
	if b.quick {
		runs, size, files = 2, size/16, files/20
	}
	dir := filepath.Join(b.dir, "tight")
	big, small := filepath.Join(dir, "big"), filepath.Join(dir, "small")
	if err := plantTree(small, files, int64(copyBytes)*int64(files)/copyFiles); err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := plantFile(big, size); err != nil {
		return nil, err
	}
	cp := treePeers()[0]
	var rows []row
	for _, c := range []struct {
		what       string
		runs       int
		ours, peer func(to string) []string
	}{
		{fmt.Sprintf("%d MB file", size>>20), runs, func(to string) []string { return b.initcopy().args(big, to) }, func(to string) []string { return cp.args(big, to) }},
		{fmt.Sprintf("%d small files", files), max(1, runs/10), func(to string) []string { return b.initcopy().tree(small, to) }, func(to string) []string { return cp.args(small, to) }},
	} {
		ours, err := b.limited(dir, c.runs, c.ours)
		if err != nil {
			return nil, err
		}
		peer, err := b.limited(dir, max(1, c.runs/10), c.peer)
		if err != nil {
			return nil, err
		}
		what := c.what + " in a memory limit of 16 MiB: "
		rows = append(rows,
			row{what: what + "killed for memory", ours: ours.killed(), peer: peer.killed(), ratio: "-", value: float64(ours.kills), floor: 0, target: 0, bounds: "0 / 0"},
			info(what+"failed charges, median", ours.median("failed", whole), peer.median("failed", whole), "-"),
			info(what+"wall, median", ours.median("wall", lab.MS), peer.median("wall", lab.MS), "-"),
			info(what+"peak RSS, median", ours.median("rss", lab.MB), peer.median("rss", lab.MB), "-"))
	}
	return rows, nil
}

// tightRuns are the runs of one program.
type tightRuns struct {
	runs, kills int
	samples     []lab.Sample // of those that lived
}

func (t tightRuns) killed() string { return fmt.Sprintf("%d in %d", t.kills, t.runs) }

func (t tightRuns) median(figure string, format func(float64) string) string {
	if len(t.samples) == 0 {
		return "-"
	}
	var values []float64
	for _, s := range t.samples {
		values = append(values, s[figure])
	}
	return format(lab.Quantile(values, 0.5))
}

func whole(n float64) string { return strconv.Itoa(int(n)) }

// limited runs a program n times, each in a new memory group (version 1 or 2) of 16 MiB. It needs root.
func (b *bench) limited(dir string, n int, args func(to string) []string) (tightRuns, error) {
	var t tightRuns
	for i := range n {
		group, err := newGroup(16 << 20)
		if err != nil {
			return t, err
		}
		to := filepath.Join(dir, "to", "copy")
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return t, err
		}
		enter := append([]string{"sh", "-c", `echo $$ > "$0/cgroup.procs" && exec "$@"`, group}, args(to)...)
		u, err := lab.Measure(b.dir, enter...)
		kills, failed := group1or2(group)
		if err != nil && kills == 0 {
			return t, fmt.Errorf("run %d: %w", i, err)
		}
		t.runs++
		if kills > 0 {
			t.kills++
		} else {
			s := u.Sample()
			s["failed"] = failed
			t.samples = append(t.samples, s)
		}
		if err := os.RemoveAll(filepath.Dir(to)); err != nil {
			return t, err
		}
		_ = os.Remove(group)
	}
	return t, nil
}

func newGroup(limit int64) (string, error) {
	for _, v := range []struct{ base, file string }{{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"}, {"/sys/fs/cgroup", "memory.max"}} {
		if _, err := os.Stat(filepath.Join(v.base, "cgroup.procs")); err != nil {
			continue
		}
		group, err := os.MkdirTemp(v.base, "bench-")
		if err != nil {
			return "", err
		}
		return group, os.WriteFile(filepath.Join(group, v.file), []byte(strconv.FormatInt(limit, 10)), 0o644)
	}
	return "", fmt.Errorf("no memory groups below /sys/fs/cgroup: %w", os.ErrNotExist)
}

// group1or2 reads how many processes of a group were killed, and how often memory was refused at first.
func group1or2(group string) (kills, failed float64) {
	for _, name := range []string{"memory.oom_control", "memory.events", "memory.failcnt"} {
		text, err := os.ReadFile(filepath.Join(group, name))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			key, value, ok := strings.Cut(strings.TrimSpace(line), " ")
			if !ok {
				key, value = "failcnt", key
			}
			n, _ := strconv.ParseFloat(value, 64)
			switch key {
			case "oom_kill":
				kills = n
			case "failcnt", "max":
				failed = n
			}
		}
	}
	return kills, failed
}
