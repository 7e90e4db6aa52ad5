// Package gitserve is a small git server in the process: a repository that is filled by calls, and an HTTP
// handler that serves it and can misbehave on demand.
//
// It promises the same object names for the same calls in every run, and packs a real git accepts. It is made
// for tests and for the demo: it keeps everything in memory (or in one directory) and authenticates one user.
package gitserve

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/storage"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/go-git/go-git/v5/storage/memory"

	"github.com/sidecar-kit/sidecar/roles/gitsync/remote/packout"
)

// Hash is the name of an object.
type Hash = plumbing.Hash

// File is the new content of a path. Nil Data deletes the path, a file or a whole directory.
type File struct {
	Data []byte
	Mode filemode.FileMode // zero means a regular file; Data of a symlink is its target
}

// Repo is a repository. Its methods may be called while it is served.
type Repo struct {
	mu    sync.Mutex
	st    storage.Storer
	clock time.Time
	cache packout.Cache
}

// NewRepo makes an empty repository in memory, with HEAD on main.
func NewRepo() *Repo {
	r, err := newRepo(memory.NewStorage())
	if err != nil {
		panic(err) // memory does not fail
	}
	return r
}

// NewRepoDir makes or opens a bare repository in a directory, which git can read too.
func NewRepoDir(dir string) (*Repo, error) {
	st := filesystem.NewStorage(osfs.New(dir), cache.NewObjectLRUDefault())
	if err := st.Init(); err != nil {
		return nil, fmt.Errorf("make repository in %s: %w", dir, err)
	}
	cfg, err := st.Config()
	if err != nil {
		return nil, fmt.Errorf("open repository in %s: %w", dir, err)
	}
	cfg.Core.IsBare = true
	if err := st.SetConfig(cfg); err != nil {
		return nil, fmt.Errorf("make repository in %s: %w", dir, err)
	}
	return newRepo(st)
}

func newRepo(st storage.Storer) (*Repo, error) {
	// A fixed start makes names of commits the same in every run.
	r := &Repo{st: st, clock: time.Unix(1_700_000_000, 0).UTC()}
	if _, err := st.Reference(plumbing.HEAD); err == nil {
		return r, nil
	}
	return r, r.SetHead("refs/heads/main")
}

// EncodedObject makes Repo a source of packs. Storages are not safe for concurrent use, the lock is.
func (r *Repo) EncodedObject(t plumbing.ObjectType, h Hash) (plumbing.EncodedObject, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.st.EncodedObject(t, h)
}

// Commit adds a commit to a branch (short name or full ref) and returns its hash. Its parent is the branch's
// tip; a branch that does not exist begins with it.
func (r *Repo) Commit(branch string, changes map[string]File) (Hash, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := fullName(branch)
	var parents []Hash
	var tree Hash
	if ref, err := r.st.Reference(name); err == nil {
		parents = []Hash{ref.Hash()}
		if tree, err = r.treeOf(ref.Hash()); err != nil {
			return Hash{}, err
		}
	}
	return r.commit(name, tree, parents, changes)
}

// ForceCommit replaces a branch's whole history by one commit with just these files.
func (r *Repo) ForceCommit(branch string, files map[string]File) (Hash, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.commit(fullName(branch), Hash{}, nil, files)
}

func (r *Repo) commit(name plumbing.ReferenceName, tree Hash, parents []Hash, changes map[string]File) (Hash, error) {
	tree, err := r.apply(tree, changes)
	if err != nil {
		return Hash{}, err
	}
	if tree.IsZero() {
		if tree, err = r.put(plumbing.TreeObject, nil); err != nil {
			return Hash{}, err
		}
	}
	h, err := r.putCommit(tree, parents, "commit to "+name.Short())
	if err != nil {
		return Hash{}, err
	}
	return h, r.st.SetReference(plumbing.NewHashReference(name, h))
}

// MergeCommit adds a commit with the first parent's tree and all these parents.
func (r *Repo) MergeCommit(branch string, parents ...Hash) (Hash, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	tree, err := r.treeOf(parents[0])
	if err != nil {
		return Hash{}, err
	}
	return r.commit(fullName(branch), tree, parents, nil)
}

func (r *Repo) treeOf(commit Hash) (Hash, error) {
	b, err := r.read(plumbing.CommitObject, commit)
	if err != nil {
		return Hash{}, err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return plumbing.NewHash(strings.TrimPrefix(line, "tree ")), nil
}

// SetRef points a ref (full name) at an object.
func (r *Repo) SetRef(name string, h Hash) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.st.SetReference(plumbing.NewHashReference(plumbing.ReferenceName(name), h))
}

// DeleteRef removes a ref (full name).
func (r *Repo) DeleteRef(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.st.RemoveReference(plumbing.ReferenceName(name))
}

// SetHead makes HEAD point to a branch (full name), which need not exist.
func (r *Repo) SetHead(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.st.SetReference(plumbing.NewSymbolicReference(plumbing.HEAD, plumbing.ReferenceName(name)))
}

// Ref returns where a ref (full name, or HEAD) points; the zero hash when it does not exist.
func (r *Repo) Ref(name string) Hash {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.resolve(plumbing.ReferenceName(name))
}

func (r *Repo) resolve(name plumbing.ReferenceName) Hash {
	for range 5 {
		ref, err := r.st.Reference(name)
		if err != nil {
			return Hash{}
		}
		if ref.Type() == plumbing.HashReference {
			return ref.Hash()
		}
		name = ref.Target()
	}
	return Hash{}
}

// Tag makes refs/tags/name: with a message an annotated tag, without one a light one. It returns what the ref
// then points at.
func (r *Repo) Tag(name string, target Hash, message string) (Hash, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if message != "" {
		obj, err := r.st.EncodedObject(plumbing.AnyObject, target)
		if err != nil {
			return Hash{}, fmt.Errorf("tag %s: %w", name, err)
		}
		text := fmt.Sprintf("object %s\ntype %s\ntag %s\ntagger %s\n\n%s\n", target, obj.Type(), name, r.who(), message)
		if target, err = r.put(plumbing.TagObject, []byte(text)); err != nil {
			return Hash{}, err
		}
	}
	ref := plumbing.NewHashReference(plumbing.NewTagReferenceName(name), target)
	return target, r.st.SetReference(ref)
}

func (r *Repo) who() string {
	r.clock = r.clock.Add(time.Second)
	return fmt.Sprintf("gitserve <gitserve@localhost> %d +0000", r.clock.Unix())
}

func (r *Repo) putCommit(tree Hash, parents []Hash, message string) (Hash, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "tree %s\n", tree)
	for _, p := range parents {
		fmt.Fprintf(&b, "parent %s\n", p)
	}
	who := r.who()
	fmt.Fprintf(&b, "author %s\ncommitter %s\n\n%s\n", who, who, message)
	return r.put(plumbing.CommitObject, []byte(b.String()))
}

func (r *Repo) put(t plumbing.ObjectType, data []byte) (Hash, error) {
	obj := r.st.NewEncodedObject()
	obj.SetType(t)
	obj.SetSize(int64(len(data)))
	w, err := obj.Writer()
	if err != nil {
		return Hash{}, err
	}
	if _, err := w.Write(data); err != nil {
		return Hash{}, err
	}
	if err := w.Close(); err != nil {
		return Hash{}, err
	}
	return r.st.SetEncodedObject(obj)
}

func (r *Repo) read(t plumbing.ObjectType, h Hash) ([]byte, error) {
	obj, err := r.st.EncodedObject(t, h)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", h, err)
	}
	rd, err := obj.Reader()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", h, err)
	}
	defer rd.Close()
	return io.ReadAll(rd)
}

func fullName(branch string) plumbing.ReferenceName {
	if strings.HasPrefix(branch, "refs/") {
		return plumbing.ReferenceName(branch)
	}
	return plumbing.NewBranchReferenceName(branch)
}
