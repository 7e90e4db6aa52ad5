// Command bench measures each promise of docs/benchmarks.md: sidecar sync beside the same
// job done with the git command line, interleaved, on this machine.
//
//	go -C bench run . -update        # everything, and rewrite docs/benchmarks.md
//	go -C bench run . -case first    # one case
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"

	"github.com/sidecar-kit/sidecar/bench/lab"
)

// options are the sizes of a run.
type options struct {
	sidecar, doc, only string
	busybox            string
	pairs, pushes      int
	lines              int
	kills, tights      int
	seconds            int
	walks              int64
	trips              int
	tripping           time.Duration
	update, quick      bool
}

func main() {
	lab.MeterMain()
	var o options
	flag.StringVar(&o.sidecar, "sidecar", "../bin/sidecar", "the program")
	flag.StringVar(&o.doc, "doc", "../docs/benchmarks.md", "the document that -update rewrites")
	flag.StringVar(&o.only, "case", "", "only cases that match this regular expression")
	flag.IntVar(&o.pairs, "pairs", 7, "pairs after the warm-up")
	flag.IntVar(&o.lines, "lines", 1000, "lines of the year case")
	flag.IntVar(&o.pushes, "pushes", 20, "pushes of the latency case")
	flag.IntVar(&o.kills, "kills", 300, "kills of the kill case")
	flag.IntVar(&o.tights, "tights", 20, "copies of the large file in the tight case")
	flag.StringVar(&o.busybox, "busybox", "busybox", "a busybox that has crond: on Debian that of busybox-static, which need not be installed")
	flag.IntVar(&o.seconds, "seconds", 20, "seconds of the cron-jobs and cron-due cases")
	flag.Int64Var(&o.walks, "walks", 10_000, "walks of the torn case")
	flag.IntVar(&o.trips, "trips", 100_000, "pages of the adapter-roundtrips case")
	flag.DurationVar(&o.tripping, "trips-time", 80*time.Second, "most time of the adapter-roundtrips case; 0: until all pages are done, which takes about an hour for 100,000")
	flag.BoolVar(&o.update, "update", false, "rewrite the tables in the document")
	flag.BoolVar(&o.quick, "quick", false, "small repositories and one pair: does it run at all")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(o options) error {
	only, err := regexp.Compile(o.only)
	if err != nil {
		return err
	}
	if o.quick {
		o.pairs, o.pushes, o.kills, o.walks, o.seconds = 1, 3, min(o.kills, 20), min(o.walks, 1000), min(o.seconds, 5)
	}
	b, err := newBench(o)
	if err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	sections := []section{{name: "machine", lines: b.machine()}}
	for _, c := range b.cases() {
		if !only.MatchString(c.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "-- %s\n", c.name)
		rows, err := c.run()
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		s := section{name: c.name, lines: table(c.name, rows)}
		sections = append(sections, s)
		for _, line := range s.lines {
			fmt.Println(line)
		}
	}
	if !o.update {
		return nil
	}
	return rewrite(o.doc, sections)
}

// bench is what the cases share.
type bench struct {
	options
	dir, bin   string // scratch, and the helper programs built into it
	ours, peer lab.Tool
}

func newBench(o options) (*bench, error) {
	sidecar, err := filepath.Abs(o.sidecar)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(sidecar); err != nil {
		return nil, fmt.Errorf("%w: run `make build` first, or name the program with -sidecar", err)
	}
	dir, err := os.MkdirTemp("", "bench-*")
	if err != nil {
		return nil, err
	}
	o.sidecar = sidecar
	b := &bench{options: o, dir: dir, bin: filepath.Join(dir, "bin"), ours: lab.Sidecar(sidecar), peer: lab.GitLoop()}
	out, err := exec.Command("go", "build", "-o", b.bin+"/", "./gitserver", "./killtest", "./torn").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("build the helpers: %w: %s", err, out)
	}
	return b, nil
}

type benchCase struct {
	name string
	run  func() ([]row, error)
}

func (b *bench) cases() []benchCase {
	return append(append(b.cronCases(), append(b.proxyCases(), append(b.logshipCases(), b.adapterCases()...)...)...), []benchCase{
		{"idle", b.idle},
		{"first", b.first},
		{"push", b.push},
		{"rest", b.rest},
		{"kill", b.kill},
		{"torn", b.torn},
		{"year", b.year},
		{"sim", b.sim},
		{"war", b.war},
		{"size", b.size},
		{"small", b.small},
		{"again", b.again},
		{"big", b.big},
		{"tight", b.tight},
		{"next", b.next},
	}...)
}

func (b *bench) machine() []string {
	var lines []string
	for _, fact := range lab.Machine() {
		lines = append(lines, "- "+fact)
	}
	if _, ok := lab.GitSync(); ok {
		return append(lines, "- peers: the git CLI loop; git-sync is installed")
	}
	return append(lines, "- peers: the git CLI loop (bench/lab/peer.sh); **git-sync: missing on this machine**")
}
