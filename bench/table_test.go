package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestVerdictNeedsTheBoundToHold(t *testing.T) {
	for _, c := range []struct {
		row  row
		want string
	}{
		{row{value: 0.2, floor: 0.5, target: 0.3}, "target met"},
		{row{value: 0.4, floor: 0.5, target: 0.3}, "floor met"},
		{row{value: 0.6, floor: 0.5, target: 0.3}, "**missed**"},
		{row{value: 1}, "**missed**"},
		{row{value: 0}, "target met"},
		{row{value: reached(0, true, true)}, "too few tries"},
		{info("x", "", "", ""), ""},
	} {
		if got := c.row.verdict(); got != c.want {
			t.Errorf("verdict(%+v) = %q; want %q", c.row, got, c.want)
		}
	}
}

func TestReachedAsksForEnoughTries(t *testing.T) {
	for _, c := range []struct {
		bad                     float64
		belowFloor, belowTarget bool
		want                    float64
	}{{0, false, false, 0}, {0, false, true, 0.5}, {3, false, false, 3}} {
		if got := reached(c.bad, c.belowFloor, c.belowTarget); got != c.want {
			t.Errorf("reached(%+v) = %v; want %v", c, got, c.want)
		}
	}
}

func TestRewriteTouchesOnlyItsSections(t *testing.T) {
	path := filepath.Join(t.TempDir(), "doc.md")
	text := "words\n<!-- bench:a -->\nold\n<!-- /bench:a -->\nmore\n<!-- bench:b -->\nkept\n<!-- /bench:b -->\n"
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := rewrite(path, []section{{"a", []string{"new", "lines"}}}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Replace(text, "old", "new\nlines", 1); string(got) != want {
		t.Errorf("got %q; want %q", got, want)
	}
	if err := rewrite(path, []section{{"c", nil}}); err == nil {
		t.Error("a section without a marker was lost in silence")
	}
}

func TestDocumentHasAPlaceForEveryCase(t *testing.T) {
	doc, err := os.ReadFile("../docs/benchmarks.md")
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"machine"}
	for _, c := range (&bench{}).cases() {
		names = append(names, c.name)
	}
	for _, name := range names {
		if !strings.Contains(string(doc), "<!-- bench:"+name+" -->\n") {
			t.Errorf("docs/benchmarks.md has no place for %s", name)
		}
	}
}
