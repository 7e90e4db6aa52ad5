package source

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/roles/logship/hold"
	"github.com/sidecar-kit/sidecar/roles/logship/state"
)

// refuses is a volume that allows no pins.
type refuses struct{ Pins }

func (refuses) Pin(string, *os.File, uint64) error { return hold.ErrImpossible }

// spooling has a world without pins and with a spool in a folder, limited to a number of bytes.
func (w *world) spooling(limit int64, drop string) (dir string) {
	w.cfg = func(c *Config) { c.Pins, c.SpoolMax, c.SpoolDrop = refuses{hold.NewPins()}, limit, drop }
	return w.spool
}

// spoolHas waits until there are n copies.
func (w *world) spoolHas(dir string, n int) {
	w.t.Helper()
	w.eventually("copies in the spool", func() bool {
		entries, err := os.ReadDir(dir)
		return err == nil && len(entries) == n
	})
}

// gap reads blocks until one tells of lost bytes.
func (w *world) gap(out string) (reason string, from, to int64) {
	w.t.Helper()
	for {
		b, err := w.read[out].Next(w.t.Context())
		w.must(err)
		defer b.Release()
		if b.Gap != "" {
			return b.Gap, b.From.Off, b.To.Off
		}
		w.keep(out, b)
	}
}

func TestARemovedFileWithoutAPinIsReadFromTheSpool(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "*.log")
	dir := w.spooling(1<<20, "")
	w.outs = []string{"fast", "slow"}
	text, all := lines("a", 3000)
	w.add("a.log", text)
	w.start()
	ctx := t.Context()
	for len(w.got["fast"]) < 3000 {
		w.must(w.take(ctx, "fast"))
	}
	w.must(os.Remove(w.path("a.log")))
	w.spoolHas(dir, 1)
	w.kill()
	w.start()
	w.until(3000)
	if st := w.set.Stats(); st.SpoolBytes != int64(len(text)) {
		t.Errorf("the spool has %d bytes; want the %d of the file", st.SpoolBytes, len(text))
	}
	w.eventually("forgotten", func() bool { return len(w.store.Gens()) == 0 && w.set.Stats().SpoolBytes == 0 })
	w.rest()
	w.want(all...)
}

func TestOnlyWhatIsLackedIsCopied(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "*.log")
	dir := w.spooling(1<<20, "")
	first, l1 := lines("first", 1000)
	w.add("a.log", first)
	w.start()
	w.until(1000)
	writer, err := os.OpenFile(w.path("a.log"), os.O_APPEND|os.O_WRONLY, 0)
	w.must(err)
	defer writer.Close()
	second, l2 := lines("second", 10)
	third, l3 := lines("third", 10)
	_, err = writer.WriteString(second)
	w.must(errors.Join(err, os.Remove(w.path("a.log"))))
	w.spoolHas(dir, 1)
	_, err = writer.WriteString(third) // it is still open
	w.must(err)
	want := int64(64 + len(second) + len(third))
	w.eventually("all is copied", func() bool { return w.set.Stats().SpoolBytes == want })
	w.kill()
	w.start()
	w.until(1020)
	w.rest()
	w.want(slices.Concat(l1, l2, l3)...)
}

func TestCompressedFilesAreCopiedWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "*.gz")
	dir := w.spooling(1<<20, "")
	text, all := lines("a", 20_000)
	w.must(os.WriteFile(w.path("a.log.gz"), gzipOf([]byte(text)), 0o600))
	w.start()
	w.must(w.take(t.Context(), "out"))
	w.must(os.Remove(w.path("a.log.gz")))
	w.spoolHas(dir, 1)
	w.kill()
	w.start()
	w.until(20_000)
	w.rest()
	w.want(all...)
}

func TestRangesAreReadFromTheSpool(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "*.log")
	dir := w.spooling(1<<20, "")
	text, all := lines("a", 100)
	w.add("a.log", text)
	w.start()
	b, err := w.read["out"].Next(t.Context())
	w.must(err)
	r := state.Range{Gen: b.Gen, From: b.From, To: b.To, Check: b.Check(b.To.Off)}
	b.Release()
	w.store.Begin(state.Manifest{Output: "out", Seq: 1, Ranges: []state.Range{r}}) // it is under way when we are killed
	w.must(os.Remove(w.path("a.log")))
	w.spoolHas(dir, 1)
	w.kill()
	w.start()
	var got []string
	for b, err := range w.read["out"].Range(t.Context(), r) {
		w.must(err)
		got = append(got, texts(b)...)
		b.Release()
	}
	if !slices.Equal(got, all) {
		t.Errorf("Range() = %d lines; want the %d that were under way", len(got), len(all))
	}
}

func TestAFullSpoolBlocksOrDrops(t *testing.T) {
	t.Parallel()
	for _, drop := range []string{"", DropOldest} {
		w := newWorld(t, "*.log")
		dir := w.spooling(10_000, drop)
		w.start()
		<-w.set.ready
		var want []string
		for _, name := range []string{"a", "b"} {
			text, l := lines(name+strings.Repeat("x", 50), 100) // 6 kB
			if drop == "" || name == "b" {
				want = append(want, l...)
			}
			n := len(w.set.Files())
			w.add(name+".log", text)
			w.eventually("found", func() bool { return len(w.set.Files()) == n+1 })
			w.must(os.Remove(w.path(name + ".log")))
			w.spoolHas(dir, 1)
		}
		if drop == "" {
			w.eventually("told", func() bool { return w.set.Stats().Errors["spool"] == 1 })
			w.until(200) // by the open files
			w.want(want...)
			continue
		}
		w.eventually("dropped", func() bool { return w.set.Stats().Dropped[overSpool] > 5900 })
		w.kill()
		w.start() // what was given up is so for good
		if why, from, to := w.gap("out"); why != overSpool || from != 0 || to < 5900 {
			t.Errorf("gap of %s from %d to %d; want all of the first file", why, from, to)
		}
		w.rest()
		w.want(want...)
	}
}

func TestPinsHaveABound(t *testing.T) {
	t.Parallel()
	for _, drop := range []string{"", DropOldest, DropNewest} {
		w := newWorld(t, "*.log")
		w.input.Pin = "always"
		w.cfg = func(c *Config) { c.PinMax, c.PinDrop = 10_000, drop }
		w.start()
		<-w.set.ready
		parts := map[string][]string{}
		for i, name := range []string{"a", "b", "c"} {
			text, l := lines(name+strings.Repeat("x", 30), 100) // 4 kB
			parts[name] = l
			w.add(name+".log", text)
			w.eventually("found", func() bool { return len(w.set.Files()) == i+1 })
		}
		w.eventually("pinned", func() bool { return w.pins() == 3 })
		for _, name := range []string{"c", "a", "b"} {
			w.must(os.Remove(w.path(name + ".log")))
		}
		want := slices.Concat(parts["a"], parts["b"], parts["c"])
		switch drop {
		case "":
			w.eventually("counted", func() bool { return w.set.Stats().HeldBytes > 11_000 })
		case DropOldest:
			want = slices.Concat(parts["b"], parts["c"])
		case DropNewest:
			want = slices.Concat(parts["a"], parts["b"])
		}
		if drop != "" {
			w.eventually("dropped", func() bool { return w.set.Stats().Dropped[overPins] > 3900 })
			if ids, err := w.set.pins.List(w.dir); err != nil || len(ids) != 2 {
				t.Errorf("%s: pins %x, %v; want two left", drop, ids, err)
			}
		}
		w.kill()
		w.start()
		if drop != "" {
			if why, from, to := w.gap("out"); why != overPins || from != 0 || to < 3900 {
				t.Errorf("%s: gap of %s from %d to %d; want all of one file", drop, why, from, to)
			}
		}
		w.rest()
		w.want(want...)
	}
}

// TestAPinIsKnownAfterAKill takes the journal as it is when a pin appears: who deletes the file then relies on it.
func TestAPinIsKnownAfterAKill(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"app.log", "app.log.1"} { // the second waits a while, it may become a copy
		w := newWorld(t, "app.log*")
		w.input.Pin = "always"
		w.add("app.log", "one\ntwo\n")
		w.start()
		w.until(2)
		if name != "app.log" {
			w.add(name, "one\n")
		}
		folder := filepath.Join(w.dir, hold.Folder)
		w.eventually("pinned", func() bool { e, err := os.ReadDir(folder); return err == nil && len(e) == len(w.set.Files()) })
		entries, err := os.ReadDir(folder)
		w.must(err)
		killed := t.TempDir() // a copy of the state, without anything that is written when the process ends well
		w.must(os.CopyFS(killed, os.DirFS(w.state)))
		store, err := state.Open(killed, w.log())
		w.must(err)
		for _, e := range entries {
			id, err := strconv.ParseUint(e.Name(), 16, 64)
			if _, ok := store.Gen(id); !ok || err != nil {
				t.Errorf("%s: the pin %s is of nothing that the state knows", name, e.Name())
			}
		}
		w.must(store.Close())
	}
}

// pins is how many hard links there are of ours.
func (w *world) pins() int {
	w.t.Helper()
	ids, err := hold.NewPins().List(w.dir)
	w.must(err)
	return len(ids)
}

// TestALiveFileHasOneNameWhileAllIsWell so that logrotate takes it.
func TestALiveFileHasOneNameWhileAllIsWell(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "app.log")
	w.add("app.log", "one\ntwo\nhalf")
	w.start()
	w.until(2)
	for range 5 {
		time.Sleep(60 * time.Millisecond)
		if n := w.pins(); n != 0 {
			t.Fatalf("%d pins while all is well; want none", n)
		}
	}
	w.add("app.log", " of it\nthree\n")
	w.move("app.log", "app.log.1") // that is lacked
	w.eventually("pinned", func() bool { return w.pins() == 1 })
	w.must(os.Remove(w.path("app.log.1")))
	w.kill()
	w.start()
	w.until(4)
	w.want("one", "two", "half of it", "three")
}

func TestALiveFileIsPinnedWhileAnOutputIsAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "app.log")
	w.add("app.log", "one\ntwo\n")
	w.start()
	w.eventually("pinned", func() bool { return w.pins() == 1 })
	w.until(2)
	w.eventually("not pinned", func() bool { return w.pins() == 0 })
	w.add("app.log", "three\n")
	w.eventually("seen", func() bool { return w.set.Files()[0].Size == 14 })
	w.kill() // pins what is lacked
	if n := w.pins(); n != 1 {
		t.Errorf("%d pins at the end with something lacking; want 1", n)
	}
	w.must(os.Remove(w.path("app.log")))
	w.start()
	w.until(3)
	w.want("one", "two", "three")
}

// TestWhatIsDeliveredIsNotMissed removes and makes anew what every output has.
func TestWhatIsDeliveredIsNotMissed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "*.log")
	for range 3 {
		w.add("x.log", "1\n")
		w.start()
		w.rest()
		w.kill()
		if st := w.set.Stats(); st.CopiesLost != 0 || len(st.Errors) != 0 {
			t.Errorf("%d copies were missed, errors %v; want none", st.CopiesLost, st.Errors)
		}
		w.must(os.Remove(w.path("x.log")))
	}
	w.want("1", "1", "1")
}

// TestACopyThatIsNotAllIsAGap reads what there is, and tells what is not.
func TestACopyThatIsNotAllIsAGap(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "*.log")
	dir := w.spooling(0, "")
	text, all := lines("a", 1000)
	w.add("a.log", text)
	w.start()
	<-w.set.ready
	w.must(os.Remove(w.path("a.log")))
	w.spoolHas(dir, 1)
	w.eventually("all is copied", func() bool { g := w.store.Gens(); return len(g) == 1 && g[0].Size == int64(len(text)) })
	w.kill()
	entries, err := os.ReadDir(dir)
	w.must(err)
	end := strings.Index(text, all[500])
	w.must(os.Truncate(filepath.Join(dir, entries[0].Name()), int64(end)))
	w.start()
	w.until(500)
	w.rest()
	w.want(all[:500]...)
	gaps, _ := w.store.Gaps()
	if len(gaps) != 1 || gaps[0].From != int64(end) || gaps[0].To != int64(len(text)) || gaps[0].Output != "out" {
		t.Errorf("gaps: %+v; want one from %d to %d", gaps, end, len(text))
	}
}

func TestFilesWithoutNamesDoNotFillTheHandles(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "*.log")
	w.spooling(0, "")
	limited := w.cfg
	w.cfg = func(c *Config) { limited(c); c.MaxOpen = 10 }
	w.start()
	<-w.set.ready
	var want []string
	for i := range 30 {
		text, l := lines(time.Duration(i).String(), 10)
		want = append(want, l...)
		name := time.Duration(i).String() + ".log"
		w.add(name, text)
		w.eventually("found", func() bool { return len(w.set.Files()) == i+1 })
		w.must(os.Remove(w.path(name)))
	}
	w.eventually("copied", func() bool { return w.set.Stats().Spooled == 30 })
	w.until(300)
	if open := w.set.Stats().Open; open > 11 {
		t.Errorf("%d files are open; want about 10", open)
	}
	w.want(want...)
}
