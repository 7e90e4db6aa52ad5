package gitsync

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"github.com/sidecar-kit/sidecar/internal/exit"
	"github.com/sidecar-kit/sidecar/internal/publish"
	"github.com/sidecar-kit/sidecar/roles/gitsync/store"
)

const (
	// worktrees holds the published trees, as git-sync has it.
	worktrees = ".worktrees"
	gitDir    = ".git"
	// own is our folder in the repository; that it is there says that the repository is ours.
	own       = "sidecar"
	oldPrefix = ".git.old-"
	newPrefix = ".git.new-"
)

var versionName = regexp.MustCompile(`^(rev-)?[0-9a-f]{40}$`)

// root is the folder that belongs to the role.
type root struct {
	path string // free of symbolic links
	lock *os.File
}

// openRoot makes the folder, takes its lock and makes sure that nothing of anybody else's is in it.
func openRoot(cfg *Config, log zerolog.Logger) (*root, error) {
	if err := os.MkdirAll(cfg.Root, 0o777); err != nil {
		return nil, rootError(cfg.Root, err)
	}
	path, err := filepath.EvalSymlinks(cfg.Root)
	if err != nil {
		return nil, rootError(cfg.Root, err)
	}
	dir, err := os.Open(path)
	if err != nil {
		return nil, rootError(cfg.Root, err)
	}
	r := &root{path: path, lock: dir}
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return nil, errors.Join(fmt.Errorf("--root %s: another sync is at work in it", cfg.Root), dir.Close())
	} else if err != nil {
		log.Warn().AnErr("err", err).Str("path", path).Msg("the file system has no locks; take care that nobody else syncs here")
	}
	if err := errors.Join(r.probe(), r.inspect(cfg, log)); err != nil {
		return nil, errors.Join(rootError(cfg.Root, err), dir.Close())
	}
	return r, nil
}

// rootError says what to do about a folder that cannot be used. A restart does not help.
func rootError(path string, err error) error {
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
		err = fmt.Errorf("user %d may not write to it (%w): mount a volume there and set fsGroup, or choose another folder", os.Getuid(), err)
		return &exit.Error{Code: exit.Usage, Err: fmt.Errorf("--root %s: %w", path, err)}
	}
	if errors.Is(err, unix.ENOTDIR) {
		return &exit.Error{Code: exit.Usage, Err: fmt.Errorf("--root %s: %w: name a folder", path, err)}
	}
	var have *exit.Error
	if errors.As(err, &have) {
		return err
	}
	return fmt.Errorf("--root %s: %w", path, err)
}

func (r *root) close() error { return r.lock.Close() }

func (r *root) join(parts ...string) string {
	return filepath.Join(append([]string{r.path}, parts...)...)
}

// probe finds out whether the folder can be written to before anything else is tried.
func (r *root) probe() error {
	name := r.join(newPrefix + "probe-" + rand.Text()[:8])
	if err := os.Mkdir(name, 0o700); err != nil {
		return err
	}
	return os.Remove(name)
}

// inspect refuses a folder with other people's files, once: when the role is in it, it does not look any more.
func (r *root) inspect(cfg *Config, log zerolog.Logger) error {
	if fi, err := os.Lstat(r.join(gitDir, own)); err == nil && fi.IsDir() {
		return nil
	}
	names, err := os.ReadDir(r.path)
	if err != nil {
		return err
	}
	var foreign []string
	for _, e := range names {
		if !r.expected(e, cfg) {
			foreign = append(foreign, e.Name())
		}
	}
	if len(foreign) == 0 {
		return nil
	}
	if !cfg.WipeRoot {
		shown := foreign[:min(len(foreign), 5)]
		more := ""
		if len(shown) < len(foreign) {
			more = fmt.Sprintf(" and %d more", len(foreign)-len(shown))
		}
		return exit.Usagef("--root %s holds what neither this role nor git-sync made (%s%s): give an empty folder, or --wipe-root to remove it",
			cfg.Root, strings.Join(quoteAll(shown), ", "), more)
	}
	for _, name := range foreign {
		if err := publish.RemoveAll(r.join(name)); err != nil {
			return err
		}
	}
	log.Warn().Int("entries", len(foreign)).Str("path", r.path).Msg("removed what others had left, as --wipe-root says")
	return nil
}

func quoteAll(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = fmt.Sprintf("%q", n)
	}
	return out
}

// expected tells whether an entry may be there: it is ours, git-sync's, or the file system's own.
func (r *root) expected(e fs.DirEntry, cfg *Config) bool {
	name := e.Name()
	switch {
	case name == gitDir, strings.HasPrefix(name, oldPrefix), strings.HasPrefix(name, newPrefix):
		return e.IsDir()
	case name == worktrees, name == "lost+found", versionName.MatchString(name):
		return e.IsDir()
	case name == "tmp-link", strings.HasPrefix(name, ".sidecar-link-"):
		return e.Type() == fs.ModeSymlink
	}
	for _, path := range []string{cfg.Link, absIn(cfg.Root, cfg.TouchFile), absIn(cfg.Root, cfg.ErrorFile)} {
		rel, err := filepath.Rel(cfg.Root, path)
		if first, rest, _ := strings.Cut(rel, "/"); path != "" && err == nil && first == name {
			return rest != "" == e.IsDir()
		}
	}
	return false
}

// absIn makes a path absolute that is relative to dir; an empty one stays empty.
func absIn(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// repo is the git repository in the root: objects in git's own formats, and our state beside them.
type repo struct {
	root  *root
	store *store.Store
}

func (r *repo) path(parts ...string) string {
	return r.root.join(append([]string{gitDir}, parts...)...)
}

// openRepo opens the repository in the root. One that is missing, foreign or broken is replaced by an empty one; the
// old one is set aside until something new is published. What readers see does not depend on it.
func openRepo(r *root, origin string, log zerolog.Logger) (*repo, error) {
	rp := &repo{root: r}
	if fi, err := os.Lstat(rp.path(own)); err == nil && fi.IsDir() {
		err := rp.writable()
		if err == nil {
			rp.store, err = store.Open(rp.path("objects", "pack"))
		}
		if err == nil {
			return rp, rp.sweepTemps()
		}
		log.Warn().AnErr("err", err).Msg("the repository in the root is broken; fetching it afresh")
	}
	if err := rp.setAside(); err != nil {
		return nil, err
	}
	if err := rp.init(origin); err != nil {
		return nil, err
	}
	st, err := store.Open(rp.path("objects", "pack"))
	rp.store = st
	return rp, err
}

// writable finds out whether the repository is this user's: after a change of user everything that it holds can be
// fetched again.
func (r *repo) writable() error {
	for _, dir := range []string{r.path(own), r.path("objects", "pack"), r.path("worktrees")} {
		if err := unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS); err != nil {
			return &fs.PathError{Op: "write to", Path: dir, Err: err}
		}
	}
	return nil
}

// sweepTemps removes the files that a kill left half written.
func (r *repo) sweepTemps() error {
	names, err := filepath.Glob(r.path(own, ".*.tmp-*"))
	errs := []error{err}
	for _, name := range names {
		errs = append(errs, os.Remove(name))
	}
	return errors.Join(errs...)
}

func (r *repo) close() error {
	if r == nil || r.store == nil {
		return nil
	}
	return r.store.Close()
}

func (r *repo) setAside() error {
	err := os.Rename(r.path(), r.root.join(oldPrefix+rand.Text()[:8]))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// init makes an empty repository under another name and moves it into place, so that it is whole or not there.
func (r *repo) init(origin string) error {
	tmp := r.root.join(newPrefix + rand.Text()[:8])
	for _, dir := range []string{"objects/pack", "objects/info", "refs/heads", "refs/tags", "worktrees", own} {
		if err := os.MkdirAll(filepath.Join(tmp, dir), 0o777); err != nil {
			return err
		}
	}
	config := fmt.Sprintf("[core]\n\trepositoryformatversion = 0\n\tbare = true\n[remote \"origin\"]\n\turl = %q\n[gc]\n\tauto = 0\n", origin)
	for name, text := range map[string]string{"HEAD": "ref: refs/heads/unborn\n", "config": config} {
		if err := os.WriteFile(filepath.Join(tmp, name), []byte(text), 0o666); err != nil {
			return err
		}
	}
	return os.Rename(tmp, r.path())
}

// sweep removes what is left of earlier repositories and of git-sync's earlier places for trees, except keep.
func (r *repo) sweep(keep string) error {
	names, err := os.ReadDir(r.root.path)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range names {
		path := r.root.join(e.Name())
		old := strings.HasPrefix(e.Name(), oldPrefix) || strings.HasPrefix(e.Name(), newPrefix)
		v3 := versionName.MatchString(e.Name()) && e.IsDir() && !strings.HasPrefix(keep, path)
		gitSyncTemp := e.Name() == "tmp-link" && e.Type() == fs.ModeSymlink
		if old || v3 || gitSyncTemp {
			errs = append(errs, publish.RemoveAll(path))
		}
	}
	return errors.Join(errs...)
}

// adopt writes the files by which git understands the tree at place: its HEAD, and the way to the repository.
func (r *repo) adopt(commit string) error {
	dir := r.path("worktrees", commit)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	for name, text := range map[string]string{"HEAD": commit + "\n", "commondir": "../..\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			return err
		}
	}
	return nil
}

// dotGit is the content of the .git file of a tree at place.
func (r *repo) dotGit(place, commit string) (string, error) {
	rel, err := filepath.Rel(place, r.path("worktrees", commit))
	return "gitdir: " + rel + "\n", err
}

// forget removes git's files about trees that are gone.
func (r *repo) forget(keep []string) error {
	names, err := os.ReadDir(r.path("worktrees"))
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range names {
		if !slices.Contains(keep, e.Name()) {
			errs = append(errs, os.RemoveAll(r.path("worktrees", e.Name())))
		}
	}
	return errors.Join(errs...)
}
