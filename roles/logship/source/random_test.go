package source

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// history makes a script: a writer and a rotator at work, of which every line has to be read once. The rotator renames or copies,
// compresses what is older, and logship is killed now and then.
func history(r *rand.Rand, kind string) string {
	var b strings.Builder
	do := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	up, kept, packed := true, 0, 0
	do("say app.log %d; up; ready", r.IntN(100))
	for range 6 + r.IntN(14) {
		switch n := r.IntN(12); {
		case n >= 4 && n < 7 && kind == "remove" && !up:
		case n < 4:
			do("say app.log %d", 1+r.IntN(200))
		case n < 7: // rotate
			do("say app.log %d", 1+r.IntN(60))
			for i := kept; i > 0; i-- {
				ext := ""
				if i > kept-packed {
					ext = ".gz"
				}
				do("mv app.log.%d%s app.log.%d%s", i, ext, i+1, ext)
			}
			switch kind {
			case "rename":
				do("mv app.log app.log.1")
			case "remove":
				do("ready; pause 30; hold app.log; rm app.log; late %d; pause %d; late %d", r.IntN(40), r.IntN(20), r.IntN(40))
				if r.IntN(2) == 0 {
					do("pause 150; kept; down; up")
				}
				do("say app.log %d", 1+r.IntN(60))
				continue
			default:
				do("cp app.log app.log.1; cut app.log")
			}
			kept++
			do("say app.log %d", 1+r.IntN(60))
		case n < 8 && packed+1 < kept:
			do("gz app.log.%d", kept-packed)
			packed++
		case n < 9 && up:
			do("sync")
		case n < 10:
			do("pause %d", r.IntN(30))
		case n < 11 && up:
			do("sync; down")
			up = false
		case !up:
			do("up")
			up = true
		}
	}
	if !up {
		do("up")
	}
	do("sync; say app.log 3")
	return b.String()
}

// TestRandomHistories plays histories that nobody thought of.
func TestRandomHistories(t *testing.T) {
	for seed := range uint64(*histories) {
		for _, kind := range []string{"rename", "copytruncate", "remove"} {
			for _, glob := range []string{"app.log", "app.log*"} {
				t.Run(fmt.Sprint(kind, " ", glob, " ", seed), func(t *testing.T) {
					t.Parallel()
					r := rand.New(rand.NewPCG(seed, 3))
					w := newWorld(t, glob)
					if r.IntN(3) == 0 {
						w.outs = []string{"one", "two"}
					}
					if r.IntN(3) == 0 {
						w.input.Pin = "always"
					}
					if r.IntN(4) == 0 {
						w.input.Engine = "tail"
					}
					if r.IntN(3) == 0 && kind != "copytruncate" {
						w.spooling(0, "")
					}
					s := &script{w: w}
					text := history(r, kind)
					t.Cleanup(func() {
						if t.Failed() {
							t.Log(w.input.Engine, " ", text)
						}
					})
					s.play(text)
					w.rest()
					w.want(s.said...)
				})
			}
		}
	}
}
