package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/sidecar-kit/sidecar/bench/lab"
	"github.com/sidecar-kit/sidecar/bench/ship"
)

// logshipMemory asks how large the process gets, and what it does while nothing happens.
func (b *bench) logshipMemory(d *dock) ([]row, error) {
	const mib = 1 << 20
	var rows []row
	bounded := func(what string, peak float64, err error, floor, target float64) {
		if err != nil {
			rows = append(rows, judged("**could not be measured**: "+what+": "+err.Error(), "-", "-", "-", 1, 0, 0, ""))
			return
		}
		rows = append(rows, judged("peak memory, "+what, lab.MB(peak), "-", "-", peak, floor*1e6, target*1e6, fmt.Sprintf("%.0f / %.0f MB", floor, target)))
	}
	peak, err := d.peakOf(b.sized(2_000_000, 50_000))
	bounded(fmt.Sprintf("one file of %d MB at full speed", b.sized(2_000_000, 50_000)*lineBytes/1e6), peak, err, 48, 24)
	outage := time.Duration(b.sized(60, 2)) * time.Second
	peak, err = d.outage(outage)
	bounded(fmt.Sprintf("while the sink answers with 503 for %s and 10,000 lines a second come, and at full speed afterwards", outage), peak, err, 48, 24)
	files := b.sized(2000, 200)
	peak, idle, err := d.manyFiles(files, b.sized(500, 20), time.Duration(b.sized(20, 3))*time.Second)
	bounded(fmt.Sprintf("%d files at full speed", files), peak, err, 64, 32)
	if err == nil {
		rows = append(rows, judged(fmt.Sprintf("idle with %d files: part of a processor", files), fmt.Sprintf("%.3f %%", idle*100), "-", "-", idle*100, 0.5, 0.1, "0.5 / 0.1 %"))
	}
	long := b.sized(1024, 32) * mib
	peak, err = d.longLine(long)
	bounded(fmt.Sprintf("a line of %d MiB, split", long/mib), peak, err, 64, 40)
	return rows, nil
}

// launch starts our shipper on its processor.
func (d *dock) launch(l load) (*daemon, error) {
	argv, err := d.b.ourShipper().argv(d, l)
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(l.work, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command("taskset", append([]string{"-c", proxyCPU}, argv...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return startDaemon(cmd, log)
}

// voyage launches our shipper, does something, and returns its peak memory when n lines have arrived.
func (d *dock) voyage(l load, limit time.Duration, while func(*daemon) error) (peak float64, err error) {
	if err := d.ready(&l); err != nil {
		return 0, err
	}
	defer os.RemoveAll(l.work)
	p, err := d.launch(l)
	if err != nil {
		return 0, err
	}
	defer p.stop(10 * time.Second)
	if while != nil {
		if err := while(p); err != nil {
			return 0, err
		}
	}
	if _, err := d.arrived(l.lines, limit); err != nil {
		return 0, err
	}
	v, err := look(p.pid())
	return v.peak, err
}

func (d *dock) peakOf(lines int) (float64, error) {
	l, err := d.freight(lines)
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(l.dir)
	return d.voyage(l, time.Minute, nil)
}

// outage writes while nothing can be sent.
func (d *dock) outage(long time.Duration) (float64, error) {
	const rate = 10_000
	l := load{dir: filepath.Join(d.dir, "outage"), glob: "app.log", lines: int(long.Seconds()+1) * rate}
	if err := os.Mkdir(l.dir, 0o755); err != nil {
		return 0, err
	}
	return d.voyage(l, time.Minute, func(*daemon) error {
		w := &ship.Writer{Dir: l.dir, Lines: l.lines, Rate: rate, Kind: ship.None}
		return errors.Join(d.sink.Fault("503", 1, long), w.Run())
	})
}

// manyFiles ships n files at once and then looks what the process does for some time.
func (d *dock) manyFiles(n, lines int, idle time.Duration) (peak, busy float64, err error) {
	l := load{dir: filepath.Join(d.dir, "many"), glob: "*.log", lines: n * lines}
	if err := os.Mkdir(l.dir, 0o755); err != nil {
		return 0, 0, err
	}
	for i := range n {
		if err := logFile(filepath.Join(l.dir, fmt.Sprintf("app-%04d.log", i)), 1+i*lines, lines); err != nil {
			return 0, 0, err
		}
	}
	peak, err = d.voyage(l, time.Minute, func(p *daemon) error {
		if _, err := d.arrived(l.lines, time.Minute); err != nil {
			return err
		}
		time.Sleep(idle) // after which it has put its things away
		before, err := look(p.pid())
		if err != nil {
			return err
		}
		began := time.Now()
		time.Sleep(idle)
		after, err := look(p.pid())
		busy = (after.cpu - before.cpu).Seconds() / time.Since(began).Seconds()
		return err
	})
	return peak, busy, err
}

// longLine ships a line that is far longer than any buffer, between two others.
func (d *dock) longLine(size int) (float64, error) {
	l := load{dir: filepath.Join(d.dir, "long"), glob: "app.log", lines: 2}
	if err := os.Mkdir(l.dir, 0o755); err != nil {
		return 0, err
	}
	defer os.RemoveAll(l.dir)
	f, err := os.Create(l.path())
	if err != nil {
		return 0, err
	}
	_, err = f.Write(appendLogLine(nil, 1))
	for chunk, left := bytes.Repeat([]byte("x"), 1<<20), size; left > 0 && err == nil; left -= len(chunk) {
		_, err = f.Write(chunk)
	}
	_, werr := f.Write(appendLogLine([]byte("\n"), 2))
	if err := errors.Join(err, werr, f.Close()); err != nil {
		return 0, err
	}
	return d.voyage(l, time.Minute, nil)
}
