package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/internal/procfs"
	"github.com/sidecar-kit/sidecar/roles/cron/job"
)

// TestMain makes the test binary the program that role jobs and the embedded
// shell are: it prints its words.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[0] == "sidecar") {
		fmt.Println(strings.Join(os.Args[1:], " "))
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// until waits for a condition that nothing announces.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("open files can not be counted here: %v", err)
	}
	return len(names)
}

func gone(pid int) func() bool {
	return func() bool { return errors.Is(procfs.Running(pid), procfs.ErrNotRunning) }
}

// line waits for a line of the log with this beginning and returns the rest.
func (r *runner) line(t *testing.T, prefix string) string {
	t.Helper()
	var rest string
	until(t, prefix, func() bool {
		for _, rec := range r.log.records(t) {
			if after, ok := strings.CutPrefix(rec.Message, prefix); ok {
				rest = after
				return true
			}
		}
		return false
	})
	return rest
}

func (r *runner) pid(t *testing.T, prefix string) int {
	t.Helper()
	pid, err := strconv.Atoi(r.line(t, prefix))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func TestStatuses(t *testing.T) {
	r := newRunner(t, Options{})
	tests := []struct {
		text   string
		code   int
		signal syscall.Signal
	}{
		{"true", 0, 0},
		{"exit 255", 255, 0},
		{"no-such-program-here", 127, 0},
		{"kill -9 $$", -1, syscall.SIGKILL},
		{"kill -TERM $$", -1, syscall.SIGTERM},
	}
	for _, tt := range tests {
		res := r.do(t, shell(tt.text))
		if res.Code != tt.code || res.Signal != tt.signal || res.Stopped || res.TimedOut || res.Err != nil {
			t.Errorf("%q = %+v; want code %d, signal %d", tt.text, res, tt.code, tt.signal)
		}
	}
}

func TestKindsOfProcess(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := newRunner(t, Options{Self: self, Tail: 1000})
	dir := t.TempDir()
	script := filepath.Join(dir, "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho script $1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		job  job.Job
		want string
	}{
		{"exec", job.Job{Kind: job.Exec, Argv: []string{"echo", "a  b", "$X"}}, "a  b $X\n"},
		{"exec of a script in PATH", job.Job{Kind: job.Exec, Argv: []string{"script", "x"}, Env: []string{"PATH=" + dir + ":" + os.Getenv("PATH")}}, "script x\n"},
		{"role", job.Job{Kind: job.Role, Argv: []string{"sync", "--repo=x"}}, "sync --once --admin= --repo=x\n"},
		{"role that says it all", job.Job{Kind: job.Role, Argv: []string{"sync", "--once", "--admin", ":1"}}, "sync --once --admin :1\n"},
		{"embedded shell", job.Job{Command: "echo x", Shell: Embedded}, "sh -c echo x\n"},
		{"another shell", job.Job{Command: "echo x", Shell: "echo"}, "-c echo x\n"},
		{"directory", job.Job{Command: "pwd", Dir: dir}, dir + "\n"},
		{"text for stdin", job.Job{Command: "cat", Stdin: "one\ntwo"}, "one\ntwo"},
		{"no stdin", job.Job{Command: "cat; echo end"}, "end\n"},
		{"environment", job.Job{Command: "echo $A $B $SIDECAR_CRON_RUN $EXTRA", Env: []string{"A=1", "B=2", "A=3"}}, "3 2 id task\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			done := make(chan Result, 1)
			if _, err := r.Start(Task{Job: &tt.job, ID: "id", Env: []string{"EXTRA=task"}}, func(res Result) { done <- res }); err != nil {
				t.Fatal(err)
			}
			if res := await(t, done); res.Code != 0 || string(res.Tail) != tt.want {
				t.Errorf("result = %+v, output %q; want %q", res, res.Tail, tt.want)
			}
		})
	}
}

func TestLongTextForStdin(t *testing.T) {
	r := newRunner(t, Options{Tail: 100})
	j := shell("wc -c")
	j.Stdin = strings.Repeat("x", 1<<20)
	if res := r.do(t, j); strings.TrimSpace(string(res.Tail)) != "1048576" {
		t.Errorf("output = %q; want the megabyte counted", res.Tail)
	}
}

func TestStartErrorsSayWhatIsWrong(t *testing.T) {
	before := openFiles(t)
	r := newRunner(t, Options{})
	dir := t.TempDir()
	plain, lost := filepath.Join(dir, "plain"), filepath.Join(dir, "lost")
	if err := errors.Join(os.WriteFile(plain, []byte("x"), 0o644), os.WriteFile(lost, []byte("#!/no/shell\n"), 0o755)); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		job  job.Job
		code int
		want string
	}{
		{job.Job{Kind: job.Exec, Argv: []string{"no-such"}}, 127, "no-such: not found in PATH"},
		{job.Job{Kind: job.Exec, Argv: []string{"/no/such"}}, 127, "start /no/such: no such file"},
		{job.Job{Kind: job.Exec, Argv: []string{plain}}, 126, "permission denied"},
		{job.Job{Kind: job.Exec, Argv: []string{"plain"}, Env: []string{"PATH=" + dir}}, 126, "permission denied"},
		{job.Job{Kind: job.Exec, Argv: []string{lost}}, 127, "its interpreter"},
		{job.Job{Kind: job.Exec}, 125, "exec: [/bin/program"},
		{job.Job{Kind: job.Role, Argv: []string{"sync"}}, 125, "role: [sync"},
		{job.Job{Command: "true", Dir: dir + "/none"}, 125, "dir=" + dir + "/none: no such file"},
		{job.Job{Command: "true", Dir: plain}, 125, "dir=" + plain + ": not a directory"},
		{job.Job{Command: "true", Shell: "/no/shell"}, 127, "start /no/shell"},
		{job.Job{Command: strings.Repeat("x", maxWord)}, 126, "put it into a script"},
	}
	for _, tt := range tests {
		_, err := r.Start(Task{Job: &tt.job}, func(Result) { t.Error("done was called") })
		var start *StartError
		if !errors.As(err, &start) || start.Code != tt.code || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Start(%+v) = %v; want code %d and %q", tt.job, err, tt.code, tt.want)
		}
	}
	if err := r.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d files open, %d before", after, before)
	}
}

func TestTimeoutEndsTheWholeTree(t *testing.T) {
	r := newRunner(t, Options{})
	j := shell(`sleep 300 & echo group $!
setsid sh -c 'echo session $$; sleep 301 & wait' &
setsid sh -c 'trap "" TERM; echo deaf $$; while :; do sleep 1; done' &
env -i setsid sh -c 'echo stranger $$; exec /bin/sleep 302' &
wait`)
	j.Policy.KillAfter = 100 * time.Millisecond
	x, done := r.start(t, j)
	var pids []int
	for _, name := range []string{"group ", "session ", "deaf ", "stranger "} {
		pids = append(pids, r.pid(t, name))
	}
	x.expire()
	res := await(t, done)
	if !res.TimedOut || res.Stopped || res.Signal != syscall.SIGTERM {
		t.Errorf("result = %+v; want timed out by TERM", res)
	}
	for _, pid := range pids {
		if !gone(pid)() {
			t.Errorf("process %d of the run lives on after its end", pid)
		}
	}
}

func TestTimeoutOfTheJob(t *testing.T) {
	r := newRunner(t, Options{})
	j := shell("trap '' TERM; echo deaf; while :; do sleep 1; done")
	j.Policy.Timeout, j.Policy.KillAfter = 50*time.Millisecond, 50*time.Millisecond
	if res := r.do(t, j); !res.TimedOut || res.Code != -1 {
		t.Errorf("result = %+v; want timed out", res)
	}
	j = shell("exit 4")
	j.Policy.Timeout = time.Hour
	if res := r.do(t, j); res.TimedOut || res.Code != 4 {
		t.Errorf("result = %+v; want code 4 in time", res)
	}
}

func TestStopLetsAJobTidyUp(t *testing.T) {
	r := newRunner(t, Options{})
	x, done := r.start(t, shell("trap 'echo tidy; exit 7' TERM; echo ready; while :; do sleep 0.01; done"))
	r.line(t, "ready")
	x.Stop(patience)
	if res := await(t, done); !res.Stopped || res.Code != 7 {
		t.Errorf("result = %+v; want stopped with code 7", res)
	}
	r.line(t, "tidy")
	x.Stop(0) // of an ended run: nothing happens
}

// TestStopWaitsForChildrenThatTidyUp: the shell dies of TERM at once, its child
// needs a moment.
func TestStopWaitsForChildrenThatTidyUp(t *testing.T) {
	r := newRunner(t, Options{})
	x, done := r.start(t, shell(`sh -c 'trap "sleep 0.2; echo tidy; exit" TERM; echo ready; while :; do sleep 0.01; done' & wait`))
	r.line(t, "ready")
	x.Stop(patience)
	await(t, done)
	if got := r.log.messages(t); !strings.HasSuffix(got, "|tidy") {
		t.Errorf("log at the end = %q; want tidy as the last word", got)
	}
}

func TestStopRightAfterStart(t *testing.T) {
	r := newRunner(t, Options{})
	for i := range 50 {
		x, done := r.start(t, shell("sleep 300"))
		x.Stop(time.Duration(i%2) * time.Hour)
		if res := await(t, done); !res.Stopped || res.Signal == 0 {
			t.Fatalf("result = %+v; want stopped by a signal", res)
		}
	}
}

func TestBackgroundChildDoesNotHoldTheRun(t *testing.T) {
	before := openFiles(t)
	r := newRunner(t, Options{})
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	res := r.do(t, shell("(read x < "+fifo+"; echo late $x) & echo early; exit 2"))
	if res.Code != 2 || res.Lines != 1 || res.Took >= lateGrace+patience/2 {
		t.Errorf("result = %+v; want code 2 after one line", res)
	}
	if err := os.WriteFile(fifo, []byte("word\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.line(t, "late word")
	for _, rec := range r.log.records(t) {
		if rec.Late != strings.HasPrefix(rec.Message, "late") {
			t.Errorf("record %+v; want late only for what came late", rec)
		}
	}
	until(t, "the pipes are closed", func() bool { return openFiles(t) <= before+3 })
}

func TestLatePipesAreBounded(t *testing.T) {
	r := newRunner(t, Options{})
	j := shell("sleep 300 & echo $!; exit 0")
	var mu sync.Mutex
	var results int
	for range maxLate/2 + 3 { // two pipes each
		if _, err := r.Start(Task{Job: j}, func(Result) { mu.Lock(); results++; mu.Unlock() }); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "all ended", func() bool { mu.Lock(); defer mu.Unlock(); return results == maxLate/2+3 })
	r.Runner.out.Lock()
	if n := len(r.late); n > maxLate {
		t.Errorf("%d pipes of ended runs are open; want at most %d", n, maxLate)
	}
	r.Runner.out.Unlock()
	if !strings.Contains(r.log.String(), "closing the oldest") {
		t.Error("nothing was said about closed pipes")
	}
	for _, rec := range r.log.records(t) {
		if pid, err := strconv.Atoi(rec.Message); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

func TestManyAtOnceLeakNothing(t *testing.T) {
	before := openFiles(t)
	r := newRunner(t, Options{Tail: 10})
	results := make(chan Result, 200)
	for i := range 200 {
		j := shell(fmt.Sprintf("echo %d; echo oops >&2; exit %d", i, i%7))
		j.Name = strconv.Itoa(i)
		if _, err := r.Start(Task{Job: j, ID: strconv.Itoa(i)}, func(res Result) {
			if res.Code != i%7 || res.Lines != 2 {
				t.Errorf("run %d = %+v; want code %d and two lines", i, res, i%7)
			}
			results <- res
		}); err != nil {
			t.Fatal(err)
		}
	}
	for range 200 {
		await(t, results)
	}
	if got := len(r.log.records(t)); got != 400 {
		t.Errorf("%d lines in the log; want 400", got)
	}
	checkEngine(t, &r.engine)
	if err := r.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if after := openFiles(t); after > before {
		t.Errorf("%d files open, %d before", after, before)
	}
	if zombies, err := procfs.Zombies(os.Getpid()); err != nil || len(zombies) > 0 {
		t.Errorf("zombies %v, %v; want none", zombies, err)
	}
}

func TestCloseKillsWhatDoesNotEnd(t *testing.T) {
	r := newRunner(t, Options{})
	_, done := r.start(t, shell("trap '' TERM; echo deaf; while :; do sleep 1; done"))
	r.line(t, "deaf")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Close(ctx); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("Close() = %v; want that it killed", err)
	}
	if res := await(t, done); !res.Stopped || res.Signal != syscall.SIGKILL {
		t.Errorf("result = %+v; want killed", res)
	}
	if _, err := r.Start(Task{Job: shell("true")}, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("Start after Close = %v; want ErrClosed", err)
	}
}

func TestSlowLogHoldsTheJobBack(t *testing.T) {
	r := newRunner(t, Options{})
	r.log.mu.Lock() // nobody reads the log
	_, done := r.start(t, shell("i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done"))
	select {
	case <-done:
		t.Error("the job ended while its output was not read")
	case <-time.After(50 * time.Millisecond):
	}
	r.log.mu.Unlock()
	if res := await(t, done); res.Lines != 20000 || res.Dropped != 0 {
		t.Errorf("result = %+v; want 20000 lines", res)
	}
	if n := bytes.Count([]byte(r.log.String()), []byte("\n")); n != 20000 {
		t.Errorf("%d lines in the log; want 20000", n)
	}
}

func TestUserOfAJob(t *testing.T) {
	r := newRunner(t, Options{Tail: 1000})
	j := shell("id -u; id -g; echo $HOME $USER $LOGNAME")
	j.User = "65532:65533"
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
	if res := r.do(t, j); string(res.Tail) != "65532\n65533\n/ 65532 65532\n" {
		t.Errorf("output = %q; want the ids and a home", res.Tail)
	}
	j.User = "no-such-user"
	if _, err := r.Start(Task{Job: j}, nil); err == nil || !strings.Contains(err.Error(), "user=1000") {
		t.Errorf("Start as no-such-user = %v; want an error with a remedy", err)
	}
	j.User = "root"
	if res := r.do(t, j); !strings.HasPrefix(string(res.Tail), "0\n0\n/") || !strings.HasSuffix(string(res.Tail), " root root\n") {
		t.Errorf("output = %q; want root", res.Tail)
	}
}
