// Package dead keeps what an output will never take, with the reason, in a file of JSON lines: bounded, durable before anything is
// acknowledged, and to be sent again when a person has mended what was wrong.
package dead

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Letter is one event that was refused.
type Letter struct {
	Time     time.Time       `json:"@timestamp"` // of the refusal
	Output   string          `json:"output"`
	Reason   string          `json:"reason"`
	Input    string          `json:"input"`
	Path     string          `json:"path"`
	Gen      uint64          `json:"generation"`
	Offset   int64           `json:"offset"`
	Size     int64           `json:"size"`
	Stamp    int64           `json:"stamp"`              // of the event, nanoseconds since 1970
	Document json.RawMessage `json:"document,omitempty"` // as the Elastic Common Schema has it, after all transforms
	Body     []byte          `json:"body,omitempty"`     // what was sent, where the document cannot be read any more
}

// File is where letters go. Beside NAME there is NAME.1, the older ones.
type File struct {
	path string
	max  int64

	mu      sync.Mutex // one Append at a time
	written atomic.Int64
	dropped atomic.Int64
	last    atomic.Pointer[Letter]
}

// New returns the file path, which with its older half takes at most limit bytes.
func New(path string, limit int64) *File { return &File{path: path, max: limit} }

// Path is the name of the newer half.
func (f *File) Path() string { return f.path }

// Written counts letters since the start; Dropped those that had to go because the file was full.
func (f *File) Written() int64 { return f.written.Load() }

// Dropped counts letters that were removed to keep the limit.
func (f *File) Dropped() int64 { return f.dropped.Load() }

// Last returns the newest letter of this process, or nil.
func (f *File) Last() *Letter { return f.last.Load() }

// Append writes letters. They are on disk when it returns nil.
func (f *File) Append(letters ...Letter) error {
	var b bytes.Buffer
	for _, l := range letters {
		if !json.Valid(l.Document) {
			l.Document = nil
		}
		line, err := json.Marshal(l)
		if err != nil {
			return fmt.Errorf("dead letter of %s at %d: %w", l.Path, l.Offset, err)
		}
		b.Write(line)
		b.WriteByte('\n')
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.append(b.Bytes()); err != nil {
		return fmt.Errorf("dead letters: %w", err)
	}
	f.written.Add(int64(len(letters)))
	if len(letters) > 0 {
		f.last.Store(&letters[len(letters)-1])
	}
	return nil
}

func (f *File) append(data []byte) error {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return err
	}
	file, err := f.open()
	if err != nil {
		return err
	}
	size, err := mend(file)
	if err == nil && size > 0 && size+int64(len(data)) > f.max/2 {
		if err = f.turn(); err == nil {
			file.Close()
			if file, err = f.open(); err != nil {
				return err
			}
			size = 0
		}
	}
	defer file.Close()
	if err != nil {
		return err
	}
	if _, err := file.WriteAt(data, size); err != nil {
		return errors.Join(err, file.Truncate(size))
	}
	return file.Sync()
}

// open opens and locks the file that has the name now: a replay may take the name away in between.
func (f *File) open() (*os.File, error) {
	for {
		file, err := os.OpenFile(f.path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		if err := lock(file); err != nil {
			file.Close()
			return nil, err
		}
		a, err1 := file.Stat()
		b, err2 := os.Stat(f.path)
		if err1 == nil && err2 == nil && os.SameFile(a, b) {
			return file, nil
		}
		file.Close()
		if err := errors.Join(err1, err2); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
}

// mend returns the size of the file up to its last whole line: a kill may have left less than a line behind it.
func mend(file *os.File) (int64, error) {
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	buf := make([]byte, 4096)
	for end := info.Size(); end > 0; {
		from := max(0, end-int64(len(buf)))
		n, err := file.ReadAt(buf[:end-from], from)
		if err != nil && err != io.EOF {
			return 0, err
		}
		if i := bytes.LastIndexByte(buf[:n], '\n'); i >= 0 {
			return from + int64(i) + 1, nil
		}
		end = from
	}
	return 0, nil
}

// turn makes the newer half the older one; what was the older one is counted and gone.
func (f *File) turn() error {
	old := f.path + ".1"
	n, err := count(old)
	if err != nil {
		return err
	}
	if err := os.Rename(f.path, old); err != nil {
		return err
	}
	f.dropped.Add(n)
	return nil
}

func count(path string) (int64, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer file.Close()
	buf := make([]byte, 64<<10)
	var lines int64
	for {
		n, err := file.Read(buf)
		lines += int64(bytes.Count(buf[:n], []byte{'\n'}))
		if err == io.EOF {
			return lines, nil
		}
		if err != nil {
			return lines, err
		}
	}
}

// Taken are letters that a replay took out of the way, so that new ones can be written meanwhile.
type Taken struct{ files []string }

// Take takes all letters there are, also those that an interrupted replay left. Remove removes them.
func (f *File) Take() (*Taken, error) {
	file, err := f.open()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	t := &Taken{}
	t.files = f.Unfinished()
	stamp := time.Now().UnixNano()
	for i, name := range []string{f.path + ".1", f.path} {
		aside := fmt.Sprintf("%s.replay-%d-%d", f.path, stamp, i)
		err := os.Rename(name, aside)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		t.files = append(t.files, aside)
	}
	return t, nil
}

// Unfinished lists the files that an interrupted replay has left.
func (f *File) Unfinished() []string {
	var left []string
	entries, err := os.ReadDir(filepath.Dir(f.path))
	if err != nil {
		return nil // there are none
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), filepath.Base(f.path)+".replay-") {
			left = append(left, filepath.Join(filepath.Dir(f.path), e.Name()))
		}
	}
	return left
}

// Each calls fn with every letter, the oldest first. A line that is none is an error with its place; the others are given all the same.
func (t *Taken) Each(fn func(Letter) error) error {
	var errs []error
	for _, path := range t.files {
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		err = Read(file, path, &errs, fn)
		file.Close()
		if err != nil {
			return err
		}
	}
	return errors.Join(errs...)
}

// Read calls fn with every letter of r. What is no letter is added to bad.
func Read(r io.Reader, name string, bad *[]error, fn func(Letter) error) error {
	lines := bufio.NewReaderSize(r, 64<<10)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return nil // what has no line end is what a kill left
		}
		if err != nil {
			return err
		}
		var l Letter
		if err := json.Unmarshal(line, &l); err != nil || l.Gen == 0 {
			*bad = append(*bad, fmt.Errorf("%s:%d: no dead letter of logship", name, n))
			continue
		}
		if err := fn(l); err != nil {
			return err
		}
	}
}

// Remove removes what was taken. It is called when all of it is delivered or written again.
func (t *Taken) Remove() error {
	var errs []error
	for _, path := range t.files {
		errs = append(errs, os.Remove(path))
	}
	return errors.Join(errs...)
}
