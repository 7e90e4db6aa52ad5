// Package remote talks to the server that holds a repository: it lists refs and fetches packs.
//
// It promises that asking "did the branch move?" costs one request whose size does not depend on how many
// refs the server has, that a fetch transfers no more than the git command line would, that no answer of
// the server can grow without a bound, and that no credential leaves for another host or enters an error.
//
// It does not store objects, resolve short names or decide when to retry: those are the caller's.
package remote

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
)

// Hash is the name of an object.
type Hash = plumbing.Hash

// Ref is one line of the server's list.
type Ref struct {
	Name   string
	Hash   Hash
	Peeled Hash   // what an annotated tag points at in the end; zero for every other ref
	Target string // where a symbolic ref points, e.g. refs/heads/main for HEAD
}

// FetchRequest says what is wanted and what is already here. To complete a partial clone, name the missing
// blobs as Wants and leave Haves and Shallow empty: a server takes what hangs from those as present.
type FetchRequest struct {
	Wants   []Hash
	Haves   []Hash
	Shallow []Hash // commits whose parents are not here
	Depth   int    // 0 means the full history; with Shallow it completes a truncated one
	Filter  string // a partial clone filter, e.g. blob:none
}

// FetchResponse is what came back. The caller closes Pack.
type FetchResponse struct {
	Shallow   []Hash // commits that are now without their parents
	Unshallow []Hash // commits that no longer are
	// Pack holds the raw pack and nothing else. It also implements io.WriterTo, which copies least.
	// It ends with io.ErrUnexpectedEOF when the server went away, and with the server's own words when
	// it gave up.
	Pack io.ReadCloser
}

// Remote is a repository somewhere else. Its methods may be called from several goroutines.
type Remote interface {
	// List returns the refs whose full name starts with one of prefixes ("HEAD" only when asked for).
	// No prefix means every ref.
	List(ctx context.Context, prefixes []string) ([]Ref, error)
	// Fetch asks for objects and returns their pack as it arrives.
	Fetch(ctx context.Context, req FetchRequest) (*FetchResponse, error)
	Close() error
}

// Open chooses the way to the repository from the form of cfg.URL. It does no network I/O.
func Open(cfg Config) (Remote, error) {
	cfg = cfg.withDefaults()
	loc, err := parseLocation(cfg.URL)
	if err != nil {
		return nil, err
	}
	switch loc.scheme {
	case "http", "https":
		return openHTTP(cfg, loc)
	case "ssh":
		return openSSH(cfg, loc)
	case "git":
		return openGit(cfg, loc)
	case "file":
		return openLocal(cfg, loc)
	}
	return nil, fmt.Errorf("--repo %s: %w: scheme %q is none of https, http, ssh, git and file", loc, ErrConfig, loc.scheme)
}

func (r FetchRequest) check() error {
	if len(r.Wants) == 0 {
		return errors.New("fetch: nothing wanted")
	}
	if r.Depth < 0 {
		return fmt.Errorf("fetch: %w: --depth %d is negative", ErrConfig, r.Depth)
	}
	return nil
}
