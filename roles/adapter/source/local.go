package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/sidecar-kit/sidecar/internal/proc"
	"github.com/sidecar-kit/sidecar/internal/secret"
)

type fileGetter struct{ o Options }

// NewFile reads a file at each request.
func NewFile(o Options) Getter { return fileGetter{o} }

// Get reads the file.
func (g fileGetter) Get(context.Context) (Body, error) {
	f, err := openRegular(g.o.File)
	if err != nil {
		return Body{}, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return Body{}, err
	}
	if !info.Mode().IsRegular() {
		return Body{}, fmt.Errorf("%s is no file", g.o.File)
	}
	if age := time.Since(info.ModTime()); g.o.MaxAge > 0 && age > g.o.MaxAge {
		return Body{}, fmt.Errorf("%s was written %s ago, max-age is %s", g.o.File, age.Round(time.Second), g.o.MaxAge)
	}
	data, err := readAll(f, g.o.MaxSize, info.Size())
	return Body{Data: data, Wire: len(data)}, err
}

type commandGetter struct{ o Options }

// NewCommand runs a program at each request; what it prints is the body. It sees PATH and the variables that are configured, nothing else.
func NewCommand(o Options) Getter { return commandGetter{o} }

// Get runs the program to its end.
func (g commandGetter) Get(ctx context.Context) (Body, error) {
	out := &capped{max: g.o.MaxSize}
	complaint := &capped{max: 4 << 10, cut: true}
	env := []string{"PATH=" + os.Getenv("PATH")}
	for name, value := range g.o.Env {
		env = append(env, name+"="+value)
	}
	p, err := proc.Start(ctx, proc.Cmd{Path: g.o.Command[0], Args: g.o.Command[1:], Env: env, Dir: g.o.Dir, Stdout: out, Stderr: complaint})
	if err != nil {
		return Body{}, err
	}
	_, err = p.Wait()
	switch {
	case ctx.Err() != nil:
		return Body{}, context.Cause(ctx)
	case out.full:
		return Body{}, errTooMuch(g.o.MaxSize)
	case err != nil:
		if text := secret.Printable(string(bytes.TrimSpace(complaint.data))); text != "" {
			return Body{}, fmt.Errorf("%s: %w: %s", g.o.Command[0], err, text)
		}
		return Body{}, fmt.Errorf("%s: %w", g.o.Command[0], err)
	}
	return Body{Data: out.data, Wire: len(out.data)}, nil
}

// capped keeps so many bytes. More are an error, or are left out.
type capped struct {
	data []byte
	max  int64
	cut  bool
	full bool
}

// Write implements io.Writer.
func (c *capped) Write(p []byte) (int, error) {
	room := c.max - int64(len(c.data))
	if int64(len(p)) <= room {
		c.data = append(c.data, p...)
		return len(p), nil
	}
	c.full = true
	if !c.cut {
		return 0, errors.New("too much")
	}
	c.data = append(c.data, p[:max(room, 0)]...)
	return len(p), nil
}

func errTooMuch(limit int64) error {
	return fmt.Errorf("the body has more than %d bytes (max-body, max-size)", limit)
}

// readAll reads at most limit bytes; size is how many there may be, or less than 0.
func readAll(r io.Reader, limit, size int64) ([]byte, error) {
	if size > limit {
		return nil, errTooMuch(limit)
	}
	buf := bytes.NewBuffer(make([]byte, 0, max(size, 0)+bytes.MinRead))
	n, err := buf.ReadFrom(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if n > limit {
		return nil, errTooMuch(limit)
	}
	return buf.Bytes(), nil
}
