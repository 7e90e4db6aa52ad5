package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/sidecar-kit/sidecar/internal/procfs"
)

// pidMax is the largest process id of Linux; kill takes what is above or below
// the valid ones for a group, or for everybody.
const pidMax = 1 << 22

// pidFileMax is more than any pid file; the first line is the id, some servers
// write more below it.
const pidFileMax = 4 << 10

func openPID(t target, o *options) (look, error) {
	if name, ok := strings.CutPrefix(t.rest, "name="); ok {
		name, err := url.PathUnescape(name)
		if err != nil || name == "" || strings.Contains(name, "/") {
			return nil, fmt.Errorf("%s: %w", t.shown, errShape)
		}
		return func(context.Context) (string, error) { return byName(name) }, nil
	}
	name, _ := o.text("name")
	if n, err := strconv.Atoi(t.rest); err == nil {
		if n < 1 || n > pidMax {
			return nil, fmt.Errorf("%s: want a process id from 1 to %d", t.shown, pidMax)
		}
		return func(context.Context) (string, error) { return alive(n, name) }, nil
	}
	if !strings.HasPrefix(t.rest, "/") {
		return nil, fmt.Errorf("%s: %w", t.shown, errShape)
	}
	path, err := t.path()
	if err != nil {
		return nil, err
	}
	return patient(func() (string, error) {
		n, err := pidFile(path)
		if err != nil {
			return "", err
		}
		return alive(n, name)
	}, "the file system gave no answer"), nil
}

func alive(pid int, name string) (string, error) {
	if err := procfs.Running(pid); err != nil {
		return "", err
	}
	if name != "" && !procfs.Named(pid, name) {
		return "", fmt.Errorf("process %d is not %s, the id was taken by another one", pid, name)
	}
	return fmt.Sprintf("process %d is running", pid), nil
}

func byName(name string) (string, error) {
	pids, err := procfs.Find(name)
	if err != nil {
		return "", err
	}
	dead := 0
	for _, pid := range pids {
		if procfs.Running(pid) == nil {
			return fmt.Sprintf("process %d is running", pid), nil
		}
		dead++
	}
	if dead > 0 {
		return "", fmt.Errorf("only zombies are called %s", name)
	}
	return "", fmt.Errorf("no process is called %s (in another container of the pod? then shareProcessNamespace: true)", name)
}

func pidFile(path string) (int, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, reason(err)
	}
	if !info.Mode().IsRegular() {
		return 0, errors.New("not a regular file, want a pid file")
	}
	f, err := os.Open(path)
	if err != nil {
		return 0, reason(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, pidFileMax))
	if err != nil {
		return 0, reason(err)
	}
	return parsePID(string(data))
}

// parsePID reads the first line of a pid file.
func parsePID(text string) (int, error) {
	if text == "" {
		return 0, errors.New("the pid file is empty")
	}
	first, _, _ := strings.Cut(text, "\n")
	n, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || n < 1 || n > pidMax {
		return 0, errors.New("the first line of the pid file is no process id")
	}
	return n, nil
}
