package logship

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/internal/health"
	"github.com/sidecar-kit/sidecar/internal/meter"
	"github.com/sidecar-kit/sidecar/internal/role"
)

// demo ships the lines of a file that is rotated, deleted and written anew, in three starts, and counts what arrived.
func demo(ctx context.Context, stdout io.Writer) (err error) {
	folder, err := os.MkdirTemp("", "sidecar-demo")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	log := filepath.Join(folder, "app.log")
	ship := func(say string) (int, error) {
		var got bytes.Buffer
		fmt.Fprintf(stdout, "\n%s\n", say)
		cfg := Default()
		cfg.Pin = "always" // a file is removed while nobody looks
		cfg.Paths, cfg.To, cfg.Decode = []string{log}, []string{"stdout"}, "json"
		env := role.Env{
			Log: zerolog.Nop(), Metrics: &meter.Registry{}, Health: &health.Set{}, Stdout: &got, Drain: 10 * time.Second, Hangup: make(chan struct{}), Quit: make(chan struct{}),
		}
		l, err := New(&cfg, env)
		if err == nil {
			err = l.Once(ctx)
		}
		_, e := stdout.Write(got.Bytes())
		return bytes.Count(got.Bytes(), []byte("\n")), errors.Join(err, e)
	}
	write := func(from, to int) error {
		f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		for i := from; i <= to; i++ {
			fmt.Fprintf(f, "{\"time\":\"2026-11-21T10:00:%02dZ\",\"level\":\"info\",\"msg\":\"order %d\",\"user\":\"ann\"}\n", i, i)
		}
		return f.Close()
	}
	total := 0
	for _, step := range []struct {
		say string
		do  func() error
	}{
		{"The application wrote three lines.", func() error { return write(1, 3) }},
		{"It wrote a fourth and its file was rotated while nobody looked; the new file has a fifth.", func() error {
			return errors.Join(write(4, 4), os.Rename(log, log+".1"), write(5, 5))
		}},
		{"It wrote a sixth, and the file was deleted before we started again.", func() error { return errors.Join(write(6, 6), os.Remove(log)) }},
	} {
		if err := step.do(); err != nil {
			return err
		}
		n, err := ship(step.say)
		if err != nil {
			return err
		}
		total += n
	}
	if total != 6 {
		return fmt.Errorf("%d lines arrived; want 6, each once", total)
	}
	_, err = fmt.Fprintln(stdout, "\nSix lines were written, six arrived, each once.")
	return err
}
