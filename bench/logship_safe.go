package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/sidecar-kit/sidecar/bench/ship"
)

// trial is a scenario for a shipper, and what came of it.
type trial struct {
	scenario ship.Scenario
	shipper  func(d *dock) ship.Shipper
	result   ship.Result
	err      error
}

func (t *trial) bad() bool {
	return t.err != nil || t.result.Exit != nil || t.result.Missing != 0 || t.result.Doubled != 0
}

// logshipSafe kills, rotates and refuses, and counts what is missing or doubled.
func (b *bench) logshipSafe(d *dock) ([]row, error) {
	scale := 1.0
	if b.quick {
		scale = 0.05
	}
	ours := func(*dock) ship.Shipper { return ship.Sidecar(b.sidecar) }
	pinned := func(*dock) ship.Shipper { return ship.Sidecar(b.sidecar, "--pin", "always") } // what is written while nobody runs is removed, too
	var trials, peers []*trial
	for _, s := range append(ship.Scenarios(scale), ship.Hunts(scale)...) {
		if s.Full > 0 && os.Geteuid() != 0 {
			continue
		}
		if name, _, _ := strings.Cut(s.Name, ","); !strings.HasSuffix(s.Name, ", kills") || strings.HasPrefix(name, "S") { // the hunts are the same, and more
			t := &trial{scenario: s, shipper: ours}
			if strings.HasPrefix(s.Name, "hunt ") {
				t.shipper = pinned
			}
			trials = append(trials, t)
		}
	}
	here, missing := d.peers("rsyslog")
	for _, s := range ship.Scenarios(scale) {
		if name, _, _ := strings.Cut(s.Name, " "); len(here) > 0 && (name == "S1" || name == "S2" || name == "S7") {
			peers = append(peers, &trial{scenario: s, shipper: rsyslogShipper})
		}
	}
	if err := b.tryAll(d, append(peers, trials...)); err != nil {
		return nil, err
	}
	return append(safeRows(trials, peers), missingRows(missing)...), nil
}

// tryAll runs trials, three at once, each with a sink of its own: they wait most of the time.
func (b *bench) tryAll(d *dock, trials []*trial) error {
	program, err := b.sinkProgram()
	if err != nil {
		return err
	}
	queue := make(chan *trial)
	var all sync.WaitGroup
	errs := make([]error, 3)
	for i := range errs {
		all.Go(func() {
			sink, err := ship.StartSink(program, 500_000)
			if errs[i] = err; err != nil {
				return
			}
			defer sink.Close()
			for t := range queue {
				log, err := os.Create(filepath.Join(d.dir, fmt.Sprintf("trial-%d.log", i)))
				if err != nil {
					t.err = err
					continue
				}
				t.result, t.err = ship.Run(d.dir, sink, t.shipper(d), t.scenario, log)
				_ = log.Close()
				fmt.Fprintln(os.Stderr, "  ", t.result, t.err)
			}
		})
	}
	go func() {
		defer close(queue)
		for _, t := range trials {
			queue <- t
		}
	}()
	all.Wait()
	return errors.Join(errs...)
}

// rsyslogShipper has its queue in memory, as by default. Ids of names and offsets would be the same again after a rotation, so there are none.
func rsyslogShipper(*dock) ship.Shipper {
	return func(dir, glob, state, sink string) []string {
		file := filepath.Join(state, "config")
		text := rsyslogConf(filepath.Join(dir, glob), state, strings.TrimPrefix(sink, "http://"), false)
		_ = os.MkdirAll(state, 0o700)               // it says so when it
		_ = os.WriteFile(file, []byte(text), 0o600) // finds no file
		return []string{program("rsyslog"), "-n", "-f", file, "-i", "NONE"}
	}
}

// published are missing / doubled of others, by scenario: fluent-bit 5.1 with memory and with files, rsyslog 8.2302, otelcol 0.149.
func published(name string) string {
	return map[string]string{
		"S1": "fluent-bit memory 40,800 / 0, files 0 / 0; rsyslog 0 / 100,784; otelcol 11,200 / 0",
		"S2": "fluent-bit memory 0 / 0, files 0 / 0; rsyslog 250,000 / 0; otelcol 9,800 / 0",
		"S3": "fluent-bit memory 182,200 / 0, files 0 / 0; rsyslog 160,000 / 0; otelcol 163,200 / 0",
		"S4": "fluent-bit files 134,800 / 0; rsyslog 130,000 / 0; otelcol 132,800 / 0",
		"S5": "fluent-bit files 20,000 / 60,000; rsyslog 17,608 / 175,888; otelcol 0 / 0",
		"S6": "fluent-bit files 0 / 12,600; otelcol 0 / 1,200",
		"S7": "fluent-bit files 0 / 51,060; rsyslog 0 / 308,776 and more",
		"S8": "fluent-bit files, rsyslog: items of 429 are never sent again, in silence",
	}[name]
}

// safeRows are a row for each scenario, and one for all.
func safeRows(trials, peers []*trial) (rows []row) {
	measured := map[string]string{}
	for _, t := range peers {
		text := fmt.Sprintf("rsyslog here: %d / %d", t.result.Missing, t.result.Doubled)
		if t.err != nil {
			text = "rsyslog here: " + t.err.Error()
		}
		measured[t.scenario.Name] = text + "; published: "
	}
	bad, kills, outages, fewest, lines := 0, 0, 0, -1, 0
	for _, t := range trials {
		r, s := t.result, t.scenario
		kills, outages, lines = kills+r.Kills, outages+s.Outages, lines+s.Lines
		if strings.HasPrefix(s.Name, "hunt ") && (fewest < 0 || r.Rotations < fewest) {
			fewest = r.Rotations
		}
		value := 0.0
		if t.bad() {
			bad++
			value = max(1, float64(r.Missing+r.Doubled))
		}
		said := fmt.Sprintf("%d / %d", r.Missing, r.Doubled)
		if err := errors.Join(t.err, r.Exit); err != nil {
			said += ", " + strings.Join(strings.Fields(err.Error()), " ")
		}
		name, _, _ := strings.Cut(s.Name, " ")
		peer := measured[s.Name] + published(name)
		if peer == "" {
			peer = "-"
		}
		what := fmt.Sprintf("%s: %d lines, %d rotations, %d kills, %d outages", s.Name, s.Lines, r.Rotations, r.Kills, s.Outages)
		rows = append(rows, judged(what, said, peer, "-", value, 0, 0, "0 / 0"))
	}
	what := fmt.Sprintf("scenarios with a missing or doubled line, of %d: %d lines, %d kills, at least %d rotations of each kind, %d outages", len(trials), lines, kills, fewest, outages)
	return append(rows, judged(what, fmt.Sprint(bad), "-", "-", reached(float64(bad), kills < 200 || fewest < 50 || outages < 20, kills < 1000 || fewest < 200 || outages < 50), 0.5, 0, "0 over 200 kills, 50 rotations each, 20 outages / 0 over 1,000, 200, 50"))
}
