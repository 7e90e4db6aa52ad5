// Command killcopy kills initcopy with SIGKILL at instants that are spread evenly over a run, and asks: was what readers
// see at every moment the old content or the new one, whole? And does one more run make it the new one, with nothing left
// beside it? It prints how many kills hit which phase.
//
//	go -C e2e run ./killcopy -n 500 -case all
//
// SIGTERM ends it early, with the results so far.
//
// With -tool cp it does the same to `cp`, as a check that the watcher finds what is torn.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Result is what -json prints, for each case.
type Result struct {
	Case      string
	Kills     int
	Torn      int            // looks, while it ran or after the kill, that saw neither the old content nor the new, whole
	Unhealed  int            // runs after a kill that did not lead to the new content
	Leftovers int            // of these, those that left something beside it
	Looks     int64          // at the visible name while the program ran
	Phases    map[string]int // where kills hit
	First     string         // the first complaint
}

func main() {
	n := flag.Int("n", 100, "kills of each case")
	which := flag.String("case", "all", "file, tree, war, self or all")
	files := flag.Int("files", 20000, "files in the tree")
	size := flag.Int("mib", 48, "MiB in the file")
	binary := flag.String("sidecar", "../bin/sidecar", "the program under test")
	tool := flag.String("tool", "sidecar", "sidecar, or cp for comparison")
	dir := flag.String("dir", "", "work below this folder (default: that for temporary files)")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "seed of the random instants")
	asJSON := flag.Bool("json", false, "print the results as JSON")
	flag.Parse()
	results, err := run(options{*n, *which, *files, *size, *binary, *tool, *dir, *seed})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	bad := false
	for _, r := range results {
		bad = bad || r.Torn+r.Unhealed+r.Leftovers > 0
		if !*asJSON {
			r.print(*tool)
		}
	}
	if *asJSON {
		_ = json.NewEncoder(os.Stdout).Encode(results)
	}
	if bad {
		os.Exit(1)
	}
}

func (r Result) print(tool string) {
	fmt.Printf("%s, %s: %d kills, %d torn in %d looks, %d not healed by the next run, %d with leftovers\n", tool, r.Case, r.Kills, r.Torn, r.Looks, r.Unhealed, r.Leftovers)
	var parts []string
	for _, phase := range slices.Sorted(maps.Keys(r.Phases)) {
		parts = append(parts, fmt.Sprintf("%s %d", phase, r.Phases[phase]))
	}
	fmt.Printf("  phases: %s\n", strings.Join(parts, ", "))
	if r.First != "" {
		fmt.Printf("  first: %s\n", r.First)
	}
}

type options struct {
	n      int
	which  string
	files  int
	mib    int
	binary string
	tool   string
	dir    string
	seed   uint64
}

func run(o options) ([]Result, error) {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	rng := rand.New(rand.NewPCG(o.seed, 1))
	var results []Result
	for _, name := range []string{"file", "tree", "war", "self"} {
		if o.which != "all" && o.which != name {
			continue
		}
		if o.tool != "sidecar" && (name == "war" || name == "self") {
			continue // there is no cp that unpacks, or copies itself
		}
		c, err := newCase(name, o)
		if err != nil {
			return nil, err
		}
		r, err := c.test(o.n, rng, stop)
		if err = errorsJoin(err, os.RemoveAll(c.dir)); err != nil {
			return nil, fmt.Errorf("case %s, seed %d: %w", name, o.seed, err)
		}
		results = append(results, r)
	}
	if len(results) == 0 {
		return nil, fmt.Errorf("-case %q: want file, tree, war, self or all", o.which)
	}
	return results, nil
}
