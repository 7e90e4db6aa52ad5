package follow

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// pause is how long hints are collected before they are told again: one look then stands for many writes. The first is told at once.
const pause = 3 * time.Millisecond

const mask = unix.IN_MODIFY | unix.IN_CREATE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_DELETE | unix.IN_ATTRIB |
	unix.IN_CLOSE_WRITE | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR

// Watcher watches folders.
type Watcher struct {
	file *os.File
	fd   int
	pile *pile
	done chan struct{}
	stop chan struct{}

	mu   sync.Mutex // guards dirs, byID
	byID map[int32]string
	dirs map[string]int32
}

// New starts a watcher. Close ends it.
func New() (*Watcher, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("inotify: %w", err)
	}
	w := &Watcher{
		file: os.NewFile(uintptr(fd), "inotify"), fd: fd, pile: newPile(), done: make(chan struct{}), stop: make(chan struct{}),
		byID: map[int32]string{}, dirs: map[string]int32{},
	}
	go w.run()
	return w, nil
}

// Ready receives when there is something to Take.
func (w *Watcher) Ready() <-chan struct{} { return w.pile.ready }

// Take returns what may have changed since the last call.
func (w *Watcher) Take() []Names { return w.pile.take() }

// Add watches a folder; one that is watched already is watched as what it is now.
func (w *Watcher) Add(dir string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	id, err := unix.InotifyAddWatch(w.fd, dir, mask)
	if err != nil {
		return fmt.Errorf("watch %s: %w", dir, err)
	}
	if old, ok := w.dirs[dir]; ok && old != int32(id) {
		delete(w.byID, old)
	}
	w.dirs[dir], w.byID[int32(id)] = int32(id), dir
	return nil
}

// Remove watches a folder no more.
func (w *Watcher) Remove(dir string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if id, ok := w.dirs[dir]; ok {
		_, _ = unix.InotifyRmWatch(w.fd, uint32(id)) // it may be gone by itself
		delete(w.dirs, dir)
		delete(w.byID, id)
	}
}

// Close ends the watcher.
func (w *Watcher) Close() error {
	close(w.stop)
	err := w.file.Close()
	<-w.done
	return err
}

func (w *Watcher) run() {
	defer close(w.done)
	buf := make([]byte, 64<<10)
	for {
		n, err := w.file.Read(buf)
		if err != nil {
			return
		}
		w.events(buf[:n])
		w.pile.signal()
		select {
		case <-w.stop:
			return
		case <-time.After(pause):
		}
	}
}

func (w *Watcher) events(b []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(b) >= unix.SizeofInotifyEvent {
		id, what := int32(binary.NativeEndian.Uint32(b)), binary.NativeEndian.Uint32(b[4:])
		end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:]))
		name := bytes.TrimRight(b[unix.SizeofInotifyEvent:end], "\x00")
		b = b[end:]
		if what&unix.IN_Q_OVERFLOW != 0 {
			for dir := range w.dirs {
				w.pile.addAll(dir)
			}
			continue
		}
		dir, ok := w.byID[id]
		if !ok {
			continue
		}
		if what&unix.IN_IGNORED != 0 {
			delete(w.byID, id)
			if w.dirs[dir] == id {
				delete(w.dirs, dir)
			}
		}
		if len(name) == 0 {
			w.pile.addAll(dir)
			continue
		}
		w.pile.add(dir, name)
	}
}
