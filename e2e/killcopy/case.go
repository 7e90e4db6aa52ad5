package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

func errorsJoin(errs ...error) error { return errors.Join(errs...) }

// testCase is one thing to copy, in two versions.
type testCase struct {
	name    string
	dir     string
	volume  string // what others read
	visible string // the name they read
	command [2][]string
	want    [2]map[string]string // of each version, the digest of every visible file by its path
	span    time.Duration
	list    []string
	res     Result
}

// test kills n runs. Every run goes to the other version.
func (c *testCase) test(n int, rng *rand.Rand, stop <-chan os.Signal) (Result, error) {
	c.res = Result{Case: c.name, Phases: map[string]int{}}
	for v := range 2 { // undisturbed: it works at all, and how long it takes
		started := time.Now()
		if out, err := exec.Command(c.command[v][0], c.command[v][1:]...).CombinedOutput(); err != nil {
			return c.res, fmt.Errorf("%v: %w: %s", c.command[v], err, out)
		}
		c.span = time.Since(started)
		if err := c.whole(v); err != nil {
			return c.res, fmt.Errorf("undisturbed: %w", err)
		}
	}
	at := 1
	for range n {
		select {
		case <-stop:
			return c.res, nil
		default:
		}
		c.res.Kills++
		next := 1 - at
		// A little more than the span: what comes after the work is killed, too.
		if err := c.kill(next, time.Duration(rng.Int64N(int64(c.span)*5/4))); err != nil {
			return c.res, err
		}
		if c.whole(at) != nil {
			if err := c.whole(next); err != nil {
				c.torn("after the kill: %v", err)
			}
		}
		out, err := exec.Command(c.command[next][0], c.command[next][1:]...).CombinedOutput()
		if err == nil {
			err = c.whole(next)
		}
		if err != nil {
			c.res.Unhealed++
			c.first("the next run: %v: %s", err, out)
			// From here on there is no old content to compare with; start afresh.
			if err := errors.Join(os.RemoveAll(c.volume), os.Mkdir(c.volume, 0o755)); err != nil {
				return c.res, err
			}
			if out, err := exec.Command(c.command[next][0], c.command[next][1:]...).CombinedOutput(); err != nil {
				return c.res, fmt.Errorf("afresh: %w: %s", err, out)
			}
		}
		if left := c.leftovers(); len(left) > 0 {
			c.res.Leftovers++
			c.first("left behind: %v", left)
		}
		at = next
	}
	return c.res, nil
}

// kill starts a run and kills it after a while, watching what is visible.
func (c *testCase) kill(v int, after time.Duration) error {
	cmd := exec.Command(c.command[v][0], c.command[v][1:]...)
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		return err
	}
	stop, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		c.watch(stop)
	}()
	time.Sleep(after)
	_ = cmd.Process.Signal(syscall.SIGKILL)
	_ = cmd.Wait()
	close(stop)
	<-watched
	c.res.Phases[phase(cmd, log.String())]++
	return nil
}

var phaseLine = regexp.MustCompile(`"message":"(fetching|planning|staging|publishing|recording)"`)

// phase is the last one that the log tells of.
func phase(cmd *exec.Cmd, log string) string {
	if cmd.ProcessState.Exited() {
		return "6 finished"
	}
	all := phaseLine.FindAllStringSubmatch(log, -1)
	if len(all) == 0 {
		return "0 starting"
	}
	order := map[string]string{"planning": "1", "fetching": "2", "staging": "3", "publishing": "4", "recording": "5"}
	last := all[len(all)-1][1]
	return order[last] + " " + last
}

// watch looks at what is visible until it is told to stop.
func (c *testCase) watch(stop <-chan struct{}) {
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 2))
	for {
		select {
		case <-stop:
			return
		default:
		}
		c.res.Looks++
		if err := c.look(rng); err != nil {
			c.torn("while it ran: %v", err)
		}
	}
}

func (c *testCase) torn(format string, args ...any) {
	c.res.Torn++
	c.first(format, args...)
}

func (c *testCase) first(format string, args ...any) {
	if c.res.First == "" {
		c.res.First = fmt.Sprintf(format, args...)
	}
}

// leftovers are names in the volume that are neither content nor a manifest.
func (c *testCase) leftovers() (found []string) {
	_ = filepath.WalkDir(c.volume, func(path string, d fs.DirEntry, err error) error {
		base := filepath.Base(path)
		if err == nil && (strings.HasPrefix(base, ".initcopy-") || base == "META-INF" || strings.Contains(base, ".tmp-")) {
			found = append(found, path)
		}
		return nil
	})
	return found
}
