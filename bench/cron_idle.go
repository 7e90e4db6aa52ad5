package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/bench/lab"
)

// cronIdle asks what a large table costs while nothing is due.
func (b *bench) cronIdle() ([]row, error) {
	peers, missing, err := b.peerCronds()
	if err != nil {
		return nil, err
	}
	settle, rest := 5*time.Second, 10*time.Second
	if b.quick {
		settle, rest = 2*time.Second, 2*time.Second
	}
	ours, err := b.idleFigures(b.ourCrond(), settle, rest)
	if err != nil {
		return nil, err
	}
	rows := []row{
		judged(fmt.Sprintf("RSS with %d jobs, none due", crowd), lab.MB(ours["rss"]), "-", "-", ours["rss"], 40e6, 25e6, "40 / 25 MB"),
		judged("memory per job: RSS beside that with one job", kilobytes(ours["per job"]), "-", "-", ours["per job"], 1024, 1024, "1 KB"),
	}
	for _, p := range peers {
		theirs, err := b.idleFigures(p, settle, rest)
		if err != nil {
			return nil, err
		}
		add := func(what, figure string, show func(float64) string) {
			rows = append(rows, info(what+", beside "+p.name, show(ours[figure]), show(theirs[figure]), ratio(ours[figure], theirs[figure])))
		}
		add("RSS", "rss", lab.MB)
		add("peak RSS, while it loads", "peak", lab.MB)
		add("RSS with one job", "alone", lab.MB)
		add("memory per job", "per job", kilobytes)
		add(fmt.Sprintf("CPU in %s of rest", rest), "cpu", lab.MS)
		add(fmt.Sprintf("wake-ups in %s of rest", rest), "switches", whole)
	}
	return append(rows, missingRows(missing)...), nil
}

// idleFigures is one long look; memory does not scatter.
func (b *bench) idleFigures(c crond, settle, rest time.Duration) (lab.Sample, error) {
	now := time.Now().UTC()
	alone, err := b.restOf(c, idleTable(1, now), settle, 0)
	if err != nil {
		return nil, err
	}
	s, err := b.restOf(c, idleTable(crowd, now), settle, rest)
	if err != nil {
		return nil, err
	}
	s["alone"] = alone["rss"]
	s["per job"] = (s["rss"] - alone["rss"]) / (crowd - 1)
	return s, nil
}

func (b *bench) restOf(c crond, table string, settle, rest time.Duration) (lab.Sample, error) {
	spool, err := b.spool("idle-table", table)
	if err != nil {
		return nil, err
	}
	d, err := startCrond(c, spool, nil, "TZ=UTC")
	if err != nil {
		return nil, err
	}
	defer d.stop(2 * time.Second)
	time.Sleep(settle)
	before, err := look(d.pid())
	if err != nil {
		return nil, fmt.Errorf("%s is gone: %w", c.name, err)
	}
	time.Sleep(rest)
	after, err := look(d.pid())
	if err != nil {
		return nil, err
	}
	return lab.Sample{
		"rss": before.rss, "peak": after.peak,
		"cpu": (after.cpu - before.cpu).Seconds(), "switches": after.switches - before.switches,
	}, nil
}

// idleTable has jobs at all times of the day but for the next and the last hours.
func idleTable(jobs int, now time.Time) string {
	var t strings.Builder
	for i := range jobs {
		hour := (now.Hour() + 3 + i%18) % 24
		fmt.Fprintf(&t, "%d %d %s /app/bin/task --number=%d --queue=default\n", i%60, hour, []string{"* * *", "* * 1-5", "1 * *", "*/2 * *"}[i%4], i)
	}
	return t.String()
}

func kilobytes(bytes float64) string { return fmt.Sprintf("%.2f KB", bytes/1024) }
