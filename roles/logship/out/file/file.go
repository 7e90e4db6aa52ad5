// Package file writes events to a file on a volume, by lines, and begins a new one when it is full. A batch is done when it is on
// the disk.
package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/sidecar-kit/sidecar/roles/logship/out"
	"github.com/sidecar-kit/sidecar/roles/logship/out/plain"
	"github.com/sidecar-kit/sidecar/roles/logship/record"
)

// Config says where to write.
type Config struct {
	Path    string // absolute; its folder has to be there
	Format  plain.Format
	MaxSize int64 // bytes of a file; 0: it is never full
	Keep    int   // full files that stay: PATH.1 is the youngest
	Mode    fs.FileMode
	NoSync  bool // done when the kernel has it
}

// Sink is the output.
type Sink struct {
	o       Config
	traffic out.Traffic

	mu   sync.Mutex
	f    *os.File
	size int64
}

// New checks the configuration. It opens nothing.
func New(o Config) (*Sink, error) {
	if !filepath.IsAbs(o.Path) || filepath.Base(o.Path) == "/" {
		return nil, fmt.Errorf("%q is no absolute path of a file\nhint: file:///var/archive/app.log", o.Path)
	}
	if o.Mode == 0 {
		o.Mode = 0o640
	}
	return &Sink{o: o}, nil
}

// Append implements out.Sink.
func (s *Sink) Append(b *out.Batch, r *record.Record) (int32, error) {
	b.Body = s.o.Format.Append(b.Body, r)
	return 0, nil
}

// Send implements out.Sink. Batches that are not done leave nothing in the file, unless the process is killed.
func (s *Sink) Send(_ context.Context, b *out.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.write(b.Body); err != nil {
		how := out.Retry
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
			how = out.Pause
		}
		return &out.Failure{How: how, Err: err}
	}
	for i := range b.Items {
		b.Items[i].Verdict = out.Done
	}
	return nil
}

func (s *Sink) write(data []byte) error {
	if err := s.ready(int64(len(data))); err != nil {
		return err
	}
	s.traffic.Requests.Add(1)
	n, err := s.f.Write(data)
	s.traffic.Bytes.Add(int64(n))
	if err == nil && !s.o.NoSync {
		err = s.f.Sync()
	}
	if err != nil {
		// The rest of the batch would follow its own beginning.
		_ = s.f.Truncate(s.size)
		s.shut()
		return fmt.Errorf("write to %s: %w", s.o.Path, err)
	}
	s.size += int64(n)
	return nil
}

// ready opens the file, or another one when it was taken away or is full.
func (s *Sink) ready(more int64) error {
	if s.f != nil && s.moved() {
		s.shut()
	}
	if s.f != nil && s.o.MaxSize > 0 && s.size > 0 && s.size+more > s.o.MaxSize {
		if err := s.rotate(); err != nil {
			return err
		}
	}
	if s.f != nil {
		return nil
	}
	f, err := os.OpenFile(s.o.Path, os.O_RDWR|os.O_APPEND|os.O_CREATE, s.o.Mode)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", s.o.Path)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	s.f, s.size = f, info.Size()
	if err := s.mend(); err != nil {
		s.shut()
		return err
	}
	if s.o.NoSync {
		return nil
	}
	return syncFolder(filepath.Dir(s.o.Path))
}

// mend ends the last line of a file, which a kill or a full disk may have torn.
func (s *Sink) mend() error {
	var last [1]byte
	if s.size == 0 {
		return nil
	}
	if _, err := s.f.ReadAt(last[:], s.size-1); err != nil || last[0] == '\n' {
		return err
	}
	_, err := s.f.WriteString("\n")
	s.size++
	return err
}

// moved says whether the name is another file's by now, or none's.
func (s *Sink) moved() bool {
	there, err := os.Stat(s.o.Path)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	ours, err := s.f.Stat()
	return err == nil && !os.SameFile(there, ours)
}

func (s *Sink) rotate() error {
	s.shut()
	for i := s.o.Keep; i >= 1; i-- {
		from := s.o.Path
		if i > 1 {
			from = fmt.Sprintf("%s.%d", s.o.Path, i-1)
		}
		if err := os.Rename(from, fmt.Sprintf("%s.%d", s.o.Path, i)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if s.o.Keep == 0 {
		return os.Remove(s.o.Path)
	}
	return nil
}

func (s *Sink) shut() {
	if s.f != nil {
		_ = s.f.Close() // what was to be on the disk was synced
		s.f = nil
	}
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Run implements out.Sink.
func (s *Sink) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Close implements out.Sink.
func (s *Sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut()
	return nil
}

// Traffic implements out.Counted.
func (s *Sink) Traffic() *out.Traffic { return &s.traffic }
