package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestRandomPagesAreTheSameEachTime(t *testing.T) {
	codecs, err := newCodecs()
	if err != nil {
		t.Fatal(err)
	}
	for i := range codecs {
		a, b := randomPage(5), randomPage(5)
		x, _, err := codecs[i].encode(&a)
		y, _, _ := codecs[i].encode(&b)
		if err != nil || string(x) != string(y) || len(x) == 0 {
			t.Errorf("%s: %q, %v; want %q", codecs[i].name, x, err, y)
		}
	}
}

func TestALossIsSeen(t *testing.T) {
	codecs, err := newCodecs()
	if err != nil {
		t.Fatal(err)
	}
	c := &codecs[0]
	page := randomPage(3)
	want, _ := c.facts(&page, true)
	page.Families[0].Samples[0].Value += 3
	if have, _ := c.facts(&page, true); strings.Join(have, "\n") == strings.Join(want, "\n") {
		t.Error("another value is no difference")
	}
}

// The quick form of the cases with the program, built from this tree.
func TestAdapterQuickly(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program")
	}
	if _, err := exec.LookPath("taskset"); err != nil {
		t.Skip("taskset is not installed")
	}
	dir := t.TempDir()
	cmd := exec.Command("go", "build", "-o", dir+"/", ".")
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
	b := &bench{options: options{sidecar: filepath.Join(dir, "sidecar"), quick: true, pairs: 1, trips: 50}, dir: dir, bin: dir}
	for _, c := range b.adapterCases() {
		if c.name == "adapter-statsd" || c.name == "adapter-peers" { // builds or needs another program
			continue
		}
		rows, err := c.run()
		if err != nil || len(rows) == 0 || strings.HasPrefix(rows[0].what, "**could not") {
			t.Errorf("%s: %+v, %v; want figures", c.name, rows, err)
		}
	}
}
