package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/e2e/engine"
)

// record is a line of the log.
type record struct {
	Message string `json:"message"`
	Job     string `json:"job"`
	Run     string `json:"run"`
	Stream  string `json:"stream"`
	Code    int    `json:"code"`
}

func records(t *testing.T, text string) (list []record) {
	t.Helper()
	for line := range strings.Lines(text) {
		var r record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		list = append(list, r)
	}
	return list
}

// crond is one container of the scratch image, as restricted as a pod's.
type crond struct {
	t    *testing.T
	e    engine.Engine
	name string
}

// runCron starts one with a spool that holds the crontab of root. Options of the engine come before "--", if there is one.
func runCron(t *testing.T, e engine.Engine, crontab string, args ...string) crond {
	t.Helper()
	c := crond{t, e, podName("cron")}
	spool := t.TempDir()
	if err := os.WriteFile(filepath.Join(spool, "root"), []byte(crontab), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(spool, 0o755); err != nil {
		t.Fatal(err)
	}
	run := []string{"run", "-d", "--name", c.name, "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
		"--user", "65532:65532", "-v", spool + ":/var/spool/cron/crontabs:ro"}
	for i, arg := range args {
		if arg == "--" {
			run, args = append(run, args[:i]...), args[i+1:]
			break
		}
	}
	if _, err := e.Do(t.Context(), append(append(run, image, "cron"), args...)...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s:\n%s", c.name, e.Logs(c.name))
		}
		if _, err := e.Do(context.Background(), "rm", "-f", "-v", c.name); err != nil {
			t.Error(err)
		}
	})
	return c
}

func (c crond) records() []record { return records(c.t, c.e.AllLogs(c.name)) }

// logged waits for a record of a job.
func (c crond) logged(limit time.Duration, job, message string) time.Duration {
	c.t.Helper()
	return eventually(c.t, limit, fmt.Sprintf("%s: %q", job, message), func() error {
		for _, r := range c.records() {
			if r.Job == job && r.Message == message {
				return nil
			}
		}
		return fmt.Errorf("%d records, none of them is it", len(c.records()))
	})
}

// term ends it as the kubelet does and returns the exit code and how long that took.
func (c crond) term() (code string, took time.Duration) {
	c.t.Helper()
	begin := time.Now()
	if _, err := c.e.Do(c.t.Context(), "kill", "--signal", "TERM", c.name); err != nil {
		c.t.Fatal(err)
	}
	code, err := c.e.Do(c.t.Context(), "wait", c.name)
	if err != nil {
		c.t.Fatal(err)
	}
	text, err := c.e.Do(c.t.Context(), "inspect", "-f", "{{.State.FinishedAt}}", c.name)
	if err != nil {
		c.t.Fatal(err)
	}
	end, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		c.t.Fatal(err)
	}
	return code, end.Sub(begin)
}

// TestCronRunsTheArticlesCrontab is the promise of the pattern, in real minutes: the crontab of the article beside a line
// for every minute, in the scratch image, as 65532, with a read-only root, no capabilities, and no shell in the image.
func TestCronRunsTheArticlesCrontab(t *testing.T) {
	t.Parallel()
	e := containers(t)
	c := runCron(t, e, "10,40 0-18 * * * echo \"hoge\"\n#: name=each-minute\n* * * * * echo \"hoge\"\n")
	took := c.logged(100*time.Second, "each-minute", "job succeeded")
	t.Logf("the next minute came after %s", took.Round(time.Second))
	lines := 0
	for _, r := range c.records() {
		if r.Message == "hoge" && r.Stream == "stdout" && r.Run != "" {
			lines++
		}
	}
	if lines == 0 {
		t.Error("no line of output in the log")
	}
	if _, err := e.Do(t.Context(), "exec", c.name, "/bin/sh", "-c", "true"); err == nil {
		t.Error("the image has a shell: this proves nothing")
	}
	if code, took := c.term(); code != "0" {
		t.Errorf("exit code %s after %s; want 0", code, took)
	}
}

// TestCronBuriesOrphansAsProcess1: what jobs leave behind does not stay as zombies, and their statuses are not mixed up.
func TestCronBuriesOrphansAsProcess1(t *testing.T) {
	t.Parallel()
	e := containers(t)
	helper := filepath.Join(t.TempDir(), "cronhelper")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", helper, "./cronhelper")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, b)
	}
	var crontab strings.Builder
	for code := range 8 {
		fmt.Fprintf(&crontab, "#: name=exit-%d overlap=allow\n* * * * * * exec /cronhelper 3 %d\n", code, code)
	}
	c := runCron(t, e, crontab.String(), "-v", filepath.Dir(helper)+"/cronhelper:/cronhelper:ro", "--", "--seconds")
	least := func() error {
		ended := 0
		for _, r := range c.records() {
			if r.Message == "job succeeded" || r.Message == "job failed" {
				ended++
			}
		}
		if ended < 40 {
			return fmt.Errorf("%d runs have ended; want 40", ended)
		}
		return nil
	}
	eventually(t, time.Minute, "forty runs, with three orphans each", least)
	most := 0
	eventually(t, 30*time.Second, "a moment without a zombie", func() error {
		text, err := e.Do(t.Context(), "top", c.name, "-eo", "pid,stat,args")
		if err != nil {
			return err
		}
		zombies := 0
		for line := range strings.Lines(text) {
			if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(f[1], "Z") {
				zombies++
			}
		}
		if most = max(most, zombies); zombies > 0 {
			return fmt.Errorf("%d zombies in\n%s", zombies, text)
		}
		return nil
	})
	if code, _ := c.term(); code != "0" {
		t.Errorf("exit code %s; want 0", code)
	}
	for _, r := range c.records() {
		want, message := strings.TrimPrefix(r.Job, "exit-"), "job failed"
		if want == "0" {
			message = "job succeeded"
		}
		if strings.HasPrefix(r.Message, "job ") && (strconv.Itoa(r.Code) != want || r.Message != message) {
			t.Errorf("%s: %q with code %d", r.Job, r.Message, r.Code)
		}
	}
	t.Logf("at most %d zombies at once", most)
}

// TestCronStopsAsProcess1: SIGTERM works as process 1, which has no default for it.
func TestCronStopsAsProcess1(t *testing.T) {
	t.Parallel()
	e := containers(t)
	for _, test := range []struct {
		name, crontab, waitFor, last string
		args                         []string
		limit                        time.Duration // generous: the figure is in docs/benchmarks.md
	}{
		{"idle", "#: name=yearly\n0 0 1 1 * echo hoge\n", "", "", nil, 5 * time.Second},
		{"running", "#: name=short\n* * * * * * echo begun; sleep 2; echo finished\n", "begun", "finished", []string{"--seconds"}, 20 * time.Second},
		{"stubborn", "#: name=deaf\n* * * * * * trap '' TERM; echo begun; while :; do sleep 1; done\n", "begun", "job was stopped", []string{"--seconds", "--drain-timeout", "3s"}, 20 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := runCron(t, e, test.crontab, test.args...)
			c.logged(time.Minute, "", "table is loaded")
			job := strings.TrimPrefix(strings.Fields(test.crontab)[1], "name=")
			if test.waitFor != "" {
				c.logged(time.Minute, job, test.waitFor)
			}
			code, took := c.term()
			t.Logf("SIGTERM to exit: %s", took.Round(time.Millisecond))
			if code != "0" || took > test.limit {
				t.Errorf("exit code %s after %s; want 0 within %s", code, took, test.limit)
			}
			if test.last != "" {
				c.logged(0, job, test.last)
			}
		})
	}
}

// TestCronFitsIntoLittleMemory: 200 jobs are due in each second, and a cap on what runs keeps them in 32 MiB.
func TestCronFitsIntoLittleMemory(t *testing.T) {
	t.Parallel()
	e := containers(t)
	var crontab bytes.Buffer
	for n := range 200 {
		fmt.Fprintf(&crontab, "#: name=job-%d\n* * * * * * echo %d\n", n, n)
	}
	c := runCron(t, e, crontab.String(), "--memory", "32m", "--memory-swap", "32m", "--", "--seconds", "--max-running", "2")
	eventually(t, 2*time.Minute, "600 runs", func() error {
		ended := 0
		for _, r := range c.records() {
			if r.Message == "job failed" {
				t.Fatalf("%+v", r)
			}
			if r.Message == "job succeeded" {
				ended++
			}
		}
		if ended < 600 {
			return fmt.Errorf("%d runs", ended)
		}
		return nil
	})
	state, err := e.Do(t.Context(), "inspect", "-f", "{{.State.OOMKilled}} {{.RestartCount}} {{.State.Running}}", c.name)
	if err != nil || state != "false 0 true" {
		t.Errorf("state %q, %v; want it running, and never out of memory", state, err)
	}
	if code, _ := c.term(); code != "0" {
		t.Errorf("exit code %s; want 0", code)
	}
}
