package e2e

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"testing"
)

// The full numbers are in docs/benchmarks.md; these runs keep the promises from being
// lost between two benchmarks.

func TestKilledAtRandomInstantsNeverWedges(t *testing.T) {
	var r struct {
		Kills, BeforePublish, AfterPublish int
		Wedges, WrongTrees                 int
		UnreadableSeconds                  float64
	}
	soak(t, &r, "killtest", "-n", "50", "-files", "300")
	t.Logf("%+v", r)
	if r.Kills != 50 || r.Wedges != 0 || r.WrongTrees != 0 || r.UnreadableSeconds != 0 {
		t.Errorf("%+v; want 50 kills and nothing lost", r)
	}
}

func TestReadersNeverSeeATornTree(t *testing.T) {
	var r struct{ Walks, Torn, Incomplete, Pushes, Published int64 }
	soak(t, &r, "torn", "-walks", "2000", "-changes", "50")
	t.Logf("%+v", r)
	if r.Walks < 2000 || r.Published < 50 || r.Torn != 0 {
		t.Errorf("%+v; want at least 2000 walks over 50 changes and none torn", r)
	}
}

func soak(t *testing.T, result any, name string, args ...string) {
	t.Helper()
	args = append(args, "-json", "-sidecar", sidecar(t), "-gitserver", helper(t, "gitserver"))
	cmd := exec.CommandContext(t.Context(), helper(t, name), args...)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if jsonErr := json.Unmarshal(out, result); jsonErr != nil {
		t.Fatalf("%s: %v, %v: %s", name, err, jsonErr, complaint.String())
	}
	if err != nil { // a bad result, which the caller judges
		t.Logf("%s: %v: %s", name, err, complaint.String())
	}
}
