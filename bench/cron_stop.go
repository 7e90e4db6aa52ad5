package main

import (
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

// stopPatience is when a program that does not obey is killed.
const stopPatience = 2 * time.Second

// cronStop measures the end of an idle program that is the first process of its container.
func (b *bench) cronStop() ([]row, error) {
	if os.Geteuid() != 0 {
		return []row{info("**skipped**: a first process needs a PID namespace, which needs root", "-", "-", "-")}, nil
	}
	if _, err := exec.LookPath("unshare"); err != nil {
		return []row{info("**skipped**: there is no unshare on this machine", "-", "-", "-")}, nil
	}
	peers, missing, err := b.peerCronds()
	if err != nil {
		return nil, err
	}
	tries := 10
	if b.quick {
		tries = 2
	}
	ours, killed, err := b.stops(b.ourCrond(), tries)
	if err != nil {
		return nil, err
	}
	if killed > 0 {
		return nil, fmt.Errorf("sidecar did not obey SIGTERM %d times", killed)
	}
	most := lab.Quantile(ours, 1)
	what := fmt.Sprintf("SIGTERM to exit as PID 1, idle, %d times: ", tries)
	rows := []row{judged(what+"longest", lab.MS(most), "-", "-", most, 0.2, 0.1, "200 / 100 ms")}
	for _, p := range peers {
		theirs, killed, err := b.stops(p, 1+tries/3)
		if err != nil {
			return nil, err
		}
		mine, his := lab.Quantile(ours, 0.5), lab.Quantile(theirs, 0.5)
		told := lab.MS(his)
		if killed > 0 {
			told = fmt.Sprintf("ignored, cut off after %s", stopPatience)
		}
		rows = append(rows, info(what+"median, beside "+p.name, lab.MS(mine), told, ratio(mine, his)))
	}
	return append(rows, missingRows(missing)...), nil
}

// stops starts and stops one some times, as the first process of a namespace.
func (b *bench) stops(c crond, tries int) (took []float64, killed int, err error) {
	spool, err := b.spool("stop-table", "0 0 1 1 * true\n")
	if err != nil {
		return nil, 0, err
	}
	for range tries {
		cmd := exec.Command("unshare", append([]string{"--pid", "--fork", "--mount-proc", "--kill-child"}, c.argv(spool)...)...)
		d, err := startDaemon(cmd, nil, "TZ=UTC")
		if err != nil {
			return nil, 0, err
		}
		time.Sleep(time.Second) // idle: all that comes with a start is over
		first, err := onlyChild(d.pid())
		if err != nil {
			d.stop(0)
			return nil, 0, fmt.Errorf("%s is gone: %w", c.name, err)
		}
		begin := time.Now()
		_ = syscall.Kill(first, syscall.SIGTERM)
		select {
		case <-d.ended:
		case <-time.After(stopPatience):
			killed++
			_ = syscall.Kill(first, syscall.SIGKILL)
			<-d.ended
		}
		took = append(took, time.Since(begin).Seconds())
	}
	return took, killed, nil
}

func onlyChild(pid int) (int, error) {
	lists, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children")
	if err != nil || len(lists) == 0 {
		return 0, fmt.Errorf("process %d has ended", pid)
	}
	b, err := os.ReadFile(lists[0])
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}
