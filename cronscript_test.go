package main

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sidecar-kit/sidecar/roles/cron/journal"
)

// cronCommands are what scripts of the cron role need.
func cronCommands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"norepeats": noRepeats,
		"once":      once,
		"started":   startedBefore,
		"farminute": farMinute,
	}
}

// startedBefore writes a journal in which jobs were started some time ago: "started DIR AGO JOB...".
func startedBefore(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: started DIR AGO JOB...")
	}
	ago, err := time.ParseDuration(args[1])
	ts.Check(err)
	book, err := journal.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	for _, name := range args[2:] {
		ts.Check(book.Write(true, journal.Record{Kind: journal.Start, Job: name, At: time.Now().Add(-ago)}))
	}
	ts.Check(book.Close())
}

// noRepeats fails when a line of a file is there twice: "norepeats NAME".
func noRepeats(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: norepeats NAME")
	}
	seen := map[string]bool{}
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		if seen[line] {
			ts.Fatalf("%s has %q twice", args[0], line)
		}
		seen[line] = true
	}
	if len(seen) == 0 {
		ts.Fatalf("%s is empty", args[0])
	}
}

// once fails when not exactly one line of a file matches: "once NAME REGEXP".
func once(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: once NAME REGEXP")
	}
	want, err := regexp.Compile(args[1])
	ts.Check(err)
	n := 0
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		if want.MatchString(line) {
			n++
		}
	}
	if n != 1 {
		ts.Fatalf("%s has %d lines that match %q; want 1", args[0], n, args[1])
	}
}

// farMinute FILE replaces MINUTE in it by one that is half an hour away: in a minute that a line names, a start would be a late
// one, and not one that is caught up on.
func farMinute(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: farminute FILE")
	}
	minute := strconv.Itoa((time.Now().Minute() + 30) % 60)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.ReplaceAll(ts.ReadFile(args[0]), "MINUTE", minute)), 0o600))
}
