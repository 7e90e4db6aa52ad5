package source

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

// script plays a history, one command after the other:
//
//	up, down           start and kill the reader
//	say F N            append N lines to F; everything that was said has to be read once
//	quiet F N          the same, without sync waiting for it
//	hold F, late N     open F for appending and keep it open; append N lines there
//	mv, cp A B; cut, rm, gz, zst A; ln TARGET NAME; mkdir D
//	ready              wait until everything was looked at once
//	sync               wait until everything that was said is read
//	kept               wait until a kill would not lose what was removed
//	pause MS
type script struct {
	w    *world
	said []string
	held *os.File
}

func (s *script) play(text string) {
	s.w.t.Helper()
	for _, line := range strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == ';' }) {
		if f := strings.Fields(line); len(f) > 0 {
			if err := s.do(f[0], append(f[1:], "", "")); err != nil {
				s.w.t.Fatalf("%s: %v", line, err)
			}
		}
	}
}

func (s *script) do(cmd string, arg []string) error {
	w := s.w
	a, b := w.path(arg[0]), w.path(arg[1])
	switch cmd {
	case "up":
		w.start()
	case "down":
		w.kill()
	case "say":
		n, _ := strconv.Atoi(arg[1])
		w.add(arg[0], s.lines(n))
	case "hold":
		var err error
		s.held, err = os.OpenFile(a, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		return err
	case "late":
		n, _ := strconv.Atoi(arg[0])
		_, err := s.held.WriteString(s.lines(n))
		return err
	case "mv":
		return os.Rename(a, b)
	case "cp":
		w.cp(arg[0], arg[1])
	case "cut":
		return os.Truncate(a, 0)
	case "rm":
		return os.Remove(a)
	case "gz":
		return pack(a, a+".gz", gzipOf)
	case "zst":
		return pack(a, a+".zst", zstdOf)
	case "cpgz":
		data, err := os.ReadFile(a)
		if err == nil {
			err = os.WriteFile(b, gzipOf(data), 0o644)
		}
		return err
	case "ln":
		tmp := b + ".tmp"
		return errors.Join(os.Symlink(arg[0], tmp), os.Rename(tmp, b))
	case "mkdir":
		return os.MkdirAll(a, 0o755)
	case "ready":
		<-w.set.ready
	case "sync":
		w.until(len(s.said))
	case "kept":
		w.eventually("what is removed is kept", w.kept)
	case "pause":
		n, _ := strconv.Atoi(arg[0])
		time.Sleep(time.Duration(n) * time.Millisecond)
	default:
		return errors.New("no such command")
	}
	return nil
}

// kept says that everything without a name is pinned, copied or delivered.
func (w *world) kept() bool {
	s := w.set
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.gens {
		if _, err := os.Lstat(g.Now); (g.Now == "" || err != nil) && !g.pinned && !s.isCopied(g) && s.store.Low(g.ID) < g.size {
			return false
		}
		if !g.stored && g.size > 0 {
			return false
		}
	}
	return len(s.toPin) == 0
}

func (s *script) lines(n int) string {
	var b strings.Builder
	for range n {
		line := fmt.Sprintf("line %d of this history", len(s.said))
		s.said = append(s.said, line)
		b.WriteString(line + "\n")
	}
	return b.String()
}

func pack(from, to string, how func([]byte) []byte) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(to, how(data), 0o644), os.Remove(from))
}

func gzipOf(data []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(data)
	_ = z.Close()
	return b.Bytes()
}

func zstdOf(data []byte) []byte {
	e, _ := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<15), zstd.WithLowerEncoderMem(true))
	defer e.Close()
	return e.EncodeAll(data, nil)
}

// TestRotations plays what rotators do to files.
func TestRotations(t *testing.T) {
	tests := []struct{ name, globs, script string }{
		{"rename", "app.log", "say app.log 100; up; sync; say app.log 50; mv app.log app.log.1; say app.log 70; sync; say app.log 9"},
		{"rename, glob has both", "app.log*", "say app.log 100; up; sync; say app.log 50; mv app.log app.log.1; say app.log 70; sync; say app.log 9"},
		{"many renames before a look", "app.log", `up; say app.log 10; pause 30; mv app.log app.log.1; say app.log 10; mv app.log.1 app.log.2
			mv app.log app.log.1; say app.log 10; mv app.log.2 app.log.3; mv app.log.1 app.log.2; mv app.log app.log.1; say app.log 5; sync`},
		{"renames while down", "app.log", `up; say app.log 100; sync; down; say app.log 50; mv app.log app.log.1; say app.log 70
			mv app.log.1 app.log.2; mv app.log app.log.1; say app.log 3; up; sync`},
		{"rename and compress while down", "app.log", `up; say app.log 100; sync; down; say app.log 50; mv app.log app.log.1; gz app.log.1; say app.log 7; up; sync`},
		{"removed while down", "app.log", "up; say app.log 100; sync; say app.log 1; pause 20; down; rm app.log; up; sync; say app.log 4"},
		{"late writer", "app.log", `hold app.log; late 10; up; sync; late 5; mv app.log app.log.1; say app.log 3; late 7; sync; pause 500; late 9; sync; pause 500
			rm app.log.1; late 2; sync`},
		{"moved to another folder", "app.log", "mkdir old; hold app.log; late 10; up; sync; mv app.log old/x; late 7; sync; say app.log 3; late 4; sync"},
		{"removed while it is written", "app.log", "hold app.log; late 10; up; sync; rm app.log; late 7; sync; say app.log 3; late 4; sync"},
		{"removed before it is read", "app.log", "up; pause 50; say app.log 1000; pause 80; rm app.log; pause 10; say app.log 5; sync"},
		{"copytruncate", "app.log", "say app.log 300; up; sync; say app.log 20; cp app.log app.log.1; cut app.log; say app.log 10; sync; say app.log 5; sync"},
		{"copytruncate three times", "app.log*", `up; say app.log 300; cp app.log app.log.1; cut app.log; say app.log 300; sync; mv app.log.1 app.log.2; cp app.log app.log.1
			cut app.log; say app.log 300; mv app.log.2 app.log.3; mv app.log.1 app.log.2; cp app.log app.log.1; cut app.log; say app.log 300; sync`},
		{"copytruncate while down", "app.log", "up; say app.log 300; sync; down; say app.log 20; cp app.log app.log.1; cut app.log; say app.log 10; up; sync"},
		{"copytruncate while down, longer than before", "app.log", `up; say app.log 300; sync; down; say app.log 20; cp app.log app.log-20260101; cut app.log
			say app.log 1000; up; sync`},
		{"copytruncate into gzip", "app.log", "up; say app.log 300; sync; down; say app.log 20; cpgz app.log app.log.1.gz; cut app.log; say app.log 10; up; sync"},
		{"copytruncate, seen while the copy is compressed", "app.log", `up; say app.log 300; sync; down; say app.log 20; cpgz app.log app.log.1.gz; cp app.log app.log.2; cut app.log
			say app.log 10; up; sync; rm app.log.2; say app.log 3; sync`},
		{"copytruncate to any name", "app.log", "up; say app.log 300; sync; down; say app.log 20; cp app.log zzz; cut app.log; say app.log 10; up; sync"},
		{"compressed after rotation", "app.log*", `up; say app.log 300; sync; mv app.log app.log.1; say app.log 10; sync; pause 100; gz app.log.1; pause 400; mv app.log.1.gz app.log.2.gz
			say app.log 10; sync; down; up; pause 100; say app.log 3; sync`},
		{"zstd after rotation while down", "app.log*", "up; say app.log 300; sync; down; mv app.log app.log.1; zst app.log.1; say app.log 10; up; sync"},
		{"compressed twice while down, the live file is empty", "app.log", `up; say app.log 100; sync; down; say app.log 50; cpgz app.log app.log.3.gz; cut app.log
			say app.log 70; cpgz app.log app.log.2.gz; cut app.log; say app.log 30; cpgz app.log app.log.1.gz; cut app.log; up; ready; say app.log 4; sync`},
		{"unknown archive", "*.log *.gz", "say old.log 200; gz old.log; up; sync; down; up; say new.log 5; sync"},
		{"equal beginnings", "app.log*", `say app.log 1; up; sync; down; mv app.log app.log.1; up; say app.log 2; sync`},
		{"recreated with the same name", "app.log", "up; say app.log 10; sync; rm app.log; say app.log 10; sync; rm app.log; say app.log 10; sync"},
		{"new folder", "*/app.log", "up; mkdir a; say a/app.log 10; mkdir b; say b/app.log 10; sync; mkdir c; pause 10; say c/app.log 4; sync"},
		{"deep folders", "**/*.log", "mkdir a/b/c; say a/b/c/x.log 10; up; sync; mkdir a/b/d/e; say a/b/d/e/y.log 10; say z.log 1; sync"},
		{"dated names", "app-*.log", "say app-2026-01-01.log 10; up; say app-2026-01-02.log 10; sync; say app-2026-01-01.log 3; sync"},
	}
	for _, tt := range tests {
		for _, how := range []string{"auto one", "auto one two", "always one two"} {
			t.Run(tt.name+" "+how, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, strings.Fields(tt.globs)...)
				w.outs = strings.Fields(how)[1:]
				w.input.Pin = strings.Fields(how)[0]
				s := &script{w: w}
				s.play(tt.script)
				w.rest()
				w.want(s.said...)
			})
		}
	}
}
