package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/sidecar-kit/sidecar/bench/lab"
	"github.com/sidecar-kit/sidecar/bench/ship"
)

// logshipCases measure the logship role beside other shippers of logs. What is missing here is skipped, with the reason in the table.
func (b *bench) logshipCases() []benchCase {
	var list []benchCase
	for _, c := range []struct {
		name string
		run  func(*dock) ([]row, error)
	}{
		{"logship-lines", b.logshipLines},
		{"logship-parse", b.logshipParse},
		{"logship-gzip", b.logshipGzip},
		{"logship-memory", b.logshipMemory},
		{"logship-latency", b.logshipLatency},
		{"logship-safe", b.logshipSafe},
	} {
		list = append(list, benchCase{c.name, func() ([]row, error) {
			d, err := b.newDock()
			var rows []row
			if err == nil {
				defer d.close()
				rows, err = c.run(d)
			}
			if err != nil { // the other cases are measured all the same
				fmt.Fprintf(os.Stderr, "%s: %v\n", c.name, err)
				rows = append(rows, judged("**could not be measured**: "+err.Error(), "-", "-", "-", 1, 0, 0, ""))
			}
			return rows, nil
		}})
	}
	return list
}

// dock is where logs are shipped from: a folder, and a sink on its own processor.
type dock struct {
	b    *bench
	dir  string
	sink *ship.Sink
}

func (b *bench) newDock() (*dock, error) {
	dir, err := os.MkdirTemp(b.dir, "dock-*")
	if err != nil {
		return nil, err
	}
	program, err := b.sinkProgram()
	if err != nil {
		return nil, err
	}
	sink, err := ship.StartSink(program, 1<<20, "taskset", "-c", loadCPU)
	return &dock{b: b, dir: dir, sink: sink}, err
}

func (b *bench) sinkProgram() (string, error) {
	path := filepath.Join(b.bin, "essink")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if out, err := exec.Command("go", "build", "-o", b.bin+"/", "./essink").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the sink: %w: %s", err, out)
	}
	return path, nil
}

func (d *dock) close() {
	d.sink.Close()
	_ = os.RemoveAll(d.dir)
}

// lineBytes is how long a line of the files is, with its end.
const lineBytes = 135

// appendLogLine appends line number seq.
func appendLogLine(b []byte, seq int) []byte {
	from := len(b)
	b = fmt.Appendf(b, `{"seq":%d,"level":"info","user":"u%d","token":"t%d","msg":"request done","path":"/api/v1/items/%d","trace":"`, seq, seq%1000, seq%7919, seq%97)
	const hex = "0123456789abcdef"
	for i := 0; len(b)-from < lineBytes-3; i++ {
		b = append(b, hex[(seq*2654435761>>(i%24))&15])
	}
	return append(b, '"', '}', '\n')
}

// logFile writes a file with lines numbered from first, and reads it, so that it is in the cache.
func logFile(path string, first, n int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	var buf []byte
	for seq := first; seq < first+n && err == nil; {
		for buf = buf[:0]; seq < first+n && len(buf) < 1<<20; seq++ {
			buf = appendLogLine(buf, seq)
		}
		_, err = f.Write(buf)
	}
	return errors.Join(err, f.Sync(), f.Close())
}

// load is what has to be shipped, and how.
type load struct {
	dir         string // the logs
	glob        string
	lines       int
	gzip, parse bool
	work        string // of the shipper, new for each run
}

// path is the pattern of all logs.
func (l load) path() string { return filepath.Join(l.dir, l.glob) }

// freight makes a folder with one file.
func (d *dock) freight(lines int) (load, error) {
	l := load{dir: filepath.Join(d.dir, fmt.Sprintf("logs-%d", lines)), glob: "app.log", lines: lines}
	if err := os.MkdirAll(l.dir, 0o755); err != nil {
		return l, err
	}
	return l, logFile(l.path(), 1, lines)
}

// ready empties the sink, forgets former runs and makes a folder for the shipper.
func (d *dock) ready(l *load) (err error) {
	l.work, err = os.MkdirTemp(d.dir, "work-*")
	return errors.Join(err, d.sink.Reset(), os.RemoveAll(filepath.Join(l.dir, ".sidecar-logship")))
}

// ship runs a shipper until everything arrived and says what a line cost: user and system time of all its processes, its start and end
// in it. A run in which a line is missing or doubled is none.
func (d *dock) ship(s *shipper, l load) (lab.Sample, error) {
	if err := d.ready(&l); err != nil {
		return nil, err
	}
	defer os.RemoveAll(l.work)
	argv, err := s.argv(d, l)
	if err != nil {
		return nil, err
	}
	m, err := lab.StartMetered(l.work, append([]string{"taskset", "-c", proxyCPU}, argv...)...)
	if err != nil {
		return nil, err
	}
	c, err := d.arrived(l.lines, time.Minute)
	m.Stop()
	hung := time.AfterFunc(20*time.Second, m.Kill)
	u, werr := m.Wait()
	if !hung.Stop() && err == nil {
		err = errors.New("did not end within 20 s of SIGTERM")
	}
	if u.CPU == 0 || werr != nil && s.ours {
		err = errors.Join(err, werr)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %.300s", err, m.Tail())
	}
	return lab.Sample{"cpu": u.CPU.Seconds() / float64(l.lines), "rss": float64(u.PeakRSS), "bytes": float64(c.Bytes), "seconds": float64(c.Last-c.First) / 1e9}, nil
}

// arrived waits until the sink has n lines, each once.
func (d *dock) arrived(n int, limit time.Duration) (c ship.Counts, err error) {
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if c, err = d.sink.Counts(); err != nil || c.Unique >= int64(n) {
			break
		}
	}
	switch {
	case err != nil:
		return c, err
	case c.Unique != int64(n):
		return c, fmt.Errorf("%d of %d lines arrived", c.Unique, n)
	case c.Doubled != 0:
		return c, fmt.Errorf("%d lines arrived twice", c.Doubled)
	}
	return c, nil
}
