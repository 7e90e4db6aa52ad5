package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"mvdan.cc/sh/v3/interp"
)

// ours marks the words that the library knows and refuses: scripts of crontabs
// tell a server to reload, and keep what they write from others.
const ours = "\x00"

// own takes the words kill and umask from the library.
func own(_ context.Context, args []string) ([]string, error) {
	if len(args) > 0 && (args[0] == "kill" || args[0] == "umask") {
		args = append([]string{ours + args[0]}, args[1:]...)
	}
	return args, nil
}

// builtin runs a word that own took.
func builtin(hc interp.HandlerContext, name string, args []string) error {
	if name == "kill" {
		return report(hc.Stderr, name, kill(hc.Stdout, args))
	}
	return report(hc.Stderr, name, umask(hc.Stdout, args))
}

// kill sends a signal to processes, or with a number below zero to a group.
func kill(out io.Writer, args []string) error {
	sig := syscall.SIGTERM
	if len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' && args[0] != "--" {
		name := args[0][1:]
		args = args[1:]
		if (name == "s" || name == "n") && len(args) > 0 {
			name, args = args[0], args[1:]
		}
		if name == "l" {
			_, err := fmt.Fprintln(out, "HUP INT QUIT KILL USR1 USR2 TERM CONT STOP")
			return err
		}
		var ok bool
		if sig, ok = signal(name); !ok {
			return fmt.Errorf("%s: no such signal: kill -HUP 17, kill -s TERM 17", name)
		}
	}
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return errors.New("which? kill -HUP $(cat /run/server.pid)")
	}
	var errs []error
	for _, arg := range args {
		pid, err := strconv.Atoi(strings.TrimSpace(arg))
		if err != nil {
			err = errors.New("not the number of a process; what this shell runs in the background has none")
		} else {
			err = syscall.Kill(pid, sig)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", arg, err))
		}
	}
	return errors.Join(errs...)
}

func signal(name string) (syscall.Signal, bool) {
	if n, err := strconv.ParseUint(name, 10, 6); err == nil {
		return syscall.Signal(n), true
	}
	name = strings.ToUpper(name)
	n := unix.SignalNum("SIG" + strings.TrimPrefix(name, "SIG"))
	return n, n != 0
}

// umask holds for the whole script: its subshells are no processes.
func umask(out io.Writer, args []string) error {
	if len(args) == 0 {
		mask := syscall.Umask(0)
		syscall.Umask(mask)
		_, err := fmt.Fprintf(out, "%04o\n", mask)
		return err
	}
	mask, err := strconv.ParseUint(args[0], 8, 9)
	if err != nil || len(args) > 1 {
		return fmt.Errorf("%s: want an octal number: umask 077", strings.Join(args, " "))
	}
	syscall.Umask(int(mask))
	return nil
}
