// Package journal remembers what the cron role started, so that a restart
// neither repeats a start nor forgets one. A start is written and synced before
// it is made: whatever happens after that, it does not happen twice.
//
// It is one file of lines, appended to and now and then replaced by a shorter
// one. A line that a crash cut in half fails its checksum and is the end of the
// file. Used by the dispatcher alone.
package journal

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/internal/publish"
)

const (
	fileName = "starts"
	lockName = "lock"
	// compactAt is the size at which the file is rewritten, if half of it is history.
	compactAt = 1 << 20
)

// ErrLocked says that another process uses the folder.
var ErrLocked = errors.New("another process uses it")

// Kind is what a record says.
type Kind byte

// The kinds of record.
const (
	Start   Kind = 's' // the start of At is about to be made
	Skip    Kind = 'k' // the start of At is not made, by policy
	End     Kind = 'e' // the run of At ended; not synced, a crash may lose it
	Suspend Kind = 'p' // the job was paused at At
	Resume  Kind = 'r' // and goes on
	Back    Kind = 'b' // the clock was set back to At, and the job follows it
)

// Record is one thing that happened to a job.
type Record struct {
	Kind Kind
	Job  string
	At   time.Time // the scheduled instant
}

// State is what is known of a job.
type State struct {
	Last      time.Time   // the newest instant that was started or skipped
	Open      []time.Time // started, and no end on record
	Suspended bool
}

// Journal is the open file. Its methods must not be called at once.
type Journal struct {
	dir    string
	lock   *os.File
	file   *os.File
	size   int64
	base   int64 // size after the last rewrite
	states map[string]*State
	Bad    int // lines that were not whole when the file was opened: one at the end is the mark of a crash
}

// Open opens the journal of a folder, which is made if its parent is there. An
// error wraps ErrLocked while another process has it open.
func Open(dir string) (*Journal, error) {
	if err := os.Mkdir(dir, 0o750); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	j := &Journal{dir: dir, states: map[string]*State{}}
	var err error
	if j.lock, err = lockFile(filepath.Join(dir, lockName)); err != nil {
		return nil, err
	}
	if err := j.load(); err != nil {
		j.lock.Close()
		return nil, err
	}
	return j, nil
}

func (j *Journal) load() error {
	f, err := os.OpenFile(filepath.Join(j.dir, fileName), os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return err
	}
	good, err := j.read(f)
	if err == nil {
		err = f.Truncate(good)
	}
	if err == nil {
		_, err = f.Seek(good, io.SeekStart)
	}
	if err == nil {
		err = syncDir(j.dir)
	}
	if err != nil {
		f.Close()
		return err
	}
	j.file, j.size, j.base = f, good, good
	if j.size > compactAt {
		// A process that often dies young would never see it double. Without room for that the file does as it is.
		_ = j.Compact(nil)
	}
	return nil
}

// read applies every whole record and returns where the last one ends.
func (j *Journal) read(r io.Reader) (int64, error) {
	in := bufio.NewReader(r)
	var good, at int64
	for {
		line, err := in.ReadBytes('\n')
		at += int64(len(line))
		if err != nil && !errors.Is(err, io.EOF) {
			return good, err
		}
		rec, ok := parse(line)
		switch {
		case ok && err == nil:
			j.apply(rec)
			good = at
		case len(line) > 0:
			j.Bad++
		}
		if err != nil {
			return good, nil
		}
	}
}

// format is "CRC KIND SECONDS JOB\n"; the sum is of what follows it. A job's name has no line feed.
func format(b *bytes.Buffer, r Record) {
	text := string(rune(r.Kind)) + " " + strconv.FormatInt(r.At.Unix(), 10) + " " + r.Job + "\n"
	fmt.Fprintf(b, "%08x %s", crc32.ChecksumIEEE([]byte(text)), text)
}

func parse(line []byte) (Record, bool) {
	sum, text, ok := strings.Cut(string(line), " ")
	if !ok || sum != fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(text))) {
		return Record{}, false
	}
	parts := strings.SplitN(strings.TrimSuffix(text, "\n"), " ", 3)
	if len(parts) != 3 || len(parts[0]) != 1 || parts[2] == "" {
		return Record{}, false
	}
	sec, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		return Record{}, false
	}
	return Record{Kind(parts[0][0]), parts[2], time.Unix(sec, 0)}, true
}

// mostOpen bounds what is kept of runs that never ended on record.
const mostOpen = 100

func (j *Journal) apply(r Record) {
	s := j.states[r.Job]
	if s == nil {
		s = &State{}
		j.states[r.Job] = s
	}
	switch r.Kind {
	case Start:
		s.Open = append(s.Open, r.At)
		if len(s.Open) > mostOpen {
			s.Open = s.Open[1:]
		}
	case End:
		for i, at := range s.Open {
			if at.Equal(r.At) {
				s.Open = append(s.Open[:i], s.Open[i+1:]...)
				break
			}
		}
	case Suspend, Resume:
		s.Suspended = r.Kind == Suspend
		return
	case Back:
		s.Last = r.At
		return
	}
	if r.At.After(s.Last) {
		s.Last = r.At
	}
}

// State returns what is known of a job.
func (j *Journal) State(name string) State {
	if s := j.states[name]; s != nil {
		return *s
	}
	return State{}
}

// Jobs is how many jobs are known.
func (j *Journal) Jobs() int { return len(j.states) }

// Write appends records, all or, after a crash, a part from the front. With
// sync it returns when they are on the disk.
func (j *Journal) Write(sync bool, records ...Record) error {
	if len(records) == 0 {
		return nil
	}
	if sync {
		if err := j.restore(); err != nil {
			return fmt.Errorf("journal: %w", err)
		}
	}
	var b bytes.Buffer
	for _, r := range records {
		format(&b, r)
	}
	if _, err := j.file.WriteAt(b.Bytes(), j.size); err != nil {
		// What got there is overwritten by the next write or refused by its sum.
		return fmt.Errorf("journal: %w", err)
	}
	if sync {
		if err := datasync(j.file); err != nil {
			return fmt.Errorf("journal: %w", err)
		}
	}
	j.size += int64(b.Len())
	for _, r := range records {
		j.apply(r)
	}
	if j.size > compactAt && j.size > 2*j.base {
		return j.Compact(nil)
	}
	return nil
}

// restore makes the file again when somebody removed it: what is written to a
// file without a name, no restart can read.
func (j *Journal) restore() error {
	if there, err := named(j.file); there || err != nil {
		return err
	}
	if err := os.Mkdir(j.dir, 0o750); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if there, err := named(j.lock); err != nil {
		return err
	} else if !there {
		lock, err := lockFile(filepath.Join(j.dir, lockName))
		if err != nil {
			return err
		}
		j.lock.Close()
		j.lock = lock
	}
	return j.Compact(nil)
}

// Compact rewrites the file with the newest record of each job. With keep, jobs
// for which it is false are forgotten.
func (j *Journal) Compact(keep func(job string) bool) error {
	path := filepath.Join(j.dir, fileName)
	var b bytes.Buffer
	for name, s := range j.states {
		if keep != nil && !keep(name) {
			delete(j.states, name)
			continue
		}
		if !s.Last.IsZero() {
			format(&b, Record{Skip, name, s.Last})
		}
		for _, at := range s.Open {
			format(&b, Record{Start, name, at})
		}
		if s.Suspended {
			format(&b, Record{Suspend, name, s.Last})
		}
	}
	err := publish.File(path, 0o640, func(w io.Writer) error {
		_, err := w.Write(b.Bytes())
		return err
	})
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	j.file.Close()
	j.file, j.size, j.base = f, int64(b.Len()), int64(b.Len())
	return nil
}

// Close gives the folder to the next process.
func (j *Journal) Close() error {
	err := datasync(j.file)
	return errors.Join(err, j.file.Close(), j.lock.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
