// Package lab runs programs, measures them and compares two of them pair by pair.
package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

// Usage is what one run of a program cost, its waited-for children included.
type Usage struct {
	Wall, CPU time.Duration
	PeakRSS   int64 // bytes, of the largest process
	Exit      int
}

// meterEnv turns a re-executed benchmark into a meter. A process inherits its parent's
// peak RSS through fork, so the program must be started by something small.
const meterEnv = "BENCH_METER_RESULT"

// killSignal makes a meter kill its program.
const killSignal = syscall.SIGUSR1

// MeterMain takes over when this process was started as a meter; call it first in main.
func MeterMain() {
	result := os.Getenv(meterEnv)
	if result == "" {
		return
	}
	os.Unsetenv(meterEnv)
	if err := meter(result, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(125)
	}
	os.Exit(0)
}

func meter(result string, argv []string) error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, killSignal)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		for s := range signals {
			if s == killSignal {
				s = syscall.SIGKILL
			}
			cmd.Process.Signal(s)
		}
	}()
	err := cmd.Wait()
	u := Usage{Wall: time.Since(start), Exit: cmd.ProcessState.ExitCode()}
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return err
	}
	r := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	u.CPU = time.Duration(r.Utime.Nano() + r.Stime.Nano())
	u.PeakRSS = r.Maxrss * 1024
	b, err := json.Marshal(u)
	if err != nil {
		return err
	}
	return os.WriteFile(result, b, 0o644)
}

// Metered is a program running under a meter.
type Metered struct {
	cmd    *exec.Cmd
	result string
	log    *os.File
}

// StartMetered starts argv under a meter; its output goes to a temporary file that
// errors quote.
func StartMetered(dir string, argv ...string) (*Metered, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	log, err := os.CreateTemp(dir, "log-*")
	if err != nil {
		return nil, err
	}
	m := &Metered{cmd: exec.Command(self, argv...), result: log.Name() + ".json", log: log}
	m.cmd.Env = append(os.Environ(), meterEnv+"="+m.result)
	m.cmd.Stdout, m.cmd.Stderr = log, log
	return m, m.cmd.Start()
}

// Stop asks the program to end; Wait still has to be called.
func (m *Metered) Stop() { m.cmd.Process.Signal(syscall.SIGTERM) }

// Kill ends a program that does not end when asked to; Wait still has to be called.
func (m *Metered) Kill() { m.cmd.Process.Signal(killSignal) }

// Wait returns what the program cost; an exit code other than 0 is an error.
func (m *Metered) Wait() (Usage, error) {
	defer m.log.Close()
	err := m.cmd.Wait()
	if err != nil {
		return Usage{}, fmt.Errorf("meter: %w: %s", err, m.Tail())
	}
	b, err := os.ReadFile(m.result)
	if err != nil {
		return Usage{}, err
	}
	var u Usage
	if err := json.Unmarshal(b, &u); err != nil {
		return Usage{}, err
	}
	if u.Exit != 0 {
		return u, fmt.Errorf("%s: exit %d: %s", m.cmd.Args[1], u.Exit, m.Tail())
	}
	return u, nil
}

// Tail is the end of what the program wrote.
func (m *Metered) Tail() string {
	b, err := os.ReadFile(m.log.Name())
	if err != nil {
		return err.Error()
	}
	if len(b) > 1500 {
		b = b[len(b)-1500:]
	}
	return string(b)
}

// Measure runs argv to its end.
func Measure(dir string, argv ...string) (Usage, error) {
	m, err := StartMetered(dir, argv...)
	if err != nil {
		return Usage{}, err
	}
	return m.Wait()
}
