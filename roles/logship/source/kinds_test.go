package source

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sidecar-kit/sidecar/roles/logship/record"
	"github.com/sidecar-kit/sidecar/roles/logship/state"
)

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// eventually waits for something that is seen in the state of the Set.
func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	for range 400 {
		if ok() {
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
	w.t.Fatalf("%s: not so after 10 s\n%+v\n%+v", what, w.set.Files(), w.set.Stats())
}

func TestWhatIsNoLogIsRefusedAndHarmsNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "*.log")
	secret := filepath.Join(t.TempDir(), "secret")
	w.must(os.WriteFile(secret, []byte("do not tell\n"), 0o600))
	w.must(os.Symlink(secret, w.path("secret.log")))
	w.must(os.Symlink("loop.log", w.path("loop.log")))
	w.must(unix.Mkfifo(w.path("pipe.log"), 0o600))
	w.must(os.Mkdir(w.path("folder.log"), 0o700))
	w.must(os.WriteFile(w.path("broken.log"), []byte("\x1f\x8b\x08 this is no gzip"), 0o600))
	w.must(os.Chtimes(w.path("broken.log"), time.Time{}, time.Now().Add(-time.Hour)))
	w.add("fine.log", "one\ntwo\n")
	w.start()
	w.until(2)
	w.rest()
	w.want("one", "two")
	if e := w.set.Stats().Errors; e["link"] < 2 || e["kind"] < 1 || e["compressed"]+e["damaged"] < 1 {
		t.Errorf("errors counted: %v; want links, a pipe and what is no gzip", e)
	}
}

func TestUnreadableFileIsReadOnceItCanBe(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root may read everything")
	}
	w := newWorld(t, "*.log")
	w.add("a.log", "a\n")
	w.must(os.Chmod(w.path("a.log"), 0))
	w.add("b.log", "b\n")
	w.start()
	w.until(1)
	w.must(os.Chmod(w.path("a.log"), 0o644))
	w.until(2)
	w.want("a", "b")
}

func TestLinksAreFollowedWithinTheirFolders(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "current.log")
	w.input.Symlinks = true
	outside := filepath.Join(t.TempDir(), "secret")
	w.must(os.WriteFile(outside, []byte("do not tell\n"), 0o600))
	s := &script{w: w}
	s.play("mkdir real; say real/1.log 10; ln real/1.log current.log; up; sync; say real/1.log 5; sync")
	for i := 2; i < 6; i++ {
		s.play(fmt.Sprintf("say real/%d.log 10; say real/%d.log 3; ln real/%d.log current.log; say real/%d.log 2; sync", i, i-1, i, i))
	}
	w.must(os.Symlink(outside, w.path("x.tmp")))
	w.must(os.Rename(w.path("x.tmp"), w.path("current.log")))
	w.eventually("a link that leads out is counted", func() bool { return w.set.Stats().Errors["link"] > 0 })
	w.rest()
	w.want(s.said...)
}

func TestStartAtEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "*.log")
	w.input.Start = "end"
	w.add("a.log", "old\n")
	w.start()
	<-w.set.ready
	w.add("a.log", "new\n")
	w.add("b.log", "all of a new file\n")
	w.until(2)
	w.kill()
	w.add("a.log", "while down\n")
	w.start()
	w.until(3)
	w.rest()
	w.want("new", "all of a new file", "while down")
}

func TestStartAtEndWithinALine(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{"block", "tail"} {
		w := newWorld(t, "*.log")
		w.input.Start, w.input.Engine = "end", engine
		w.add("a.log", "old\nhalf")
		w.start()
		<-w.set.ready
		w.eventually("durable", func() bool { return len(w.store.Gens()) == 1 })
		w.kill()
		w.start()
		<-w.set.ready
		w.add("a.log", " a line\nnew\n")
		w.until(1)
		w.kill()
		w.add("a.log", "more\n")
		w.start()
		w.until(2)
		w.rest()
		w.want("new", "more")
	}
}

func TestOldFilesAreIgnoredUntilTheyGrow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "*.log")
	w.input.IgnoreOlder = time.Hour
	w.add("old.log", "old\n")
	w.must(os.Chtimes(w.path("old.log"), time.Time{}, time.Now().Add(-2*time.Hour)))
	w.add("new.log", "new\n")
	w.start()
	w.until(1)
	w.want("new")
	w.add("old.log", "more\n")
	w.until(3)
	w.want("new", "old", "more")
}

func TestPartialLines(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "*.log")
	w.input.PartialAfter = 200 * time.Millisecond
	w.add("a.log", "whole\nhalf")
	w.start()
	w.until(2)
	w.add("a.log", " rest\n")
	w.until(3)
	w.rest()
	w.want("whole", "half", " rest")
	if w.flags[1] != record.Partial || w.flags[2] != 0 {
		t.Errorf("flags = %v; want the half line Partial", w.flags)
	}
}

func TestLastLineOfARotatedFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "app.log")
	w.add("app.log", "whole\nhalf")
	w.start()
	w.until(1)
	w.move("app.log", "app.log.1")
	w.add("app.log", "next\n")
	w.until(3)
	w.want("whole", "half", "next")
}

func TestZerosAndLongLines(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "*.log")
	w.input.MaxLine = 1000
	long := strings.Repeat("0123456789", 250)
	w.add("a.log", "one\n")
	w.start()
	w.until(1)
	w.must(os.Truncate(w.path("a.log"), 3<<20)) // a writer that was truncated and did not notice
	w.add("a.log", "two\n"+long+"\nthree\n")
	w.until(6)
	w.rest()
	w.want("one", "two", long[:1000], long[1000:2000], long[2000:], "three")
	if st := w.set.Stats(); st.NULs != 3<<20-4 || st.LongLines != 1 {
		t.Errorf("counted %d zeros and %d long lines; want %d and 1", st.NULs, st.LongLines, 3<<20-4)
	}
}

func TestPipe(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "*.log")
	w.input.FIFO = true
	spool := t.TempDir()
	w.cfg = func(c *Config) { c.Spool = spool }
	w.must(unix.Mkfifo(w.path("pipe.log"), 0o600))
	w.start()
	w.add("pipe.log", "one\ntwo\n")
	w.until(2)
	w.add("pipe.log", "three\n") // by another writer
	w.until(3)
	w.kill()
	w.start()
	<-w.set.ready
	w.eventually("the pipe is open", func() bool { return w.set.Stats().Pipes == 1 })
	w.add("pipe.log", "four\n")
	w.until(4)
	w.rest()
	w.want("one", "two", "three", "four")
}

func TestRangesGiveTheSameAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "*.log")
	w.input.MaxLine = 300
	w.must(os.WriteFile(w.path("b.log"), gzipOf([]byte(strings.Repeat("in a gzip\n", 5000))), 0o600))
	for i := range 2000 {
		w.add("a.log", strings.Repeat("x", i%700)+"\n")
	}
	w.start()
	<-w.set.ready
	type part struct {
		r     state.Range
		lines []string
	}
	var parts []part
	for range 4 {
		b, err := w.read["out"].Next(t.Context())
		w.must(err)
		p := part{r: state.Range{Gen: b.Gen, From: b.From, To: b.To, Check: b.Check(b.To.Off)}, lines: texts(b)}
		if mid := len(b.Lines) / 2; mid > 0 { // batches end where they are full
			l := b.Lines[mid]
			r := p.r
			r.To = state.Pos{Off: l.Next, Mid: l.Flags&record.More != 0}
			r.Check = b.Check(l.Next)
			parts = append(parts, part{r: r, lines: p.lines[:mid+1]})
		}
		parts = append(parts, p)
		b.Release()
	}
	w.move("a.log", "a.log.1")
	for _, p := range parts {
		var got []string
		for b, err := range w.read["out"].Range(t.Context(), p.r) {
			w.must(err)
			got = append(got, texts(b)...)
			b.Release()
		}
		if strings.Join(got, "\n") != strings.Join(p.lines, "\n") {
			t.Errorf("Range(%+v) = %d lines; want the %d of the first time", p.r, len(got), len(p.lines))
		}
	}
	bad := parts[0].r
	bad.Check++
	for _, err := range w.read["out"].Range(t.Context(), bad) {
		if err != nil && !errors.Is(err, ErrGone) {
			t.Errorf("Range of other bytes = %v; want %v", err, ErrGone)
		}
	}
}

func texts(b *Block) (list []string) {
	for _, l := range b.Lines {
		list = append(list, string(b.Data[l.Start:l.End]))
	}
	return list
}

func TestMoreFilesThanHandles(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "*.log")
	w.cfg = func(c *Config) { c.MaxOpen = 20 }
	var want []string
	for round := range 3 {
		for i := range 200 {
			line := fmt.Sprintf("%d of file %d", round, i)
			w.add(fmt.Sprintf("%d.log", i), line+"\n")
			want = append(want, line)
		}
		if round == 0 {
			w.start()
		}
		w.until(len(want))
		if open := w.set.Stats().Open; open > 21 {
			t.Errorf("%d files are open; want about 20", open)
		}
	}
	w.want(want...)
}

func TestIdleFilesAreClosedAndReadOn(t *testing.T) {
	t.Parallel()
	for _, pins := range []bool{true, false} {
		w := newWorld(t, "*.log")
		w.noPin = !pins
		w.input.CloseIdle = 150 * time.Millisecond
		w.add("a.log", "one\n")
		w.start()
		w.until(1)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if err := w.take(ctx, "out"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Next() = %v; want that there is nothing", err)
		}
		cancel()
		w.eventually("closed", func() bool { return w.set.Stats().Open == 0 })
		w.move("a.log", "b.txt")
		w.add("b.txt", "two\n")
		w.until(2)
		w.want("one", "two")
	}
}

func TestWhatIsDoneAndGoneIsForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "*.log")
	w.add("a.log", "one\n")
	w.start()
	w.until(1)
	w.must(os.Remove(w.path("a.log")))
	go func() { // somebody waits for more all the time
		for w.take(t.Context(), "out") == nil {
		}
	}()
	w.eventually("forgotten", func() bool { return len(w.store.Gens()) == 0 && len(w.set.Files()) == 0 })
	if ids, err := w.set.pins.List(w.dir); err != nil || len(ids) != 0 {
		t.Errorf("pins left: %v, %v; want none", ids, err)
	}
}

func TestFilesTakeTurns(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "*.log")
	w.add("big.log", strings.Repeat(strings.Repeat("x", 99)+"\n", 100_000))
	w.start()
	<-w.set.ready
	w.add("small.log", "small\n")
	w.eventually("both are known", func() bool { return len(w.set.Files()) == 2 })
	for i := 0; ; i++ {
		b, err := w.read["out"].Next(t.Context())
		w.must(err)
		name := filepath.Base(b.File.Path)
		b.Release()
		if name == "small.log" {
			return
		}
		if i > 3 {
			t.Fatalf("%d blocks of a large file before a small one had its turn", i)
		}
	}
}

func TestUTF16ByItsMark(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "*.log")
	w.must(os.WriteFile(w.path("a.log"), []byte("\xFF\xFEa\x00\n\x00b\x00\r\x00\n\x00"), 0o600))
	w.start()
	w.until(2)
	w.kill()
	w.add("a.log", "c\x00\n\x00")
	w.start()
	w.until(3)
	w.want("a", "b", "c")
}
