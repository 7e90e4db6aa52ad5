package remote

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/go-git/go-git/v5/storage/filesystem/dotgit"
)

const (
	// Larger objects are streamed, so that one big file does not need its size in memory.
	streamAbove = 4 << 20
	// Delta bases are kept up to this much.
	localCache    = 32 << 20
	maxAlternates = 5
)

// localRepo is an opened repository: its refs, its objects and those it borrows from alternates.
type localRepo struct {
	refs   *filesystem.Storage
	stores []*filesystem.ObjectStorage
}

// EncodedObject makes localRepo a source of packs.
func (r *localRepo) EncodedObject(t plumbing.ObjectType, h plumbing.Hash) (plumbing.EncodedObject, error) {
	for _, s := range r.stores[:len(r.stores)-1] {
		// Asked first, because a miss would make the storage open all its alternates, each time.
		if s.HasEncodedObject(h) == nil {
			return s.EncodedObject(t, h)
		}
	}
	return r.stores[len(r.stores)-1].EncodedObject(t, h)
}

func (r *localRepo) shallow() ([]Hash, error) { return r.refs.Shallow() }

func (r *localRepo) Close() {
	for _, s := range r.stores {
		_ = s.Close()
	}
}

func openLocalRepo(path string) (*localRepo, error) {
	dir, err := findGitDir(path)
	if err != nil {
		return nil, err
	}
	common, err := commonDir(dir)
	if err != nil {
		return nil, err
	}
	shared := cache.NewObjectLRU(localCache)
	opts := filesystem.Options{KeepDescriptors: true, LargeObjectThreshold: streamAbove}
	// The plain filesystem: files of a repository may be links to elsewhere.
	//lint:ignore SA1019 the alternative refuses such links
	split := dotgit.NewRepositoryFilesystem(osfs.New(dir, osfs.WithChrootOS()), osfs.New(common, osfs.WithChrootOS()))
	r := &localRepo{refs: filesystem.NewStorageWithOptions(split, shared, opts)}
	if err := checkLocalFormat(r.refs, common); err != nil {
		return nil, err
	}
	homes, err := objectHomes(filepath.Join(common, "objects"), maxAlternates)
	if err != nil {
		return nil, err
	}
	for _, home := range homes {
		//lint:ignore SA1019 see above
		d := dotgit.New(osfs.New(home, osfs.WithChrootOS()))
		r.stores = append(r.stores, filesystem.NewObjectStorageWithOptions(d, shared, opts))
	}
	return r, nil
}

// findGitDir accepts what git accepts: a bare repository, a work tree, or a work tree whose .git is a file.
func findGitDir(path string) (string, error) {
	if _, err := os.Stat(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("%w: nothing is at this path: check --repo and the volume it is on", ErrNotFound)
		}
		return "", fmt.Errorf("%w: %w: check --repo", ErrNotFound, err)
	}
	for _, dir := range []string{filepath.Join(path, ".git"), path} {
		info, err := os.Stat(dir)
		if err != nil {
			continue
		}
		if info.Mode().IsRegular() {
			if dir, err = readPointer(dir, "gitdir: "); err != nil {
				return "", err
			}
		}
		if isGitDir(dir) {
			return dir, nil
		}
	}
	return "", fmt.Errorf("%w: the path is there, but it is not a git repository: check --repo", ErrNotFound)
}

func isGitDir(dir string) bool {
	if _, err := os.Lstat(filepath.Join(dir, "HEAD")); err != nil {
		return false
	}
	if _, err := os.Stat(filepath.Join(dir, "commondir")); err == nil {
		return true
	}
	info, err := os.Stat(filepath.Join(dir, "objects"))
	return err == nil && info.IsDir()
}

// readPointer reads a one-line file that holds a path, absolute or relative to the file.
func readPointer(file, prefix string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("%w: %w: check --repo", ErrNotFound, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 8<<10))
	if err != nil {
		return "", fmt.Errorf("%w: %w: check --repo", ErrNotFound, err)
	}
	path, ok := strings.CutPrefix(strings.TrimRight(string(b), "\r\n"), prefix)
	if !ok || path == "" {
		return "", fmt.Errorf("%w: %s does not point to a repository: check --repo", ErrNotFound, file)
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(file), path)
	}
	return filepath.Clean(path), nil
}

// commonDir is where a linked work tree keeps refs and objects.
func commonDir(dir string) (string, error) {
	file := filepath.Join(dir, "commondir")
	if _, err := os.Stat(file); err != nil {
		return dir, nil //nolint:nilerr // the usual case: not a linked work tree
	}
	return readPointer(file, "")
}

func checkLocalFormat(st *filesystem.Storage, common string) error {
	cfg, err := st.Config()
	if err != nil {
		return fmt.Errorf("%w: read %s: %w", ErrProtocol, filepath.Join(common, "config"), err)
	}
	ext := cfg.Raw.Section("extensions")
	if f := ext.Option("objectformat"); f != "" && f != "sha1" {
		return fmt.Errorf("%w: the repository uses %s object names; only sha1 repositories can be synced: choose another --repo", ErrUnsupported, f)
	}
	if f := ext.Option("refstorage"); f != "" && f != "files" {
		return fmt.Errorf("%w: the repository keeps its refs in %s form, which can only be read through a git server: use http or ssh in --repo", ErrUnsupported, f)
	}
	return nil
}

// objectHomes lists the folders that hold an objects folder: the repository's own, then its alternates.
func objectHomes(objects string, depth int) ([]string, error) {
	if filepath.Base(objects) != "objects" {
		return nil, fmt.Errorf("%w: alternate %s is not named objects", ErrUnsupported, objects)
	}
	out := []string{filepath.Dir(objects)}
	b, err := os.ReadFile(filepath.Join(objects, "info", "alternates"))
	if err != nil || depth == 0 {
		return out, nil //nolint:nilerr // most repositories have none
	}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" || line[0] == '#' {
			continue
		}
		if !filepath.IsAbs(line) {
			line = filepath.Join(objects, line)
		}
		more, err := objectHomes(filepath.Clean(line), depth-1)
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	return out, nil
}
