package ship

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// settle waits until everything arrived, or nothing more does, or the same comes again for ever.
func settle(sink *Sink, lines int64) (Counts, error) {
	const silence, patience = 15 * time.Second, 40 * time.Second
	var last Counts
	started, quiet := time.Now(), time.Now()
	for {
		c, err := sink.Counts()
		if err != nil {
			return c, err
		}
		if c.Docs != last.Docs {
			quiet = time.Now()
		}
		last = c
		if c.Unique >= lines && time.Since(quiet) > 300*time.Millisecond || time.Since(quiet) > silence || time.Since(started) > patience {
			return c, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// process is the shipper, which is started again and again.
type process struct {
	argv []string
	log  io.Writer
	cmd  *exec.Cmd
}

func (p *process) start() error {
	p.cmd = exec.Command(p.argv[0], p.argv[1:]...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	return p.cmd.Start()
}

func (p *process) kill() error {
	err := p.cmd.Process.Kill()
	_ = p.cmd.Wait() // killed
	return err
}

// stop wants it to end by itself.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- p.cmd.Wait() }()
	select {
	case err := <-done:
		return err
	case <-time.After(30 * time.Second):
		return errors.Join(errors.New("it did not end within 30s"), p.cmd.Process.Kill())
	}
}

// event is what happens to the shipper at some time.
type event struct {
	at time.Duration
	do func() error
}

// torture kills the shipper and makes the sink and the disk fail, spread over a time.
func (p *process) torture(sink *Sink, s Scenario, state string, over time.Duration) (kills int, err error) {
	var events []event
	for range s.Kills {
		events = append(events, event{time.Duration(rand.Float64() * float64(over)), func() error {
			if err := p.kill(); err != nil {
				return fmt.Errorf("the shipper ended by itself: %w", err)
			}
			kills++
			time.Sleep(s.Down)
			return p.start()
		}})
	}
	for i := range s.Outages {
		events = append(events, event{over * time.Duration(i+1) / time.Duration(s.Outages+1), func() error { return sink.Fault("503", 1, s.Outage) }})
	}
	if ballast := filepath.Join(state, "ballast"); s.Full > 0 {
		events = append(events, event{over / 3, func() error { return fill(ballast) }}, event{over/3 + s.Full, func() error { return os.Remove(ballast) }})
	}
	slices.SortFunc(events, func(a, b event) int { return int(a.at - b.at) })
	start := time.Now()
	for _, e := range events {
		time.Sleep(e.at - time.Since(start))
		if err := e.do(); err != nil {
			return kills, err
		}
	}
	return kills, nil
}

// smallDisk mounts a file system of a megabyte at dir.
func smallDisk(dir string) (unmount func(), err error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", dir).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("a small file system for the state, which takes root: %w: %s", err, out)
	}
	return func() { _ = exec.Command("umount", "-l", dir).Run() }, nil
}

// fill leaves no room.
func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for chunk := make([]byte, 4096); len(chunk) > 0; {
		if _, err := f.Write(chunk); err != nil {
			chunk = chunk[:len(chunk)/2]
		}
	}
	return nil
}
