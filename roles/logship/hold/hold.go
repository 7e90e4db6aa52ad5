// Package hold keeps bytes alive that an application is about to remove: by a hard link on the same volume (a pin), which costs
// nothing, or where no link is possible by a copy (the spool). And it gives room back: files that every output has, and the
// front of files that never end.
package hold

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
)

// Folder is where pins are, beside the files.
const Folder = ".sidecar-logship"

// ErrImpossible means that a volume allows no pins: it is read-only, or the files belong to somebody else.
var ErrImpossible = errors.New("hard links are not possible here")

// Pins are the hard links of generations, in a folder of each folder that files are read from.
type Pins struct {
	mu  sync.Mutex // guards bad
	bad map[string]error
}

// NewPins returns a keeper of links.
func NewPins() *Pins { return &Pins{bad: map[string]error{}} }

// Pin links the content of an open file into folder as gen. A link that is there already is none that needs making. An error that
// wraps ErrImpossible holds for the folder, and is given again without another try.
func (p *Pins) Pin(folder string, f *os.File, gen uint64) error {
	p.mu.Lock()
	known := p.bad[folder]
	p.mu.Unlock()
	if known != nil {
		return known
	}
	err := p.pin(folder, f, gen)
	if errors.Is(err, ErrImpossible) {
		p.mu.Lock()
		p.bad[folder] = err
		p.mu.Unlock()
	}
	return err
}

func (p *Pins) pin(folder string, f *os.File, gen uint64) error {
	dir := filepath.Join(folder, Folder)
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %w", ErrImpossible, err)
	}
	d, err := openOwn(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return link(f, d, name(gen))
}

// Claim makes the folder of pins in folder, and says when it is not ours alone: a link, another user's, or open to others.
func Claim(folder string) error {
	dir := filepath.Join(folder, Folder)
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	d, err := openOwn(dir)
	if err != nil {
		return err
	}
	return d.Close()
}

// Unpin removes a link. One that is not there is no error.
func (p *Pins) Unpin(folder string, gen uint64) error {
	d, err := openOwn(filepath.Join(folder, Folder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close()
	return unlink(d, name(gen))
}

// List returns the generations that are pinned in folder. A folder without pins has none.
func (p *Pins) List(folder string) ([]uint64, error) {
	d, err := openOwn(filepath.Join(folder, Folder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	var gens []uint64
	for _, n := range names {
		if gen, err := strconv.ParseUint(n, 16, 64); err == nil && name(gen) == n {
			gens = append(gens, gen)
		}
	}
	return gens, err
}

// Open opens a pinned file for reading.
func (p *Pins) Open(folder string, gen uint64) (*os.File, error) {
	d, err := openOwn(filepath.Join(folder, Folder))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return openAt(d, name(gen))
}

// Sweep removes the pins of folder that keep does not want, and the folder of pins once it is empty.
func (p *Pins) Sweep(folder string, keep func(gen uint64) bool) error {
	gens, err := p.List(folder)
	errs := []error{err}
	left := 0
	for _, gen := range gens {
		if keep(gen) {
			left++
			continue
		}
		errs = append(errs, p.Unpin(folder, gen))
	}
	if left == 0 {
		_ = os.Remove(filepath.Join(folder, Folder)) // fails where something else is in it
	}
	return errors.Join(errs...)
}

func name(gen uint64) string { return fmt.Sprintf("%016x", gen) }
