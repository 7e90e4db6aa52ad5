package source

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/sidecar-kit/sidecar/roles/logship/hold"
)

// TestASlowOutputGetsEverything rotates and removes files that one output has not begun to read.
func TestASlowOutputGetsEverything(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "app.log")
	w.outs = []string{"fast", "slow"}
	s := &script{w: w}
	s.play("up; ready")
	for i := range 6 {
		s.play("say app.log 400")
		w.outs = []string{"fast"}
		s.play("sync")
		w.outs = []string{"fast", "slow"}
		switch i % 3 {
		case 0:
			s.play("mv app.log app.log.1; pause 20; rm app.log.1")
		case 1:
			s.play(fmt.Sprintf("cp app.log app.log.%d; cut app.log; pause 30; gz app.log.%d", i+10, i+10))
		case 2:
			s.play("rm app.log; pause 20; down; up; ready")
		}
	}
	w.rest()
	w.want(s.said...)
}

// TestATruncationWithoutACopyIsAGap tells what was lost, and goes on.
func TestATruncationWithoutACopyIsAGap(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "app.log")
	w.outs = []string{"slow"}
	w.add("app.log", "one\ntwo\n")
	w.start()
	<-w.set.ready
	w.must(os.Truncate(w.path("app.log"), 0))
	w.add("app.log", "new\n")
	w.eventually("the truncation is seen", func() bool { return w.set.Stats().Truncations == 1 })
	w.rest()
	w.want("new")
	if lost := w.set.Stats().Gaps["truncated"]; lost != 8 {
		t.Errorf("%d bytes are counted as lost; want 8", lost)
	}
}

// TestRoomThatWasGivenBackIsNoTruncation empties the front of a file that every output is done with, up to a little below.
func TestRoomThatWasGivenBackIsNoTruncation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "app.log")
	w.cfg = func(c *Config) { c.Punched = map[string]bool{"app": true} }
	line := strings.Repeat("x", 127)
	w.add("app.log", strings.Repeat(line+"\n", 128)) // 16 KiB
	w.start()
	w.until(128)
	f, err := os.OpenFile(w.path("app.log"), os.O_RDWR, 0)
	w.must(err)
	defer f.Close()
	if n, err := hold.Punch(f, 128*128-PunchBehind); n == 0 || err != nil {
		t.Skip("no holes here: ", err)
	}
	w.add("app.log", "more\n")
	w.until(129)
	w.kill()
	w.add("app.log", "and more\n")
	w.start()
	w.until(130)
	w.rest()
	if got := w.got["out"]; len(got) != 130 || got[128] != "more" || got[129] != "and more" || w.set.Stats().Truncations != 0 {
		t.Errorf("%d lines, the last %q, %d truncations; want 130 and none", len(got), tailOf(got)[8:], w.set.Stats().Truncations)
	}
}

// TestATruncatedFileWithZerosIsAnotherOne has a writer that does not notice that its file was truncated: below its place are zeros.
func TestATruncatedFileWithZerosIsAnotherOne(t *testing.T) {
	t.Parallel()
	for _, punch := range []bool{true, false} {
		w := newWorld(t, "app.log")
		w.cfg = func(c *Config) { c.Punched = map[string]bool{"app": punch} }
		text, _ := lines("old", 2000)
		w.add("app.log", text)
		w.start()
		w.until(2000)
		w.must(os.Truncate(w.path("app.log"), 0))
		w.must(os.Truncate(w.path("app.log"), int64(len(text))))
		w.add("app.log", "new\n")
		w.until(2001)
		w.rest()
		if st := w.set.Stats(); st.Truncations != 1 || len(w.got["out"]) != 2001 {
			t.Errorf("punch %v: %d truncations and %d lines; want 1 and 2001", punch, st.Truncations, len(w.got["out"]))
		}
	}
}
