package watch

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/fsnotify/fsnotify"
	"github.com/rs/zerolog"
)

// notifier holds the watches of the system.
type notifier struct {
	open  func() (*fsnotify.Watcher, error)
	log   zerolog.Logger
	fs    *fsnotify.Watcher // nil when there is none
	dirs  map[string]dir
	blind bool // at least one folder is not watched
}

type dir struct {
	info  os.FileInfo
	names names
}

// follow watches the given folders and no others. It returns true when one of them was not watched before.
func (n *notifier) follow(wanted map[string]names) bool {
	var failed error
	if n.fs == nil {
		if n.fs, failed = n.open(); failed != nil {
			n.fs = nil
			n.report(failed)
			return false
		}
	}
	for path, old := range n.dirs {
		info, err := os.Stat(path)
		if wanted[path] == nil || err != nil || !os.SameFile(old.info, info) {
			_ = n.fs.Remove(path) // the system has often removed it
			delete(n.dirs, path)
		}
	}
	added := false
	for path, names := range wanted {
		if d, known := n.dirs[path]; known {
			n.dirs[path] = dir{d.info, names}
			continue
		}
		// The folder may be another one by the time it is watched: what was there before is what the next look compares with.
		info, err := os.Stat(path)
		if err == nil {
			err = n.fs.Add(path)
		}
		switch {
		case err == nil:
			n.dirs[path] = dir{info, names}
			added = true
		case names.needed() && !errors.Is(err, fs.ErrNotExist):
			failed = err
		}
	}
	n.report(failed)
	return added
}

// report logs when notifications begin to fail, and when they work again.
func (n *notifier) report(failed error) {
	switch {
	case failed != nil && !n.blind:
		n.log.Warn().AnErr("err", failed).Msg("no notification of changed files, polling instead")
	case failed == nil && n.blind:
		n.log.Info().Msg("notification of changed files works again")
	}
	n.blind = failed != nil
}

// concerns says whether an event is about something that counts.
func (n *notifier) concerns(e fsnotify.Event) bool {
	if _, self := n.dirs[e.Name]; self {
		// It was removed, moved or made: its watch may be gone, and the same inode may be another folder now.
		_ = n.fs.Remove(e.Name)
		delete(n.dirs, e.Name)
		return true
	}
	name, here := filepath.Base(e.Name), n.dirs[filepath.Dir(e.Name)]
	for _, d := range n.dirs {
		_, all := d.names[everything]
		_, one := d.names[name]
		// One volume mounted in two places is one inode, and events name only one of them.
		if (all || one) && os.SameFile(d.info, here.info) {
			return true
		}
	}
	return false
}

func (n *notifier) events() <-chan fsnotify.Event {
	if n.fs == nil {
		return nil
	}
	return n.fs.Events
}

func (n *notifier) errors() <-chan error {
	if n.fs == nil {
		return nil
	}
	return n.fs.Errors
}

func (n *notifier) close() {
	if n.fs != nil {
		_ = n.fs.Close()
	}
}
