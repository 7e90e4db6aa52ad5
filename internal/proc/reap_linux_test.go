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

	"golang.org/x/sys/unix"
)

func TestReapBuriesOrphansAndLeavesOurs(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Skipf("cannot adopt orphans here: %v", err)
	}
	defer func() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) }()
	ctx, cancel := context.WithCancel(t.Context())
	wake, done := make(chan os.Signal), make(chan struct{})
	go func() {
		defer close(done)
		Reap(ctx, wake)
	}()
	// The shell in the middle dies, its child becomes ours and dies, too.
	var out bytes.Buffer
	p := sh(t, t.Context(), "sh -c 'sleep 0.05 & echo $!'; sleep 0.3; exit 5", Cmd{Stdout: &out})
	for range 60 {
		wake <- syscall.SIGCHLD
		time.Sleep(10 * time.Millisecond)
	}
	if st, _ := p.Wait(); st.Code != 5 {
		t.Errorf("Wait() = %+v; want code 5, its status was stolen", st)
	}
	orphan, err := strconv.Atoi(strings.TrimSpace(out.String()))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(orphan, 0); err != syscall.ESRCH {
		t.Errorf("the orphan is still in the table: %v", err)
	}
	cancel()
	<-done
}
