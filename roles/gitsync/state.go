package gitsync

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/sidecar-kit/sidecar/internal/publish"
)

// state is what has to be known after a restart. It is a hint, never an authority: what it says of a tree is compared
// with the tree, and without it everything is fetched and built afresh beside what is published.
type state struct {
	Format int    `json:"format"`
	Repo   string `json:"repo"` // without credentials
	Ref    string `json:"ref"`
	Depth  int    `json:"depth"`
	Look   string `json:"look"` // settings that change what a tree looks like

	Commit    hash      `json:"commit"` // the published one
	Place     string    `json:"place"`  // its tree, relative to the folder of trees
	Published time.Time `json:"published"`

	// Complete are commits whose objects are all in the store, as deep as Depth says.
	Complete []hash `json:"complete"`
	Shallow  []hash `json:"shallow"`
}

const stateFormat = 1

// hash is a commit's name that reads well in JSON.
type hash plumbing.Hash

func (h hash) String() string               { return plumbing.Hash(h).String() }
func (h hash) isZero() bool                 { return h == hash{} }
func (h hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }
func (h *hash) UnmarshalText(text []byte) error {
	if !plumbing.IsHash(string(text)) {
		return errors.New("not a full hash")
	}
	*h = hash(plumbing.NewHash(string(text)))
	return nil
}

func plain(list []hash) []plumbing.Hash {
	out := make([]plumbing.Hash, len(list))
	for i, h := range list {
		out[i] = plumbing.Hash(h)
	}
	return out
}

// maxState bounds the file when it is read, in bytes.
const maxState = 16 << 20

// readState reads the state file. No file, or one that makes no sense, is an empty state.
func readState(name string) state {
	f, err := os.Open(name)
	if err != nil {
		return state{}
	}
	defer f.Close()
	var st state
	if err := json.NewDecoder(io.LimitReader(f, maxState)).Decode(&st); err != nil || st.Format != stateFormat {
		return state{}
	}
	return st
}

func (st *state) write(name string) error {
	st.Format = stateFormat
	return publish.File(name, 0o644, func(w io.Writer) error {
		return json.NewEncoder(w).Encode(st)
	})
}

func (st *state) complete(h plumbing.Hash) bool {
	for _, c := range st.Complete {
		if plumbing.Hash(c) == h {
			return true
		}
	}
	return false
}

// errorFile is what --error-file holds, in git-sync's form.
type errorFile struct {
	Msg  string
	Err  string
	Args map[string]any
}

// writeError publishes or removes the error file.
func (s *Sync) writeError(err error) error {
	name := absIn(s.cfg.Root, s.cfg.ErrorFile)
	if name == "" {
		return nil
	}
	if err == nil {
		if rerr := os.Remove(name); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
			return rerr
		}
		return nil
	}
	if derr := os.MkdirAll(filepath.Dir(name), 0o777); derr != nil {
		return derr
	}
	return publish.File(name, 0o644, func(w io.Writer) error {
		return json.NewEncoder(w).Encode(errorFile{
			Msg: "error syncing repo, will retry", Err: err.Error(),
			Args: map[string]any{"repo": s.origin, "ref": s.cfg.Ref},
		})
	})
}

// touch sets a file's time to now, and makes it if need be.
func touch(name string) error {
	if name == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	now := time.Now()
	return errors.Join(f.Close(), os.Chtimes(name, now, now))
}
