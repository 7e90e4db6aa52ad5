package gitserve

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"

	"github.com/sidecar-kit/sidecar/internal/order"
)

// Entry is one line of a tree. Nothing about it is checked: it is also the way to hostile trees.
type Entry struct {
	Mode filemode.FileMode
	Name string
	Hash Hash
}

// PutObject stores any bytes as an object of a type.
func (r *Repo) PutObject(t plumbing.ObjectType, data []byte) (Hash, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.put(t, data)
}

// PutTree stores entries in the order given, whatever they are.
func (r *Repo) PutTree(entries ...Entry) (Hash, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.put(plumbing.TreeObject, encodeTree(entries))
}

// PutCommit stores a commit of any tree. It moves no ref: use SetRef.
func (r *Repo) PutCommit(tree Hash, parents ...Hash) (Hash, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.putCommit(tree, parents, "raw commit")
}

func encodeTree(entries []Entry) []byte {
	var b bytes.Buffer
	for _, e := range entries {
		fmt.Fprintf(&b, "%o %s\x00", uint32(e.Mode), e.Name)
		b.Write(e.Hash[:])
	}
	return b.Bytes()
}

func decodeTree(b []byte) ([]Entry, error) {
	var out []Entry
	for len(b) > 0 {
		head, rest, ok := bytes.Cut(b, []byte{0})
		mode, name, ok2 := bytes.Cut(head, []byte{' '})
		if !ok || !ok2 || len(rest) < len(Hash{}) {
			return nil, fmt.Errorf("tree is cut off after %d entries", len(out))
		}
		m, err := filemode.New(string(mode))
		if err != nil {
			return nil, err
		}
		e := Entry{Mode: m, Name: string(name)}
		copy(e.Hash[:], rest)
		out = append(out, e)
		b = rest[len(e.Hash):]
	}
	return out, nil
}

// apply changes a tree and returns the new one; the zero hash is the empty tree, in and out.
func (r *Repo) apply(tree Hash, changes map[string]File) (Hash, error) {
	byName := map[string]Entry{}
	if !tree.IsZero() {
		b, err := r.read(plumbing.TreeObject, tree)
		if err != nil {
			return Hash{}, err
		}
		entries, err := decodeTree(b)
		if err != nil {
			return Hash{}, err
		}
		for _, e := range entries {
			byName[e.Name] = e
		}
	}
	below := map[string]map[string]File{}
	for path, f := range changes {
		name, rest, deep := strings.Cut(path, "/")
		if name == "" || (deep && rest == "") {
			return Hash{}, fmt.Errorf("path %q is not clean", path)
		}
		if deep {
			if below[name] == nil {
				below[name] = map[string]File{}
			}
			below[name][rest] = f
			continue
		}
		if err := r.applyFile(byName, name, f); err != nil {
			return Hash{}, err
		}
	}
	for name, sub := range below {
		if err := r.applyDir(byName, name, sub); err != nil {
			return Hash{}, err
		}
	}
	if len(byName) == 0 {
		return Hash{}, nil
	}
	return r.put(plumbing.TreeObject, encodeTree(inGitOrder(byName)))
}

func (r *Repo) applyFile(byName map[string]Entry, name string, f File) error {
	if f.Data == nil {
		delete(byName, name)
		return nil
	}
	mode := f.Mode
	if mode == 0 {
		mode = filemode.Regular
	}
	if mode == filemode.Submodule {
		byName[name] = Entry{mode, name, plumbing.NewHash(string(f.Data))}
		return nil
	}
	h, err := r.put(plumbing.BlobObject, f.Data)
	if err != nil {
		return err
	}
	byName[name] = Entry{mode, name, h}
	return nil
}

func (r *Repo) applyDir(byName map[string]Entry, name string, sub map[string]File) error {
	var old Hash
	if e, ok := byName[name]; ok && e.Mode == filemode.Dir {
		old = e.Hash
	}
	h, err := r.apply(old, sub)
	if err != nil {
		return err
	}
	delete(byName, name)
	if !h.IsZero() {
		byName[name] = Entry{filemode.Dir, name, h}
	}
	return nil
}

// inGitOrder sorts as git does: a directory counts as if its name ended in a slash.
func inGitOrder(byName map[string]Entry) []Entry {
	key := func(e Entry) string {
		if e.Mode == filemode.Dir {
			return e.Name + "/"
		}
		return e.Name
	}
	out := make([]Entry, 0, len(byName))
	for _, e := range byName {
		out = append(out, e)
	}
	order.Sort(out, func(a, b Entry) int { return strings.Compare(key(a), key(b)) })
	return out
}
