package crontab

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sidecar-kit/sidecar/roles/cron/job"
)

// maxFile bounds a file in memory.
const maxFile = 64 << 20

// Read reads files, and folders in the order of the names in them; names that have a dot, or that
// editors give to copies, are passed over, but for *.cron and *.crontab. In a spool each file is the
// crontab of the user of its name. The error joins all that is wrong in all of them.
func Read(paths []string, o Options) ([]*job.Job, []Problem, error) {
	p := newParser(o)
	for _, path := range paths {
		info, err := os.Stat(path)
		switch {
		case err != nil:
			p.unreadable(path, err)
		case info.IsDir():
			p.folder(path)
		default:
			p.open(path, "")
		}
	}
	if err := p.err(); err != nil {
		return nil, p.warnings, err
	}
	return p.jobs, p.warnings, nil
}

// folder reads a spool.
func (p *parser) folder(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		p.unreadable(dir, err)
		return
	}
	spool := slices.Contains(p.o.Spools, filepath.Clean(dir))
	for _, e := range entries {
		name, path := e.Name(), filepath.Join(dir, e.Name())
		switch {
		case name[0] == '.': // ..data of a ConfigMap, .gitignore
		case strings.ContainsAny(strings.TrimSuffix(strings.TrimSuffix(name, ".cron"), ".crontab"), ".~#"):
			p.warnings = append(p.warnings, Problem{File: path, Text: "passed over, because of a dot, ~ or # in its name; name the file itself to have it read"})
		default:
			// Through links: files of a ConfigMap are links.
			if info, err := os.Stat(path); err == nil && info.IsDir() {
				p.warnings = append(p.warnings, Problem{File: path, Text: "passed over, because it is a folder; engines make one where a file was to be mounted that is not there"})
				continue
			}
			if user := name; spool {
				p.open(path, user)
			} else {
				p.open(path, "")
			}
		}
	}
}

// open reads one file.
func (p *parser) open(path, user string) {
	data, err := readFile(path, p.o.Writable)
	if err != nil {
		p.unreadable(path, err)
		return
	}
	p.file(path, data, user)
}

func readFile(path string, writable bool) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	// A pipe without a writer would hang; /dev/stdin of a test is fine as a file.
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("not a regular file, for example /etc/crontab")
	}
	if mode := info.Mode().Perm(); mode&0o002 != 0 && !writable {
		return nil, fmt.Errorf("everybody may write to it (mode %04o), and a crontab is code: chmod o-w, or --allow-world-writable", mode)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		return nil, fmt.Errorf("larger than %d MiB: is this a crontab?", maxFile>>20)
	}
	return data, err
}

func (p *parser) unreadable(path string, err error) {
	var inner *os.PathError
	if errors.As(err, &inner) {
		err = inner.Err // the path is said already
	}
	p.errs = append(p.errs, &Problem{File: path, Text: err.Error()})
}
