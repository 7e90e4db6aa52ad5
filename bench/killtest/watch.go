package main

import (
	"bytes"
	"os"
	"path/filepath"
	"time"

	"github.com/sidecar-kit/sidecar/bench/lab"
	"github.com/sidecar-kit/sidecar/bench/site"
)

// watcher opens known files through the link each 2 ms and adds up the time in which,
// after the first publish, one of them could not be read.
type watcher struct {
	end  chan struct{}
	done chan struct{}

	looks               int64
	unreadable, watched time.Duration
}

func watch(root string) *watcher {
	w := &watcher{end: make(chan struct{}), done: make(chan struct{})}
	go w.run(filepath.Join(root, lab.Link))
	return w
}

func (w *watcher) run(link string) {
	defer close(w.done)
	paths := []string{"MARK", site.Path(0), site.Path(5), site.Path(always - 1)}
	var first, bad time.Time
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		now := time.Now()
		ok := readable(link, paths)
		switch {
		case first.IsZero() && ok:
			first = now
		case first.IsZero():
		case !ok && bad.IsZero():
			bad = now
		case ok && !bad.IsZero():
			w.unreadable += now.Sub(bad)
			bad = time.Time{}
		}
		if !first.IsZero() {
			w.looks++
		}
		select {
		case <-tick.C:
		case <-w.end:
			if !bad.IsZero() {
				w.unreadable += time.Since(bad)
			}
			if !first.IsZero() {
				w.watched = time.Since(first)
			}
			return
		}
	}
}

func readable(link string, paths []string) bool {
	for _, p := range paths {
		b, err := os.ReadFile(filepath.Join(link, p))
		if err != nil || !bytes.HasPrefix(b, []byte("commit ")) {
			return false
		}
	}
	return true
}

func (w *watcher) stop() (looks int64, unreadable, watched time.Duration) {
	close(w.end)
	<-w.done
	return w.looks, w.unreadable, w.watched
}
