package main

import (
	"bufio"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"
)

// instant is a second in which a job was due.
type instant struct {
	job string
	sec int64
}

// ledger is what the journal said at each kill, and what the jobs said at the end. It reads the journal's lines by itself.
type ledger struct {
	started map[instant]bool
	skipped map[instant]bool
	open    map[instant]bool // started and without an end when the process was killed
	times   map[instant]int  // how often it ran
	newest  int64            // instant on record
	torn    int
}

func newLedger() *ledger {
	return &ledger{started: map[instant]bool{}, skipped: map[instant]bool{}, open: map[instant]bool{}, times: map[instant]int{}}
}

// killed reads the journal of a process that is no more, and says what it was doing.
func (l *ledger) killed(path string) (string, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "before its first record", nil
	}
	if err != nil {
		return "", err
	}
	if n := strings.LastIndexByte(string(data), '\n'); n+1 < len(data) {
		l.torn++
	}
	open := map[instant]bool{}
	known := len(l.started) + len(l.skipped)
	for line := range strings.Lines(string(data)) {
		at, kind, ok := parse(line)
		if !ok {
			continue
		}
		switch kind {
		case "s":
			l.started[at], open[at] = true, true
		case "k":
			l.skipped[at] = true
		case "e":
			delete(open, at)
		}
		l.newest = max(l.newest, at.sec)
	}
	for at := range open {
		l.open[at] = true
	}
	switch {
	case len(l.started)+len(l.skipped) == known:
		return "before its first record", nil
	case len(open) > 0:
		return "during a run", nil
	}
	return "between runs", nil
}

// parse reads "CRC KIND SECONDS JOB".
func parse(line string) (at instant, kind string, ok bool) {
	sum, text, _ := strings.Cut(line, " ")
	if sum != fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(text))) {
		return at, "", false
	}
	parts := strings.SplitN(strings.TrimSpace(text), " ", 3)
	if len(parts) != 3 {
		return at, "", false
	}
	sec, err := strconv.ParseInt(parts[1], 10, 64)
	return instant{parts[2], sec}, parts[0], err == nil
}

// between counts the starts whose instant nobody was there to see.
func (l *ledger) between(from, to time.Time) (n int) {
	for at := range l.started {
		if t := time.Unix(at.sec, 0); t.After(from) && !t.After(to) {
			n++
		}
	}
	return n
}

// ran reads what the jobs wrote: "JOB INSTANT".
func (l *ledger) ran(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	for in.Scan() {
		job, text, _ := strings.Cut(in.Text(), " ")
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return fmt.Errorf("%s: line %q: %w", path, in.Text(), err)
		}
		l.times[instant{job, at.Unix()}]++
	}
	return in.Err()
}

// count adds one job's seconds to c and returns the first complaint.
func (l *ledger) count(c *Count) (first string) {
	complain := func(at int64, what string) {
		if first == "" {
			first = fmt.Sprintf("%s of %s %s", c.Job, time.Unix(at, 0).UTC().Format(time.RFC3339), what)
		}
	}
	from, to := l.newest+1, l.newest
	for at := range l.started {
		if at.job == c.Job {
			from = min(from, at.sec)
		}
	}
	for at := range l.times {
		if at.job == c.Job {
			from, to = min(from, at.sec), max(to, at.sec)
		}
	}
	for sec := from; sec <= to; sec++ {
		at := instant{c.Job, sec}
		c.Due++
		if l.times[at] > 0 {
			c.Ran++
		}
		switch n := l.times[at]; {
		case n > 1:
			c.Twice++
			complain(sec, fmt.Sprintf("ran %d times", n))
		case n == 1 && !l.started[at]:
			c.Unrecorded++
			complain(sec, "ran and is not on record")
		case n == 1:
		case l.open[at]:
			c.Lost++
		case l.skipped[at]:
			c.Skipped++
		default:
			c.Missed++
			complain(sec, fmt.Sprintf("did not run; on record as a start: %v", l.started[at]))
		}
	}
	return first
}
