package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestKilledCopiesAreNeverTorn kills 200 runs of initcopy. The full number is in docs/benchmarks.md.
func TestKilledCopiesAreNeverTorn(t *testing.T) {
	program := filepath.Join(t.TempDir(), "killcopy")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./killcopy").CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
	work := t.TempDir()
	if dir, err := os.MkdirTemp("/dev/shm", "killcopy-*"); err == nil {
		work = dir // what a kill may tear is the same in memory, and the disk has other work
		t.Cleanup(func() { os.RemoveAll(dir) })
	}
	cmd := exec.CommandContext(t.Context(), program, "-json", "-n", "50", "-files", "2000", "-mib", "16", "-sidecar", sidecar(t), "-dir", work)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	var results []struct {
		Case                             string
		Kills, Torn, Unhealed, Leftovers int
		Looks                            int64
		Phases                           map[string]int
		First                            string
	}
	if jsonErr := json.Unmarshal(out, &results); jsonErr != nil {
		t.Fatalf("killcopy: %v, %v: %s", err, jsonErr, complaint.String())
	}
	if len(results) != 4 {
		t.Fatalf("%d cases; want 4", len(results))
	}
	for _, r := range results {
		t.Logf("%s: %d kills, %d looks, phases %v", r.Case, r.Kills, r.Looks, r.Phases)
		if r.Kills != 50 || r.Torn+r.Unhealed+r.Leftovers > 0 || r.Looks == 0 || len(r.Phases) < 2 {
			t.Errorf("%+v; want 50 kills in several phases and nothing torn, unhealed or left behind", r)
		}
	}
}
