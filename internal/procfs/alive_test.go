package procfs

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestRunningTellsAZombieFromAProcess(t *testing.T) {
	if err := Running(os.Getpid()); err != nil {
		t.Errorf("Running(this process) = %v; want nil", err)
	}
	cmd := exec.Command("true")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	if _, err := out.Read(make([]byte, 1)); err == nil { // the end of output comes just before its end
		t.Fatal("true said something")
	}
	for Running(pid) == nil { // a zombie until Wait is called
	}
	if err := Running(pid); !errors.Is(err, ErrNotRunning) || !strings.Contains(err.Error(), "zombie") {
		t.Errorf("Running(zombie) = %v; want a zombie", err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := Running(pid); !errors.Is(err, ErrNotRunning) || strings.Contains(err.Error(), "zombie") {
		t.Errorf("Running(%d) after Wait = %v; want not running", pid, err)
	}
}

func TestNamedKnowsThisProcess(t *testing.T) {
	if name := filepath.Base(os.Args[0]); !Named(os.Getpid(), name) {
		t.Errorf("Named(self, %q) = false; want true", name)
	}
	if Named(os.Getpid(), "no-such-name") {
		t.Error("Named(self, no-such-name) = true; want false")
	}
}
