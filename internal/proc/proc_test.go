package proc

import (
	"bytes"
	"context"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func sh(t *testing.T, ctx context.Context, script string, c Cmd) *Process {
	t.Helper()
	c.Path, c.Args = "/bin/sh", []string{"-c", script}
	p, err := Start(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestWaitTellsHowItEnded(t *testing.T) {
	var out, errs bytes.Buffer
	st, err := sh(t, t.Context(), "echo $X; pwd; echo oops >&2; exit 3", Cmd{
		Env: []string{"X=y"}, Dir: "/", Stdout: &out, Stderr: &errs,
	}).Wait()
	if err == nil || st.Code != 3 || st.Signal != 0 || st.TimedOut {
		t.Errorf("Wait() = %+v, %v; want code 3 and an error", st, err)
	}
	if out.String() != "y\n/\n" || errs.String() != "oops\n" {
		t.Errorf("output = %q and %q; want y, / and oops", out.String(), errs.String())
	}
	if st, err := sh(t, t.Context(), "exit 0", Cmd{}).Wait(); err != nil || st.Code != 0 {
		t.Errorf("Wait() = %+v, %v; want success", st, err)
	}
	if st, err := sh(t, t.Context(), "kill -9 $$", Cmd{}).Wait(); err == nil || st.Signal != syscall.SIGKILL || st.Code != -1 {
		t.Errorf("Wait() = %+v, %v; want killed", st, err)
	}
}

func TestStartNamesTheProgram(t *testing.T) {
	_, err := Start(t.Context(), Cmd{Path: "/no/such/program"})
	if err == nil || !strings.Contains(err.Error(), "/no/such/program") {
		t.Errorf("Start = %v; want an error naming the program", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Start(ctx, Cmd{Path: "/bin/sh"}); err == nil {
		t.Error("Start after the context ended = nil; want an error")
	}
}

func TestWaitIsNotHeldByABackgroundChild(t *testing.T) {
	var out bytes.Buffer
	begin := time.Now()
	st, err := sh(t, t.Context(), "sleep 20 & echo $!; exit 0", Cmd{Stdout: &out}).Wait()
	if pid, convErr := strconv.Atoi(strings.TrimSpace(out.String())); convErr == nil {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	if err != nil || st.Code != 0 || time.Since(begin) > 5*time.Second {
		t.Errorf("Wait() = %+v, %v after %s; want success at once", st, err, time.Since(begin))
	}
}

// gone says whether a process ended; a zombie that waits for init did.
func gone(pid int) bool {
	for range 100 {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}

func TestTimeoutEndsTheWholeGroup(t *testing.T) {
	var out bytes.Buffer
	p := sh(t, t.Context(), "sleep 30 & echo $!; sleep 30; true", Cmd{Timeout: 100 * time.Millisecond, Stdout: &out})
	st, err := p.Wait()
	if err == nil || !st.TimedOut || !strings.Contains(err.Error(), "timed out after") {
		t.Errorf("Wait() = %+v, %v; want timed out", st, err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(out.String()))
	if err != nil || !gone(child) {
		t.Errorf("child %d (%v) of the program lives on", child, err)
	}
}

func TestStopKillsWhatIgnoresTerm(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p := sh(t, t.Context(), "trap '' TERM; echo ready; while :; do sleep 1; done", Cmd{Stdout: w})
	w.Close()
	if _, err := r.Read(make([]byte, 8)); err != nil { // it ignores TERM from here on
		t.Fatal(err)
	}
	st, err := p.Stop(100 * time.Millisecond)
	if err == nil || st.Signal != syscall.SIGKILL || st.Took < 100*time.Millisecond {
		t.Errorf("Stop() = %+v, %v; want killed after the grace", st, err)
	}
	if again, _ := p.Stop(time.Hour); again != st {
		t.Errorf("second Stop() = %+v; want %+v", again, st)
	}
}

func TestContextEndsTheProgram(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := sh(t, ctx, "sleep 30", Cmd{})
	cancel()
	if st, err := p.Wait(); err == nil || st.Signal != syscall.SIGTERM {
		t.Errorf("Wait() = %+v, %v; want ended by TERM", st, err)
	}
}
