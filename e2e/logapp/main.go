// logapp is an application that logs: numbered lines into files, which it opens anew when somebody has rotated them. On SIGTERM it
// writes its last lines and exits 0.
//
//	logapp [-stay] [-control FOLDER] PATH:KIND:FROM:COUNT:RATE[:TAIL]...
//
// COUNT lines from number FROM are written at RATE a second, then it ends; with -stay it waits for SIGTERM, writes TAIL more, and ends. A file
// NAME.pause in the folder makes it stop writing to NAME, and say so by NAME.paused, until both are gone.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sidecar-kit/sidecar/e2e/logline"
)

type stream struct {
	path, kind string
	numbers    [4]int // from, count, rate, tail
	control    string

	file *os.File
	gone time.Time // since when the name is gone
}

func main() {
	stay := flag.Bool("stay", false, "wait for SIGTERM at the end")
	control := flag.String("control", "", "`FOLDER` of the files that stop it for a while")
	flag.Parse()
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	ended := make(chan struct{})
	go func() {
		<-term
		close(ended)
	}()
	if err := run(flag.Args(), *control, *stay, ended); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string, control string, stay bool, ended chan struct{}) error {
	var wg sync.WaitGroup
	errs := make([]error, len(args))
	for i, arg := range args {
		s, err := parse(arg, control)
		if err != nil {
			return err
		}
		wg.Go(func() {
			from, count := s.numbers[0], s.numbers[1]
			if errs[i] = s.write(from, count); errs[i] == nil && stay {
				<-ended
				errs[i] = s.write(from+count, s.numbers[3])
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func parse(arg, control string) (*stream, error) {
	parts := strings.Split(arg, ":")
	if len(parts) < 5 || len(parts) > 6 {
		return nil, fmt.Errorf("%q: want PATH:KIND:FROM:COUNT:RATE[:TAIL]", arg)
	}
	s := &stream{path: parts[0], kind: parts[1], control: control}
	for i, text := range parts[2:] {
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", arg, err)
		}
		s.numbers[i] = n
	}
	return s, nil
}

// write writes lines at the stream's rate.
func (s *stream) write(from, count int) error {
	started := time.Now()
	var b bytes.Buffer
	for done := 0; done < count; {
		if err := errors.Join(s.pause(), s.open()); err != nil {
			return err
		}
		due := min(count, int(time.Since(started).Seconds()*float64(s.numbers[2])), done+500)
		for ; done < due; done++ {
			text, err := logline.Event(s.kind, from+done)
			if err != nil {
				return err
			}
			b.WriteString(text)
			b.WriteByte('\n')
		}
		if _, err := b.WriteTo(s.file); err != nil {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
	return nil
}

// open opens the file at first, and when its name has come to stand for another one.
func (s *stream) open() error {
	if s.file != nil {
		is, err := s.file.Stat()
		if err != nil {
			return err
		}
		named, err := os.Stat(s.path)
		if err == nil && os.SameFile(is, named) {
			return nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		// Whoever rotates may be about to make the new file.
		if s.gone.IsZero() {
			s.gone = time.Now()
		}
		if err != nil && time.Since(s.gone) < 500*time.Millisecond {
			return nil
		}
		s.gone = time.Time{}
		if err := s.file.Close(); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(s.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	s.file = f
	return err
}

// pause waits while somebody wants it.
func (s *stream) pause() error {
	if s.control == "" {
		return nil
	}
	name := filepath.Join(s.control, filepath.Base(s.path))
	for said := false; ; {
		if _, err := os.Stat(name + ".pause"); err != nil {
			return nil
		}
		if !said {
			if err := os.WriteFile(name+".paused", nil, 0o666); err != nil {
				return err
			}
			said = true
		}
		time.Sleep(2 * time.Millisecond)
	}
}
