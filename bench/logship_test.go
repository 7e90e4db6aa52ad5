package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/bench/ship"
)

func TestLogLinesHaveTheLengthAndTheNumberThatIsPromised(t *testing.T) {
	for _, seq := range []int{1, 999, 500_000, 2_000_000} {
		line := appendLogLine(nil, seq)
		var doc struct{ Seq int }
		if err := json.Unmarshal(line, &doc); err != nil || doc.Seq != seq || len(line) != lineBytes || bytes.IndexByte(line, '\n') != lineBytes-1 {
			t.Errorf("line %d is %q (%d bytes, %v); want %d bytes of JSON", seq, line, len(line), err, lineBytes)
		}
	}
}

func TestSafeRowsCountEveryTrial(t *testing.T) {
	good := func(name string, kills int) *trial {
		return &trial{scenario: ship.Scenario{Name: name, Lines: 10, Outages: 50}, result: ship.Result{Kills: kills, Rotations: 200}}
	}
	last := func(trials ...*trial) row {
		rows := safeRows(trials, nil)
		return rows[len(rows)-1]
	}
	if r := last(good("hunt a", 600), good("hunt b", 400)); r.verdict() != "target met" {
		t.Errorf("%+v: %s; want target met", r, r.verdict())
	}
	if r := last(good("hunt a", 200)); r.verdict() != "floor met" {
		t.Errorf("%+v: %s; want floor met", r, r.verdict())
	}
	if r := last(good("hunt a", 20)); r.verdict() != "too few tries" {
		t.Errorf("%+v: %s; want too few tries", r, r.verdict())
	}
	for _, spoil := range []func(*trial){
		func(t *trial) { t.result.Missing = 1 },
		func(t *trial) { t.result.Doubled = 1 },
		func(t *trial) { t.result.Exit = errors.New("exit status 1") },
		func(t *trial) { t.err = errors.New("the shipper ended by itself") },
	} {
		b := good("hunt b", 1000)
		spoil(b)
		rows := safeRows([]*trial{good("hunt a", 1000), b}, nil)
		if rows[0].verdict() != "target met" || rows[1].verdict() != "**missed**" || rows[2].verdict() != "**missed**" {
			t.Errorf("%+v: %s, %s, %s; want the second and all missed", b.result, rows[0].verdict(), rows[1].verdict(), rows[2].verdict())
		}
	}
}

func TestSafeRowsQuoteWhatWasMeasuredAndPublished(t *testing.T) {
	s := ship.Scenario{Name: "S2 copytruncate"}
	rows := safeRows([]*trial{{scenario: s}}, []*trial{{scenario: s, result: ship.Result{Missing: 7, Doubled: 3}}})
	if got := rows[0].peer; !strings.HasPrefix(got, "rsyslog here: 7 / 3; published: fluent-bit") {
		t.Errorf("peer %q; want what was measured here, then what was published", got)
	}
}

// The quick form of the cases: our program, built from this tree, ships a file and survives a kill.
func TestLogshipQuickly(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program")
	}
	if _, err := exec.LookPath("taskset"); err != nil {
		t.Skip("taskset is not installed")
	}
	dir := t.TempDir()
	for from, what := range map[string]string{"..": ".", ".": "./essink"} {
		cmd := exec.Command("go", "build", "-o", dir+"/", what)
		cmd.Dir = from
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build %s in %s: %v: %s", what, from, err, out)
		}
	}
	b := &bench{options: options{sidecar: filepath.Join(dir, "sidecar"), quick: true}, dir: dir, bin: dir}
	d, err := b.newDock()
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	l, err := d.freight(5000)
	if err != nil {
		t.Fatal(err)
	}
	for _, l.parse = range []bool{false, true} {
		if peak, err := d.voyage(l, time.Minute, nil); err != nil || peak < 1e6 {
			t.Errorf("voyage(parse %v) = %v, %v; want a peak and all lines", l.parse, peak, err)
		}
	}
	r, err := ship.Run(dir, d.sink, ship.Sidecar(b.sidecar), ship.Scenario{
		Name: "quick", Lines: 8000, Rate: 20_000, Kind: ship.Rename, Every: 100 * time.Millisecond, Kills: 2, Down: 20 * time.Millisecond, Outages: 1, Outage: 50 * time.Millisecond,
	}, os.Stderr)
	if err != nil || r.Missing != 0 || r.Doubled != 0 || r.Kills != 2 || r.Exit != nil {
		t.Errorf("%v, %v; want nothing missing, nothing doubled", r, err)
	}
}
