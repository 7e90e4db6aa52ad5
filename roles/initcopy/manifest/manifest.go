// Package manifest remembers what initcopy published: the digest of every file, and what the kernel said of the copy and
// of its source right after. A later run that finds both unchanged knows the content without reading it; what it does not
// find so, it reads. A manifest is therefore a hint that is checked, never a truth that is believed: one that is lost,
// cut or damaged costs a read of the content and nothing else.
//
// The format is binary because a run that changes nothing spends most of its time here: twenty thousand entries are read
// in a few milliseconds. It ends with a SHA-256 of itself.
package manifest

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/sidecar-kit/sidecar/internal/publish"
	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
)

// magic begins every manifest; the number is that of the format.
const magic = "initcopy-manifest-2\n"

// limit is far above the largest manifest: a million entries with long names.
const limit = 1 << 30

// ErrDamaged means that the file is no manifest, or not a whole one.
var ErrDamaged = errors.New("not a whole manifest")

// Manifest is what one run published.
type Manifest struct {
	// Rules stands for the settings that decide what a copy looks like; with others every entry is compared anew.
	Rules string
	// Inputs are the sources that are no trees: archives, downloads, and what was read to make files.
	Inputs []Input
	// Entries are sorted by item.Compare.
	Entries []Entry
}

// Input is a source of content that is not copied file by file.
type Input struct {
	Name  string // as the user gave it, without secrets
	State State
	Sum   item.Sum
}

// Entry is one published file, folder or link.
type Entry struct {
	Path string // below the folder that was published into
	Kind item.Kind
	Mode uint32 // as it was set
	Got  uint32 // what it was then: some file systems and setgid folders have their own ideas
	// UID and GID are who it should belong to, item.Keep for whoever made it. Whether that was permitted is not said.
	UID, GID int
	Link     string
	Sum      item.Sum
	// Input is the number of the input that it came from, counted from 1; 0 for what was copied from a tree.
	Input  int
	Copy   State // of what was published
	Source State // of what it was copied from; zero when that was no file
}

// State is what the kernel says of a file. Nobody can change the content and keep it: the change time is not for users
// to set.
type State struct {
	Ino          uint64
	Size         int64
	Mtime, Ctime int64 // nanoseconds since 1970
}

// IsZero tells whether nothing is known.
func (s State) IsZero() bool { return s == State{} }

// Of is the state of an item that was listed.
func Of(it *item.Item) State {
	return State{Ino: it.Ident.Ino, Size: it.Size, Mtime: it.Mtime, Ctime: it.Ident.Ctime}
}

// Find returns the entry of a path, or nil.
func (m *Manifest) Find(path string) *Entry {
	i, ok := slices.BinarySearchFunc(m.Entries, path, func(e Entry, p string) int { return item.Compare(e.Path, p) })
	if !ok {
		return nil
	}
	return &m.Entries[i]
}

// Input returns the input of a name, or nil.
func (m *Manifest) Input(name string) *Input {
	i := slices.IndexFunc(m.Inputs, func(in Input) bool { return in.Name == name })
	if i < 0 {
		return nil
	}
	return &m.Inputs[i]
}

// Sort puts the entries into the order that Find and Write need.
func (m *Manifest) Sort() {
	slices.SortFunc(m.Entries, func(a, b Entry) int { return item.Compare(a.Path, b.Path) })
}

// Write publishes the manifest at path, atomically. perm is subject to the umask.
func (m *Manifest) Write(path string, perm os.FileMode) error {
	return Stream(path, perm, m.Rules, m.Inputs, len(m.Entries), func(i int, e *Entry) error {
		*e = m.Entries[i]
		return nil
	})
}

// Stream is Write for count entries that are not held in memory: entry is asked for one after the other, in their order,
// and fills in the (reused) Entry it is given. An error of it leaves the file at path as it was.
func Stream(path string, perm os.FileMode, rules string, inputs []Input, count int, entry func(i int, e *Entry) error) error {
	err := publish.File(path, perm, func(out io.Writer) error {
		sum := sha256.New()
		w := bufio.NewWriterSize(io.MultiWriter(out, sum), 64<<10)
		if err := encode(w, rules, inputs, count, entry); err != nil {
			return err
		}
		if err := w.Flush(); err != nil {
			return err
		}
		_, err := out.Write(sum.Sum(nil))
		return err
	})
	if err != nil {
		return fmt.Errorf("write manifest %s: %w", path, err)
	}
	return nil
}

func encode(w io.Writer, rules string, inputs []Input, count int, entry func(i int, e *Entry) error) error {
	b := append([]byte(nil), magic...)
	b = appendText(b, rules)
	b = binary.AppendUvarint(b, uint64(len(inputs)))
	for _, in := range inputs {
		b = appendText(b, in.Name)
		b = appendState(b, in.State)
		b = append(b, in.Sum[:]...)
	}
	b = binary.AppendUvarint(b, uint64(count))
	last, e := "", new(Entry)
	for i := range count {
		if _, err := w.Write(b); err != nil {
			return err
		}
		*e = Entry{}
		if err := entry(i, e); err != nil {
			return err
		}
		b = appendEntry(b[:0], last, e)
		last = e.Path
	}
	_, err := w.Write(b)
	return err
}

func appendEntry(b []byte, last string, e *Entry) []byte {
	shared := 0
	for shared < len(last) && shared < len(e.Path) && last[shared] == e.Path[shared] {
		shared++
	}
	b = binary.AppendUvarint(b, uint64(shared))
	b = appendText(b, e.Path[shared:])
	b = append(b, byte(e.Kind))
	b = binary.AppendUvarint(b, uint64(e.Input))
	b = binary.AppendUvarint(b, uint64(e.Mode))
	b = binary.AppendUvarint(b, uint64(e.Got))
	b = binary.AppendVarint(b, int64(e.UID))
	b = binary.AppendVarint(b, int64(e.GID))
	switch e.Kind {
	case item.File:
		b = append(b, e.Sum[:]...)
	case item.Symlink:
		b = appendText(b, e.Link)
	}
	b = appendState(b, e.Copy)
	return appendState(b, e.Source)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendState(b []byte, s State) []byte {
	b = binary.AppendUvarint(b, s.Ino)
	b = binary.AppendVarint(b, s.Size)
	b = binary.AppendVarint(b, s.Mtime)
	return binary.AppendVarint(b, s.Ctime-s.Mtime)
}

// Read reads the manifest at path. A file that is missing is fs.ErrNotExist, one that is damaged ErrDamaged.
func Read(path string) (*Manifest, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() || fi.Size() > limit {
		return nil, fmt.Errorf("%s: %w", path, ErrDamaged)
	}
	data := make([]byte, fi.Size())
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	m, err := decode(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// decode reads what Write wrote.
func decode(data []byte) (*Manifest, error) {
	if len(data) < len(magic)+sha256.Size || !bytes.HasPrefix(data, []byte(magic)) {
		return nil, ErrDamaged
	}
	body, sum := data[:len(data)-sha256.Size], data[len(data)-sha256.Size:]
	if got := sha256.Sum256(body); !bytes.Equal(got[:], sum) {
		return nil, ErrDamaged
	}
	d := &decoder{rest: body[len(magic):]}
	m := &Manifest{Rules: string(d.bytes())}
	for range d.count(sha256.Size) {
		m.Inputs = append(m.Inputs, Input{Name: string(d.bytes()), State: d.state(), Sum: d.sum()})
	}
	count := d.count(4)
	m.Entries = make([]Entry, 0, count)
	var path []byte
	var names arena
	for range count {
		shared := d.uvarint()
		tail := d.bytes()
		if shared > uint64(len(path)) {
			d.bad = true
		}
		if d.bad {
			return nil, ErrDamaged
		}
		path = append(path[:shared], tail...)
		m.Entries = append(m.Entries, d.entry(names.keep(path)))
	}
	if d.bad || len(d.rest) != 0 {
		return nil, ErrDamaged
	}
	return m, nil
}
