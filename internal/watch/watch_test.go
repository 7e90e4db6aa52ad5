package watch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/rs/zerolog"
)

// folder runs changes in a temporary folder.
type folder struct {
	t    *testing.T
	path string
}

func newFolder(t *testing.T) folder {
	path, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return folder{t, path}
}

func (f folder) in(name string) string { return filepath.Join(f.path, name) }

func (f folder) do(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f folder) write(name, text string) {
	f.t.Helper()
	f.do(os.MkdirAll(filepath.Dir(f.in(name)), 0o755))
	f.do(os.WriteFile(f.in(name), []byte(text), 0o600))
}

func (f folder) rename(from, to string) { f.t.Helper(); f.do(os.Rename(f.in(from), f.in(to))) }
func (f folder) link(target, name string) {
	f.t.Helper()
	f.do(os.Symlink(target, f.in(name)))
}

// configMap makes a new version visible as the kubelet does.
func (f folder) configMap(volume, version, text string) {
	f.t.Helper()
	f.write(volume+"/.."+version+"/crontab", text)
	f.link(".."+version, volume+"/..data_tmp")
	f.rename(volume+"/..data_tmp", volume+"/..data")
	if _, err := os.Lstat(f.in(volume + "/crontab")); err != nil {
		f.link("..data/crontab", volume+"/crontab")
	}
	old, err := filepath.Glob(f.in(volume + "/..v*"))
	f.do(err)
	for _, o := range old {
		if filepath.Base(o) != ".."+version {
			f.do(os.RemoveAll(o))
		}
	}
}

// start runs a watcher. Notifications work alone: it would look by itself in an hour.
func start(t *testing.T, w *Watcher) <-chan []string {
	t.Helper()
	changes := make(chan []string, 1000)
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { w.Run(ctx, func(c Change) { changes <- c.Paths }) })
	t.Cleanup(func() { cancel(); done.Wait() })
	return changes
}

func slow() Options { return Options{Settle: 5 * time.Millisecond, Poll: time.Hour, Safety: time.Hour} }

func expect(t *testing.T, changes <-chan []string, what string, want ...string) {
	t.Helper()
	select {
	case got := <-changes:
		if !slices.Equal(got, want) {
			t.Errorf("%s: changed %q; want %q", what, got, want)
		}
	case <-time.After(time.Minute):
		t.Fatalf("%s: no change seen; want %q", what, want)
	}
}

// TestEveryChangeIsSeen goes through what happens to files, and waits after each step for what is seen of it.
func TestEveryChangeIsSeen(t *testing.T) {
	tests := map[string]func(f folder, path string, seen func(what string)){
		"written in place": func(f folder, _ string, seen func(string)) {
			f.write("d/f", "2")
			seen("write")
			f.write("d/f", "3")
			seen("again")
		},
		"replaced": func(f folder, _ string, seen func(string)) {
			f.write("d/.f.tmp", "2")
			f.rename("d/.f.tmp", "d/f")
			seen("rename over it")
			f.rename("d/f", "d/f~")
			f.write("d/f", "3")
			seen("moved to a backup and written")
		},
		"removed": func(f folder, path string, seen func(string)) {
			f.do(os.Remove(path))
			seen("removed")
			f.write("d/f", "1")
			seen("made again")
		},
		"folder made again": func(f folder, _ string, seen func(string)) {
			f.do(os.RemoveAll(f.in("d")))
			seen("folder removed")
			f.write("d/f", "2")
			seen("folder made again")
			f.write("d/f", "3")
			seen("written in it")
		},
		"folder renamed": func(f folder, _ string, seen func(string)) {
			f.write("e/f", "2")
			f.rename("d", "old")
			seen("folder moved away")
			f.rename("e", "d")
			seen("another in its place")
			f.write("old/f", "9")
			f.write("d/f", "3")
			seen("written in it")
		},
		"link to elsewhere": func(f folder, path string, seen func(string)) {
			f.write("far/away/g", "2")
			f.do(os.Remove(path))
			f.link(f.in("far/away/g"), "d/f")
			seen("became a link")
			f.write("far/away/g", "3")
			seen("target written")
			f.write("other", "4")
			f.do(os.Remove(f.in("far/away/g")))
			f.link("../../other", "far/away/g")
			seen("target became a link")
			f.write("other", "5")
			seen("last target written")
		},
		"parents removed": func(f folder, _ string, seen func(string)) {
			f.do(os.RemoveAll(f.in("d")))
			seen("removed")
			f.do(os.Mkdir(f.in("x"), 0o755))
			f.write("x/f", "2")
			f.link("x", "d")
			seen("folder is a link now")
			f.write("x/f", "3")
			seen("written behind it")
		},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFolder(t)
			f.write("d/f", "1")
			path := f.in("d/f")
			changes := start(t, New([]string{path}, slow()))
			steps(f, path, func(what string) { t.Helper(); expect(t, changes, what, path) })
		})
	}
}

func TestConfigMapSwaps(t *testing.T) {
	f := newFolder(t)
	f.configMap("v", "v0", "0")
	file, dir, other := f.in("v/crontab"), f.in("v"), f.in("other")
	changes := start(t, New([]string{file, other, dir}, slow()))
	for i := range 20 {
		f.configMap("v", fmt.Sprintf("v%d", i+1), fmt.Sprint(i+1))
		// A look at the instant of the swap sees the file old and the folder new; the next one tells of the other.
		for seen := []string{}; !slices.Contains(seen, file) || !slices.Contains(seen, dir); {
			select {
			case got := <-changes:
				seen = append(seen, got...)
			case <-time.After(time.Minute):
				t.Fatalf("swap %d: saw %q; want both", i, seen)
			}
		}
	}
	select {
	case got := <-changes:
		t.Errorf("changed again: %q", got)
	default:
	}
}

func TestWhatDoesNotExistYet(t *testing.T) {
	f := newFolder(t)
	path := f.in("a/b/c/f")
	changes := start(t, New([]string{path}, slow()))
	f.write("a/b/c/f", "1")
	expect(t, changes, "made with its folders", path)
	f.write("a/b/c/f", "2")
	expect(t, changes, "written", path)
}

func TestFolder(t *testing.T) {
	f := newFolder(t)
	f.write("d/root", "1")
	f.write("away/g", "1")
	f.link("../away/g", "d/g")
	path := f.in("d")
	changes := start(t, New([]string{path}, slow()))
	for _, step := range []func(){
		func() { f.write("d/root", "2") },
		func() { f.write("d/app", "") },
		func() { f.write("away/g", "2") },
		func() { f.rename("d/app", "d/web") },
		func() { f.do(os.Remove(f.in("d/web"))) },
		func() { f.do(os.RemoveAll(path)) },
		func() { f.write("d/root", "2") },
	} {
		step()
		expect(t, changes, "step", path)
	}
}

// TestSameContentIsNoChange looks itself, so that nothing is awaited that does not come.
func TestSameContentIsNoChange(t *testing.T) {
	f := newFolder(t)
	f.write("d/f", "1")
	w := New([]string{f.in("d/f"), f.in("d"), f.in("none"), f.in("d/f/none")}, Options{})
	now := time.Now()
	for name, step := range map[string]func(){
		"touched":            func() { f.do(os.Chtimes(f.in("d/f"), now, now.Add(time.Hour))) },
		"replaced":           func() { f.write("f2", "1"); f.rename("f2", "d/f") },
		"hidden file":        func() { f.write("d/.hidden", "1") },
		"another file":       func() { f.write("d2", "1") },
		"folder made anew":   func() { f.rename("d", "dd"); f.write("d/f", "1") },
		"behind a link":      func() { f.do(os.RemoveAll(f.in("d"))); f.write("e/f", "1"); f.link("e", "d") },
		"missing otherwise":  func() { f.link("nowhere", "none") },
		"written twice over": func() { f.write("d/f", "2"); f.write("d/f", "1") },
	} {
		step()
		if got := w.look(); len(got) > 0 {
			t.Errorf("%s: changed %q; want nothing", name, got)
		}
	}
}

func TestLargeFilesAreReadWhenTheyMayDiffer(t *testing.T) {
	f := newFolder(t)
	text := strings.Repeat("x", small+1)
	f.write("f", text)
	path := f.in("f")
	old := time.Now().Add(-time.Hour)
	f.do(os.Chtimes(path, old, old))
	w := New([]string{path}, Options{})
	sure := w.files[path].sure
	f.write("f", "y"+text[1:]) // the same size, a new time
	if got := w.look(); !sure || len(got) != 1 || w.files[path].sure {
		t.Errorf("sure = %v, then look() = %q and sure = %v; want a change that is too young to be sure of", sure, got, w.files[path].sure)
	}
	written, err := os.Stat(path)
	f.do(err)
	f.write("f", "z"+text[1:]) // a write in the same tick of the clock
	f.do(os.Chtimes(path, written.ModTime(), written.ModTime()))
	if got := w.look(); len(got) != 1 {
		t.Errorf("look() after a write with the same time = %q; want the file", got)
	}
}

func TestPollsWithoutNotifications(t *testing.T) {
	f := newFolder(t)
	f.configMap("v", "v0", "0")
	path := f.in("v/crontab")
	var log bytes.Buffer
	w := New([]string{path}, Options{Poll: 5 * time.Millisecond, Safety: time.Hour, Log: zerolog.New(&log)})
	var fails sync.Map
	w.open = func() (*fsnotify.Watcher, error) {
		if _, works := fails.Load("works"); works {
			return fsnotify.NewWatcher()
		}
		return nil, errors.New("too many open files")
	}
	ctx, cancel := context.WithCancel(t.Context())
	changes := make(chan []string, 10)
	done := make(chan struct{})
	go func() { defer close(done); w.Run(ctx, func(c Change) { changes <- c.Paths }) }()
	f.configMap("v", "v1", "1")
	expect(t, changes, "swap", path)
	fails.Store("works", true)
	f.configMap("v", "v2", "2")
	expect(t, changes, "swap", path)
	f.configMap("v", "v3", "3")
	expect(t, changes, "swap", path)
	cancel()
	<-done
	if strings.Count(log.String(), "polling instead") != 1 || strings.Count(log.String(), "too many open files") != 1 {
		t.Errorf("logged:\n%s\nwant one warning", &log)
	}
}

func TestSafetyPoll(t *testing.T) {
	f := newFolder(t)
	f.write("a/b/c/f", "1")
	path := f.in("a/b/c/f")
	changes := start(t, New([]string{path}, Options{Settle: time.Millisecond, Safety: 10 * time.Millisecond}))
	f.rename("a", "old") // two folders above what is watched
	expect(t, changes, "moved away", path)
}

// TestWritesWithoutPause writes faster than Settle; AtMost makes it look all the same.
func TestWritesWithoutPause(t *testing.T) {
	f := newFolder(t)
	f.write("f", "")
	path := f.in("f")
	changes := start(t, New([]string{path}, Options{Settle: time.Hour, AtMost: 20 * time.Millisecond, Safety: time.Hour}))
	f.write("f", "1")
	expect(t, changes, "written", path)
	f.write("f", "2")
	expect(t, changes, "written again", path)
}

func TestWhatBlocksIsNotOpened(t *testing.T) {
	f := newFolder(t)
	makeFIFO(t, f.in("p"))
	f.write("d/f", "1")
	f.link("../p", "d/p")
	f.link("loop", "loop")
	w := New([]string{f.in("p"), f.in("d"), f.in("loop"), "/dev/zero"}, Options{})
	f.write("d/f", "2")
	if got := w.look(); !slices.Equal(got, []string{f.in("d")}) {
		t.Errorf("look() = %q; want the folder", got)
	}
	places([]string{f.in("loop")})
}

func TestUnreadableFolderAbove(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may read every folder")
	}
	f := newFolder(t)
	f.write("a/d/f", "1")
	f.do(os.Chmod(f.in("a"), 0o111))
	t.Cleanup(func() { f.do(os.Chmod(f.in("a"), 0o755)) })
	changes := start(t, New([]string{f.in("a/d/f")}, slow()))
	f.write("a/d/f", "2")
	expect(t, changes, "written", f.in("a/d/f"))
}
