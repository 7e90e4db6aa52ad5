// Package keep is the housekeeping of log files that people would otherwise need logrotate and a cron job for: what every output
// has is removed, punched out of files that never end, or rotated away. Nothing is touched that is not acknowledged, and nothing
// without being asked for.
package keep

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sidecar-kit/sidecar/internal/draft"
)

// Policy is what may be done to the files of an input.
type Policy struct {
	Delete      bool          // remove rotated files that every output has
	DeleteAfter time.Duration // and that have not grown for as long as this
	Punch       bool          // give the blocks back that every output has, of files that still grow
	RotateSize  int64         // bytes at which a file is renamed; 0: never
	RotateAge   time.Duration // since it was found; 0: never
	Process     string        // that is told to open its file again
	Signal      syscall.Signal
}

// Any says whether there is anything to do.
func (p Policy) Any() bool { return p.Delete || p.Punch || p.RotateSize > 0 || p.RotateAge > 0 }

// Keys lists what Parse knows of an entry of inputs.
func Keys() []string {
	return []string{"delete", "delete-after", "punch", "rotate-size", "rotate-age", "rotate-signal"}
}

// Parse reads the keys of an entry of inputs.
func Parse(v draft.Value) (Policy, error) {
	var p Policy
	signal := ""
	err := v.Each(Keys(), func(key string, v draft.Value) error {
		switch key {
		case "delete":
			return v.Bool(&p.Delete)
		case "delete-after":
			p.Delete = true
			return v.Duration(&p.DeleteAfter, 0, 10*365*24*time.Hour)
		case "punch":
			return v.Bool(&p.Punch)
		case "rotate-size":
			return v.Size(&p.RotateSize, 4096, 1<<50)
		case "rotate-age":
			return v.Duration(&p.RotateAge, time.Second, 10*365*24*time.Hour)
		}
		if err := v.Word(&signal); err != nil {
			return err
		}
		return p.setSignal(v)
	})
	rotates := p.RotateSize > 0 || p.RotateAge > 0
	if rotates && signal == "" {
		err = errors.Join(err, v.Errorf("rotate-signal: say who writes the file, such as nginx:USR1, so that it opens a new one; or none where it notices by itself"))
	}
	if signal != "" && !rotates {
		err = errors.Join(err, v.Errorf("rotate-signal: without rotate-size or rotate-age nothing is rotated"))
	}
	return p, err
}

func (p *Policy) setSignal(v draft.Value) error {
	if v.Text == "none" {
		return nil
	}
	process, name, ok := strings.Cut(v.Text, ":")
	number := unix.SignalNum("SIG" + strings.TrimPrefix(strings.ToUpper(name), "SIG"))
	if !ok || process == "" || number == 0 {
		return v.Errorf("rotate-signal: %q is no PROCESS:SIGNAL such as nginx:USR1", v.Text)
	}
	if number == syscall.SIGKILL || number == syscall.SIGTERM || number == syscall.SIGSTOP {
		return v.Errorf("rotate-signal: %s would end the application", name)
	}
	p.Process, p.Signal = process, number
	return nil
}

func (p Policy) String() string {
	var parts []string
	if p.Delete {
		parts = append(parts, fmt.Sprintf("delete after %s", p.DeleteAfter))
	}
	if p.Punch {
		parts = append(parts, "punch")
	}
	if p.RotateSize > 0 || p.RotateAge > 0 {
		parts = append(parts, fmt.Sprintf("rotate at %d bytes or %s", p.RotateSize, p.RotateAge))
	}
	return strings.Join(parts, ", ")
}
