package main

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"
)

// row is one line of a table. Value is judged against Floor and Target, both upper
// bounds; a row without a floor (NaN) is for information.
type row struct {
	what, ours, peer, ratio string
	value, floor, target    float64
	bounds                  string
}

func info(what, ours, peer, ratio string) row {
	return row{what: what, ours: ours, peer: peer, ratio: ratio, floor: math.NaN()}
}

func (r row) verdict() string {
	switch {
	case math.IsNaN(r.floor):
		return ""
	case math.IsNaN(r.value):
		return "too few tries"
	case r.value <= r.target:
		return "target met"
	case r.value <= r.floor:
		return "floor met"
	}
	return "**missed**"
}

func table(name string, rows []row) []string {
	peer := "git CLI"
	if slices.Contains([]string{"small", "again", "big", "tight", "war", "next", "sim"}, name) || strings.HasPrefix(name, "cron-") || strings.HasPrefix(name, "proxy-") || strings.HasPrefix(name, "logship-") || strings.HasPrefix(name, "adapter-") {
		peer = "peer"
	}
	if name == "year" {
		peer = "robfig/cron"
	}
	lines := []string{"| what | sidecar | " + peer + " | ratio | floor / target | |", "|---|---|---|---|---|---|"}
	for _, r := range rows {
		lines = append(lines, fmt.Sprintf("| %s | %s | %s | %s | %s | %s |", r.what, r.ours, r.peer, r.ratio, r.bounds, r.verdict()))
	}
	return lines
}

// section is what stands between two markers of the document.
type section struct {
	name  string
	lines []string
}

// rewrite replaces the measured sections of the document and leaves every other line.
func rewrite(path string, sections []section) error {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: the document holds the words, bench only its tables", err)
	}
	if err != nil {
		return err
	}
	text := string(b)
	for _, s := range sections {
		open, end := "<!-- bench:"+s.name+" -->\n", "<!-- /bench:"+s.name+" -->"
		before, rest, ok := strings.Cut(text, open)
		if !ok {
			return fmt.Errorf("%s has no marker %q", path, strings.TrimSpace(open))
		}
		_, after, ok := strings.Cut(rest, end)
		if !ok {
			return fmt.Errorf("%s has no marker %q", path, end)
		}
		text = before + open + strings.Join(s.lines, "\n") + "\n" + end + after
	}
	return os.WriteFile(path, []byte(text), 0o644)
}
