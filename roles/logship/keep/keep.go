package keep

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/internal/notify"
	"github.com/sidecar-kit/sidecar/roles/logship/hold"
)

// step is how much must have been acknowledged since the last time before blocks are given back again.
const step = 1 << 20

// behind is how much is left of what every output has: the bytes before the positions tell whether the file is still the same.
const behind = 4096

// File is what housekeeping has to know of a file.
type File struct {
	Input   string
	Path    string // where it is now; empty: nowhere
	Gen     uint64
	Size    int64 // bytes that are known of
	Low     int64 // below this every output has it
	Rotated bool  // it has another name than the one that is written to, or nobody writes to it any more
	Plain   bool  // not compressed: offsets are those of the file
	Found   time.Time
	Grew    time.Time
	Same    func(fs.FileInfo) bool // tells whether what is at Path is this file
}

// Keeper does it. Tick is called by one goroutine; the counts may be read by all.
type Keeper struct {
	policies map[string]Policy
	log      zerolog.Logger
	punched  map[uint64]int64
	failed   map[string]bool // paths that were complained about

	Deleted, DeletedBytes, Punched, Rotated, Errors atomic.Int64
}

// New returns a keeper; policies are by input.
func New(policies map[string]Policy, log zerolog.Logger) *Keeper {
	return &Keeper{policies: policies, log: log, punched: map[uint64]int64{}, failed: map[string]bool{}}
}

// Busy says whether any input wants anything.
func (k *Keeper) Busy() bool {
	for _, p := range k.policies {
		if p.Any() {
			return true
		}
	}
	return false
}

// Tick looks at all files once.
func (k *Keeper) Tick(ctx context.Context, now time.Time, files []File) {
	for i := range files {
		f := &files[i]
		p := k.policies[f.Input]
		if f.Path == "" || !p.Any() {
			continue
		}
		if err := k.one(ctx, now, f, p); err != nil {
			k.Errors.Add(1)
			if !k.failed[f.Path] {
				k.failed[f.Path] = true
				k.log.Warn().AnErr("err", err).Str("path", f.Path).Msg("housekeeping failed; it is tried again without saying so")
			}
		}
	}
}

func (k *Keeper) one(ctx context.Context, now time.Time, f *File, p Policy) error {
	switch {
	case f.Rotated && p.Delete && f.Low >= f.Size && now.Sub(f.Grew) >= p.DeleteAfter:
		return k.remove(f)
	case !f.Rotated && f.Plain && (p.RotateSize > 0 && f.Size >= p.RotateSize || p.RotateAge > 0 && f.Size > 0 && now.Sub(f.Found) >= p.RotateAge):
		return k.rotate(ctx, now, f, p)
	case p.Punch && f.Plain && f.Low-k.punched[f.Gen] >= step:
		return k.punch(f)
	}
	return nil
}

// remove removes the name of a file, if it is still that file and has not grown.
func (k *Keeper) remove(f *File) error {
	info, err := os.Lstat(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !f.Same(info) || f.Plain && info.Size() > f.Size {
		return nil // it grew, or is another one: the next tick knows more
	}
	if err := os.Remove(f.Path); err != nil {
		return err
	}
	k.Deleted.Add(1)
	k.DeletedBytes.Add(info.Size())
	k.log.Info().Str("path", f.Path).Int64("bytes", info.Size()).Msg("removed a rotated file that every output has")
	return nil
}

func (k *Keeper) punch(f *File) error {
	file, err := os.OpenFile(f.Path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || !f.Same(info) {
		return err
	}
	k.punched[f.Gen] = f.Low
	n, err := hold.Punch(file, f.Low-behind)
	k.Punched.Add(n)
	return err
}

// rotate gives the file another name, which must be free, and tells the application.
func (k *Keeper) rotate(ctx context.Context, now time.Time, f *File, p Policy) error {
	info, err := os.Lstat(f.Path)
	if err != nil || !f.Same(info) {
		return err
	}
	base := f.Path + "-" + now.UTC().Format("20060102T150405Z")
	to := base
	for i := 1; ; i++ {
		err := move(f.Path, to, f.Same)
		if err == nil {
			break
		}
		if errors.Is(err, errOther) {
			return nil
		}
		if !errors.Is(err, fs.ErrExist) || i > 1000 {
			return err
		}
		to = base + "." + strconv.Itoa(i)
	}
	k.Rotated.Add(1)
	k.log.Info().Str("path", f.Path).Str("to", filepath.Base(to)).Int64("bytes", info.Size()).Msg("rotated")
	if p.Process == "" {
		return nil
	}
	if err := (notify.Signal{Process: p.Process, Signal: p.Signal}).Notify(ctx, notify.Event{}); err != nil {
		return fmt.Errorf("%s was rotated, but who writes it does not know: %w", f.Path, err)
	}
	return nil
}
