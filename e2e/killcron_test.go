package e2e

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestKilledCronRunsNothingTwice kills 50 processes. The full number is in docs/benchmarks.md.
func TestKilledCronRunsNothingTwice(t *testing.T) {
	program := filepath.Join(t.TempDir(), "killcron")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./killcron").CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), program, "-json", "-n", "50", "-lanes", "4", "-sidecar", sidecar(t), "-dir", t.TempDir())
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	var r struct {
		Kills, Torn, Late int
		Phases            map[string]int
		Jobs              []struct {
			Job                                                string
			Due, Ran, Twice, Unrecorded, Lost, Skipped, Missed int
		}
		First, LastRun string
	}
	if jsonErr := json.Unmarshal(out, &r); jsonErr != nil {
		t.Fatalf("killcron: %v, %v: %s", err, jsonErr, complaint.String())
	}
	t.Logf("%d kills, phases %v, %d starts made up for", r.Kills, r.Phases, r.Late)
	if r.Kills != 50 || len(r.Phases) < 2 || len(r.Jobs) != 3 || r.LastRun != "exit 0" {
		t.Errorf("%+v; want 50 kills in several phases, and an exit with 0 in the end", r)
	}
	for _, c := range r.Jobs {
		t.Logf("%+v", c)
		if c.Ran == 0 || c.Twice+c.Unrecorded+c.Missed > 0 {
			t.Errorf("%+v: %s; want every second once, but for what a kill hit between record and write", c, r.First)
		}
	}
}
