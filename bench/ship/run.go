package ship

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Counts is what the sink has counted, see bench/essink.
type Counts struct {
	Unique, Doubled, Highest, Docs, IDs, Conflicts, Requests, Bytes, Malformed, Faults, Rejected int64
	P50                                                                                          float64 `json:"p50_ms"`
	P99                                                                                          float64 `json:"p99_ms"`
	Max                                                                                          float64 `json:"max_ms"`
	First                                                                                        int64   `json:"first_ns"`
	Last                                                                                         int64   `json:"last_ns"`
}

// Sink is a running essink.
type Sink struct {
	URL string
	cmd *exec.Cmd
}

// StartSink runs the program; wrap goes in front of it (taskset).
func StartSink(program string, expect int, wrap ...string) (*Sink, error) {
	argv := append(wrap, program, "-expect", strconv.Itoa(expect))
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, errors.Join(err, cmd.Process.Kill())
	}
	return &Sink{URL: strings.TrimSpace(line), cmd: cmd}, nil
}

// Close ends it.
func (s *Sink) Close() {
	_ = s.cmd.Process.Kill() // it has nothing to lose
	_ = s.cmd.Wait()
}

func (s *Sink) post(path string) error {
	resp, err := http.Post(s.URL+path, "", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("%s: %s %s", path, resp.Status, text)
	}
	return nil
}

// Reset begins anew.
func (s *Sink) Reset() error { return s.post("/_reset") }

// began waits until the first line arrives: a file that was rotated before the shipper ran for the first time is none that it follows.
func (s *Sink) began() error {
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if c, err := s.Counts(); err != nil || c.Unique > 0 {
			return err
		}
	}
	return errors.New("nothing arrived within 20s")
}

// Fault makes it fail: for how long, and every how many requests; 0 is for ever, and each.
func (s *Sink) Fault(kind string, every int, last time.Duration) error {
	q := url.Values{"kind": {kind}}
	if every > 0 {
		q.Set("every", strconv.Itoa(every))
	}
	if last > 0 {
		q.Set("for", last.String())
	}
	return s.post("/_fault?" + q.Encode())
}

// Missing asks which numbers up to n did not arrive, as ranges.
func (s *Sink) Missing(n int) ([]string, error) {
	resp, err := http.Get(fmt.Sprintf("%s/_missing?upto=%d", s.URL, n))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return strings.Fields(string(text)), err
}

// Counts asks what arrived.
func (s *Sink) Counts() (c Counts, err error) {
	resp, err := http.Get(s.URL + "/_stats")
	if err != nil {
		return c, err
	}
	defer resp.Body.Close()
	return c, json.NewDecoder(resp.Body).Decode(&c)
}

// Shipper makes the command line that ships what is in dir to a sink, with its state in state.
type Shipper func(dir, glob, state, sink string) []string

// Sidecar is the program of this repository.
func Sidecar(binary string, more ...string) Shipper {
	return func(dir, glob, state, sink string) []string {
		return append([]string{
			binary, "logship", "--path", filepath.Join(dir, glob), "--to", "elasticsearch+" + sink + "/logs?backoff-min=20ms&backoff-max=1s", "--state", state,
			"--admin", "", "--log-level", "warn", "--symlinks", dir,
		}, more...)
	}
}

// Scenario is one way to make life hard for a shipper.
type Scenario struct {
	Name    string
	Lines   int
	Rate    int
	Kind    string // of rotation
	Every   time.Duration
	Keep    int
	Meet    bool   // a file is removed only when the shipper had it once: one that comes and goes while nobody runs is lost to anybody
	Glob    string // app.log if empty
	Kills   int
	Down    time.Duration // between a kill and the next start
	Outages int           // times at which the sink answers with 503
	Outage  time.Duration
	Fault   string        // of the sink, all the time
	Faults  int           // every how many requests
	Full    time.Duration // for this long, in the middle, the folder of the state has no room left; it is a file system of its own then, which takes root
}

// Result is what became of it.
type Result struct {
	Scenario  Scenario
	Missing   int64
	Doubled   int64
	Kills     int
	Rotations int
	Lost      []string // ranges of numbers, the first ones
	Exit      error
	Counts    Counts
	Took      time.Duration
}

func (r Result) String() string {
	return fmt.Sprintf("%s: %d lines, %d rotations (%s), %d kills, %d outages: %d missing, %d doubled, %d conflicts, exit %v, %s",
		r.Scenario.Name, r.Scenario.Lines, r.Rotations, r.Scenario.Kind, r.Kills, r.Scenario.Outages, r.Missing, r.Doubled, r.Counts.Conflicts, r.Exit, r.Took.Round(time.Millisecond))
}

// Run runs a scenario in a new folder below base, which stays when a line is missing or doubled.
func Run(base string, sink *Sink, ship Shipper, s Scenario, log io.Writer) (Result, error) {
	r := Result{Scenario: s}
	dir, err := os.MkdirTemp(base, "ship")
	if err != nil {
		return r, err
	}
	logs, state := filepath.Join(dir, "logs"), filepath.Join(dir, "state")
	if err := errors.Join(os.Mkdir(logs, 0o755), sink.Reset()); err != nil {
		return r, err
	}
	unmount := func() {}
	if s.Full > 0 {
		if unmount, err = smallDisk(state); err != nil {
			return r, err
		}
	}
	if s.Glob == "" {
		s.Glob = "app.log"
	}
	err = r.run(&process{argv: ship(logs, s.Glob, state, sink.URL), log: log}, sink, s, logs, state)
	unmount()
	if err != nil || r.Missing != 0 || r.Doubled != 0 {
		return r, err
	}
	return r, os.RemoveAll(dir)
}

func (r *Result) run(p *process, sink *Sink, s Scenario, logs, state string) error {
	if s.Fault != "" {
		if err := sink.Fault(s.Fault, s.Faults, 0); err != nil {
			return err
		}
	}
	started := time.Now()
	if err := p.start(); err != nil {
		return err
	}
	w := &Writer{Dir: logs, Lines: s.Lines, Rate: s.Rate, Kind: s.Kind, Every: s.Every, Keep: s.Keep, Meet: s.Meet, Begun: make(chan struct{})}
	wrote := make(chan error, 1)
	go func() { wrote <- w.Run() }()
	err := sink.began()
	close(w.Begun)
	if err != nil {
		return errors.Join(err, <-wrote, p.kill())
	}
	r.Kills, err = p.torture(sink, s, state, time.Duration(float64(s.Lines)/float64(s.Rate)*float64(time.Second)))
	if err := errors.Join(err, <-wrote); err != nil {
		return errors.Join(err, p.kill())
	}
	if r.Counts, err = settle(sink, int64(s.Lines)); err != nil {
		return errors.Join(err, p.kill())
	}
	if r.Lost, err = sink.Missing(s.Lines); err != nil {
		return errors.Join(err, p.kill())
	}
	r.Exit = p.stop()
	r.Missing, r.Doubled, r.Rotations, r.Took = int64(s.Lines)-r.Counts.Unique, r.Counts.Doubled, w.Rotations, time.Since(started)
	return nil
}
