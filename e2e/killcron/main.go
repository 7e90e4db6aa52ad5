// Command killcron kills `sidecar cron --state` with SIGKILL at random instants while jobs are due in every second, starts
// it again, and asks of every second and job: did it run once? A run that was on record before the kill and did not get
// to its write is lost, and may be; anything that ran twice, ran without a record, or is missing for no reason is a bug.
//
//	go -C e2e run ./killcron -n 2000 -lanes 4
//
// Half of the kills are spread by chance, half hit the first 12 ms of a second, when starts are recorded and made. Lanes
// are independent: each has its own state folder. SIGTERM ends it early, with the results so far.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"
)

type options struct {
	n       int
	lanes   int
	mean    time.Duration
	pause   time.Duration
	ballast int
	sidecar string
	dir     string
	seed    uint64
}

// Count is what became of the seconds of one job.
type Count struct {
	Job        string
	Due        int // from its first start to the end
	Ran        int // by the job's own word
	Twice      int // instants that ran more than once
	Unrecorded int // instants that ran and are not in the journal: a crash could have repeated them
	Lost       int // on record at a kill, and the job did not get to its write
	Skipped    int // on record as skipped by its overlap policy
	Missed     int // nothing of all that: nobody knows why it did not run
}

// Result is what -json prints.
type Result struct {
	Kills   int
	Lanes   int
	Took    float64        // seconds
	Down    float64        // the longest time without a process, in seconds
	Torn    int            // kills that left half a line in the journal
	Late    int            // starts that were due while there was no process, and were made by the next one
	Phases  map[string]int // where kills hit
	Jobs    []Count
	First   string // the first complaint
	LastRun string // how the last process ended on SIGTERM
}

func main() {
	o := options{}
	flag.IntVar(&o.n, "n", 100, "kills, of all lanes together")
	flag.IntVar(&o.lanes, "lanes", 4, "processes at once, each with its own state")
	flag.DurationVar(&o.mean, "mean", 700*time.Millisecond, "mean life of a process")
	flag.DurationVar(&o.pause, "pause", 3*time.Second, "longest pause before the next process; one in ten pauses")
	flag.IntVar(&o.ballast, "ballast", 0, "records of other jobs that are added before each process: from 30000 on, each begins by rewriting the journal")
	flag.StringVar(&o.sidecar, "sidecar", "../bin/sidecar", "the program under test")
	flag.StringVar(&o.dir, "dir", "", "work below this folder (default: that for temporary files)")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "seed of the random instants")
	asJSON := flag.Bool("json", false, "print the result as JSON")
	flag.Parse()
	r, err := run(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if *asJSON {
		_ = json.NewEncoder(os.Stdout).Encode(r)
	} else {
		r.print()
	}
	if r.bad() {
		os.Exit(1)
	}
}

func (r Result) bad() bool {
	return r.LastRun != "exit 0" || slices.ContainsFunc(r.Jobs, func(c Count) bool { return c.Twice+c.Unrecorded+c.Missed > 0 })
}

func (r Result) print() {
	fmt.Printf("%d kills in %d lanes, %.0f s; longest time down %.1f s; %d half lines in the journal; %d starts made up for\n",
		r.Kills, r.Lanes, r.Took, r.Down, r.Torn, r.Late)
	var parts []string
	for _, phase := range slices.Sorted(maps.Keys(r.Phases)) {
		parts = append(parts, fmt.Sprintf("%s %d", phase, r.Phases[phase]))
	}
	fmt.Printf("kills hit: %s\n", strings.Join(parts, ", "))
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "job\tdue\tran\ttwice\tunrecorded\tlost to a kill\tskipped\tmissed\t")
	for _, c := range r.Jobs {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n", c.Job, c.Due, c.Ran, c.Twice, c.Unrecorded, c.Lost, c.Skipped, c.Missed)
	}
	w.Flush()
	if r.First != "" {
		fmt.Printf("first: %s\n", r.First)
	}
	if r.LastRun != "exit 0" {
		fmt.Printf("the last process, on SIGTERM: %s\n", r.LastRun)
	}
}

func run(o options) (Result, error) {
	if o.n < 1 || o.lanes < 1 || o.lanes > o.n {
		return Result{}, fmt.Errorf("-n %d -lanes %d: want at least one kill in each lane", o.n, o.lanes)
	}
	binary, err := filepath.Abs(o.sidecar)
	if err != nil {
		return Result{}, err
	}
	o.sidecar = binary
	dir, err := os.MkdirTemp(o.dir, "killcron-*")
	if err != nil {
		return Result{}, err
	}
	stop := make(chan struct{})
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	go func() { <-signals; close(stop) }()

	begin := time.Now()
	lanes := make([]*lane, o.lanes)
	errs := make([]error, o.lanes)
	var wg sync.WaitGroup
	for i := range lanes {
		wg.Go(func() {
			kills := o.n / o.lanes
			if i < o.n%o.lanes {
				kills++
			}
			if lanes[i], errs[i] = newLane(o, filepath.Join(dir, fmt.Sprint("lane-", i)), uint64(i)); errs[i] == nil {
				errs[i] = lanes[i].run(kills, stop)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return Result{}, fmt.Errorf("seed %d, folder %s: %w", o.seed, dir, err)
	}
	r := Result{Lanes: o.lanes, Took: time.Since(begin).Seconds(), Phases: map[string]int{}, LastRun: "exit 0"}
	for _, l := range lanes {
		l.report(&r)
	}
	if r.bad() {
		r.First += fmt.Sprintf(" (seed %d, all is in %s)", o.seed, dir)
		return r, nil
	}
	return r, os.RemoveAll(dir)
}
