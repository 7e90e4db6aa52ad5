// Package watch tells that files have other content now. It sees what a kubelet does to a ConfigMap (the swap of ..data), renames, editors,
// links to elsewhere, and folders that are removed and made again. What counts is content: a touched or rewritten file with the same bytes
// is no change.
//
// Where notifications of the system do not come (none left, a network file system), it looks every few seconds instead; and it always looks
// once a minute. It is not for following a growing log: every look reads small files as a whole.
// Used by cron.
package watch

import (
	"context"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/rs/zerolog"
)

// Options are how long to wait. Zero values mean the times in the comments.
type Options struct {
	Settle time.Duration // 50ms without another event before it looks
	AtMost time.Duration // 1s of events without a pause before it looks all the same
	Poll   time.Duration // 10s between looks where notifications do not work
	Safety time.Duration // 60s between looks where they do
	Log    zerolog.Logger
}

// Change is what fn is told.
type Change struct {
	Paths []string // those given to New whose content differs, in their order
}

// Watcher knows what was there when it last looked.
type Watcher struct {
	paths []string
	opts  Options
	last  []sum // by index of paths
	files map[string]seen
	open  func() (*fsnotify.Watcher, error) // tests make it fail
}

// New remembers what the paths contain now: call it before the files are read, or a change in between is lost. A path is a file, or a folder
// that stands for the files right in it but those whose names begin with a dot. It need not exist.
func New(paths []string, o Options) *Watcher {
	fill := func(d *time.Duration, value time.Duration) {
		if *d <= 0 {
			*d = value
		}
	}
	fill(&o.Settle, 50*time.Millisecond)
	fill(&o.AtMost, time.Second)
	fill(&o.Poll, 10*time.Second)
	fill(&o.Safety, time.Minute)
	w := &Watcher{paths: paths, opts: o, last: make([]sum, len(paths)), files: map[string]seen{}, open: fsnotify.NewWatcher}
	w.look()
	return w
}

// Run calls fn with every change until ctx ends. It waits for fn; what happens meanwhile is the next change. It may be called once.
func (w *Watcher) Run(ctx context.Context, fn func(Change)) {
	n := &notifier{open: w.open, log: w.opts.Log, dirs: map[string]dir{}}
	defer n.close()
	look := func() {
		// A folder that appeared may have got files before it was watched: look again until all of them are.
		for again := true; again; {
			again = n.follow(places(w.paths))
			if changed := w.look(); len(changed) > 0 && ctx.Err() == nil {
				fn(Change{changed})
			}
		}
	}
	look()
	idle := time.NewTimer(w.pause(n))
	defer idle.Stop()
	var settled, overdue <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-n.events():
			if !n.concerns(e) {
				continue
			}
			settled = time.After(w.opts.Settle)
			if overdue == nil {
				overdue = time.After(w.opts.AtMost)
			}
			continue
		case <-n.errors(): // events were lost
		case <-settled:
		case <-overdue:
		case <-idle.C:
		}
		settled, overdue = nil, nil
		look()
		idle.Reset(w.pause(n))
	}
}

func (w *Watcher) pause(n *notifier) time.Duration {
	if n.blind {
		return w.opts.Poll
	}
	return w.opts.Safety
}
