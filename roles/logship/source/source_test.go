package source

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/roles/logship/hold"
	"github.com/sidecar-kit/sidecar/roles/logship/record"
	"github.com/sidecar-kit/sidecar/roles/logship/state"
)

// bench is a folder of logs, and what reads it.
type world struct {
	t     *testing.T
	dir   string // of the logs
	state string
	spool string
	input Input
	store *state.Store
	noPin bool
	set   *Set
	stop  func()
	got   map[string][]string // lines by output
	flags []record.Flags
	ids   map[string]bool // output, generation, offset: each once
	seq   map[string]uint64
	read  map[string]*Reader
	outs  []string
	cfg   func(*Config)
}

func newWorld(t *testing.T, patterns ...string) *world {
	t.Helper()
	in := Default()
	in.Name = "app"
	in.Quiet = 300 * time.Millisecond
	w := &world{
		t: t, dir: t.TempDir(), state: t.TempDir(), spool: t.TempDir(), input: in, got: map[string][]string{}, ids: map[string]bool{}, seq: map[string]uint64{},
		outs: []string{"out"},
	}
	for _, p := range patterns {
		w.input.Paths = append(w.input.Paths, filepath.Join(w.dir, p))
	}
	t.Cleanup(func() { w.kill() })
	return w
}

// start runs a Set as after a start of the process.
func (w *world) start() {
	w.t.Helper()
	store, err := state.Open(w.state, zerolog.Nop())
	if err != nil {
		w.t.Fatal(err)
	}
	store.Outputs(map[string][]string{"app": w.outs})
	conf := Config{Inputs: []Input{w.input}, Store: store, Log: w.log(), Poll: 100 * time.Millisecond}
	if !w.noPin {
		conf.Pins = hold.NewPins()
	}
	spool, err := hold.OpenSpool(w.spool, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	conf.Copies = spool
	if w.cfg != nil {
		w.cfg(&conf)
	}
	set, err := New(conf)
	if err != nil {
		w.t.Fatal(err)
	}
	w.store, w.set, w.read = store, set, map[string]*Reader{}
	for _, o := range w.outs {
		w.read[o] = set.Reader(o, []string{"app"})
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := set.Run(ctx); err != nil {
			w.t.Error(err)
		}
	}()
	w.stop = func() { cancel(); <-done; store.Close(); spool.Close() }
}

// log shows what happened when a test fails and -v is given.
func (w *world) log() zerolog.Logger {
	if !testing.Verbose() {
		return zerolog.Nop()
	}
	return zerolog.New(zerolog.NewTestWriter(w.t))
}

func (w *world) kill() {
	if w.stop != nil {
		w.stop()
		w.stop = nil
	}
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) add(name, text string) {
	w.t.Helper()
	f, err := os.OpenFile(w.path(name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		w.t.Fatal(err)
	}
	f.Close()
}

func (w *world) move(from, to string) {
	w.t.Helper()
	if err := os.Rename(w.path(from), w.path(to)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) cp(from, to string) {
	w.t.Helper()
	data, err := os.ReadFile(w.path(from))
	if err == nil {
		err = os.WriteFile(w.path(to), data, 0o644)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// take reads a block of an output and makes it done. io.EOF and the end of ctx are returned.
func (w *world) take(ctx context.Context, out string) error {
	b, err := w.read[out].Next(ctx)
	if err != nil {
		return err
	}
	defer b.Release()
	w.keep(out, b)
	r := state.Range{Gen: b.Gen, From: b.From, To: b.To, Check: b.Check(b.To.Off), Skip: len(b.Lines) == 0}
	w.seq[out] = w.store.Next(out)
	w.store.Begin(state.Manifest{Output: out, Seq: w.seq[out], Read: b.Read, Ranges: []state.Range{r}})
	w.store.Done(out, w.seq[out])
	return nil
}

func (w *world) keep(out string, b *Block) {
	w.t.Helper()
	at := b.From.Off
	for _, l := range b.Lines {
		if l.Off < at || l.Next < l.Off || l.Next > b.To.Off {
			w.t.Errorf("line from %d to %d in a block from %d to %d, behind %d", l.Off, l.Next, b.From.Off, b.To.Off, at)
		}
		at = l.Next
		id := fmt.Sprint(out, b.Gen, "-", l.Off)
		if w.ids[id] {
			w.t.Errorf("event %s of %s twice", id, b.File.Path)
		}
		w.ids[id] = true
		w.got[out] = append(w.got[out], string(b.Data[l.Start:l.End]))
		w.flags = append(w.flags, l.Flags)
	}
}

// until reads until an output has n lines.
func (w *world) until(n int) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 60*time.Second)
	defer cancel()
	for _, out := range w.outs {
		for len(w.got[out]) < n {
			if err := w.take(ctx, out); err != nil {
				w.t.Fatalf("%s has %d lines, then %v; want %d: %q\n%+v\n%+v", out, len(w.got[out]), err, n, tailOf(w.got[out]), w.set.Files(), w.set.Stats())
			}
		}
	}
}

func tailOf(s []string) []string { return s[max(0, len(s)-10):] }

// rest reads to the end of everything.
func (w *world) rest() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 60*time.Second)
	defer cancel()
	w.set.Finish(ctx)
	for _, out := range w.outs {
		err := error(nil)
		for err == nil {
			err = w.take(ctx, out)
		}
		if !errors.Is(err, io.EOF) {
			w.t.Fatalf("%s: Next() = %v after %d lines; want io.EOF\n%+v", out, err, len(w.got[out]), w.set.Files())
		}
	}
}

// want compares what was read, in any order of the files.
func (w *world) want(lines ...string) {
	w.t.Helper()
	for _, out := range w.outs {
		got := slices.Clone(w.got[out])
		want := slices.Clone(lines)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			missing, extra := diff(want, got), diff(got, want)
			w.t.Errorf("%s: %d lines, want %d; missing %q, too many %q\n%+v", out, len(got), len(want), missing, extra, w.set.Stats())
		}
	}
}

func diff(a, b []string) []string {
	count := map[string]int{}
	for _, s := range b {
		count[s]++
	}
	var out []string
	for _, s := range a {
		if count[s]--; count[s] < 0 {
			out = append(out, s)
		}
	}
	return out[:min(len(out), 20)]
}

// lines makes n different lines, with line ends, and the list of them.
func lines(tag string, n int) (text string, list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("%s line %d", tag, i))
	}
	return strings.Join(list, "\n") + "\n", list
}

func TestLinesOfAllFilesAreReadOnce(t *testing.T) {
	w := newWorld(t, "*.log")
	a, la := lines("a", 5000)
	b, lb := lines("b", 300)
	w.add("a.log", a)
	w.start()
	w.until(len(la))
	w.add("b.log", b)
	w.add("c.txt", "not wanted\n")
	w.add("a.log", "more\n\n\nhalf")
	w.until(len(la) + len(lb) + 3)
	w.add("a.log", " line\r\nlast")
	w.rest()
	w.want(append(append(la, lb...), "more", "", "", "half line", "last")...)
	if last := w.flags[len(w.flags)-1]; last != record.Partial {
		t.Errorf("flags of a last line without end = %v; want Partial", last)
	}
}

func TestNothingIsReadTwiceAfterARestart(t *testing.T) {
	w := newWorld(t, "*.log")
	var all []string
	for i := range 6 {
		text, l := lines(fmt.Sprint("run ", i), 500)
		all = append(all, l...)
		w.add("a.log", text)
		w.start()
		w.until(len(all))
		w.kill()
	}
	w.start()
	w.rest()
	w.want(all...)
}

// histories is how many random histories of each kind are played.
var histories = flag.Int("histories", 6, "random histories of each kind")
