// shipkill tries sidecar logship in every way in which log files are rotated, while it is killed and its receiver fails, and exits 1
// when a line is missing or doubled.
//
//	shipkill -sidecar bin/sidecar -sink bin/essink -scale 0.2 -only rename
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/sidecar-kit/sidecar/bench/ship"
)

func main() {
	binary := flag.String("sidecar", "", "`PROGRAM` to try")
	sinkProgram := flag.String("sink", "", "`PROGRAM` essink")
	scale := flag.Float64("scale", 1, "part of the lines and kills")
	only := flag.String("only", "", "run scenarios whose name has this in it")
	times := flag.Int("times", 1, "how often")
	more := flag.String("flags", "", "more `FLAGS` for logship; the hunts that remove files want --pin always")
	dir := flag.String("dir", os.TempDir(), "`FOLDER` for logs and state; what failed stays there")
	flag.Parse()
	sink, err := ship.StartSink(*sinkProgram, 500_000)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer sink.Close()
	bad := 0
	for i := range *times {
		for _, s := range append(ship.Scenarios(*scale), ship.Hunts(*scale)...) {
			if !strings.Contains(s.Name, *only) {
				continue
			}
			log, err := os.Create(filepath.Join(*dir, "shipper.log"))
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			r, err := ship.Run(*dir, sink, ship.Sidecar(*binary, strings.Fields(*more)...), s, log)
			log.Close()
			fmt.Println(r)
			if err != nil || r.Missing != 0 || r.Doubled != 0 || r.Exit != nil {
				bad++
				fmt.Println("  FAILED:", err, r.Lost)
				_ = os.Rename(log.Name(), filepath.Join(*dir, fmt.Sprintf("failed-%d-%s.log", i, strings.ReplaceAll(s.Name, " ", "-"))))
			}
		}
	}
	if bad > 0 {
		fmt.Printf("%d scenarios failed\n", bad)
		os.Exit(1)
	}
}
