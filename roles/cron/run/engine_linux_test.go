package run

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"github.com/sidecar-kit/sidecar/internal/proc"
	"github.com/sidecar-kit/sidecar/internal/procfs"
)

// checkEngine finds places that ended runs did not give back.
func checkEngine(t *testing.T, e *engine) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	if n := len(e.slots) - len(e.free); n != 0 {
		t.Errorf("%d places of the engine are taken; want none", n)
	}
}

// TestWithoutPidfds is an old kernel: ends are awaited by waitid.
func TestWithoutPidfds(t *testing.T) {
	r := newRunner(t, Options{})
	r.engine.pidfds = false
	for i := range 10 {
		if res := r.do(t, shell("echo x; exit 3")); res.Code != 3 || res.Lines != 1 {
			t.Fatalf("run %d = %+v; want code 3 and a line", i, res)
		}
	}
	checkEngine(t, &r.engine)
}

// TestReaperLeavesStatuses is life as PID 1: orphans are buried by proc while
// the statuses of jobs are ours.
func TestReaperLeavesStatuses(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Skipf("cannot adopt orphans here: %v", err)
	}
	defer func() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) }()
	wake := make(chan os.Signal, 1)
	signal.Notify(wake, syscall.SIGCHLD)
	defer signal.Stop(wake)
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		proc.Reap(ctx, wake)
	}()
	r := newRunner(t, Options{})
	results := make(chan Result, 100)
	for i := range 100 {
		j := shell("sh -c 'true & exit 0' & wait; exit " + strconv.Itoa(i))
		if _, err := r.Start(Task{Job: j}, func(res Result) {
			if res.Code != i || res.Err != nil {
				t.Errorf("run %d = %+v; want its own status", i, res)
			}
			results <- res
		}); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		await(t, results)
	}
	until(t, "orphans are buried", func() bool {
		zombies, err := procfs.Zombies(os.Getpid())
		return err == nil && len(zombies) == 0
	})
	cancel()
	<-stopped
}

// TestNoNewPrivileges needs a process of its own: it can not be taken back.
func TestNoNewPrivileges(t *testing.T) {
	if os.Getenv("RUN_TEST_PRIVILEGES") == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestNoNewPrivileges$", "-test.v")
		cmd.Env = append(os.Environ(), "RUN_TEST_PRIVILEGES=1")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if strings.Contains(string(out), "--- SKIP") {
			t.Skip("a program built with cgo can not set it for all threads")
		}
		return
	}
	if r, err := New(Options{Log: zerolog.Nop(), NoNewPrivs: true}); errors.Is(err, syscall.ENOTSUP) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	} else {
		_ = r.Close(t.Context())
	}
	r := newRunner(t, Options{NoNewPrivs: true, Tail: 100})
	if res := r.do(t, shell("grep NoNewPrivs: /proc/self/status")); strings.Fields(string(res.Tail) + " x")[1] != "1" {
		t.Errorf("a job has %q; want 1", res.Tail)
	}
}
