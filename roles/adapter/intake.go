package adapter

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
)

// intake bounds what bodies that are sent to us hold of the memory, each and together: a few kilobytes unpack to many megabytes, and whoever reaches
// --listen may send a hundred of these at once.
type intake struct {
	body, size int64         // most bytes of one, before and after it is unpacked
	left       atomic.Int64  // bytes that all of them may still hold
	turn       chan struct{} // one is decoded at a time, which takes several times its size
}

// newIntake makes one for a process that may use so many bytes.
func newIntake(limit int64) *intake {
	const mib = 1 << 20
	in := &intake{body: max(min(16*mib, limit/32), mib), size: max(min(64*mib, limit/32), 2*mib), turn: make(chan struct{}, 1)}
	in.left.Store(max(in.size+1, min(256*mib, limit/8)))
	return in
}

var (
	errTooBig = errors.New("the body is too large")
	errBusy   = errors.New("too much is sent at once")
)

// read reads a body within its bounds. release gives back what it holds, after its last use.
func (in *intake) read(w http.ResponseWriter, r *http.Request) (body []byte, release func(), err error) {
	h := &holder{in: in}
	release = func() { in.left.Add(h.held) }
	h.from = http.MaxBytesReader(w, r.Body, in.body)
	switch coding := strings.ToLower(r.Header.Get("Content-Encoding")); coding {
	case "", "identity":
	case "gzip":
		z, err := gzip.NewReader(h.from)
		if err != nil {
			return nil, release, fmt.Errorf("gzip: %w", err)
		}
		h.from = z
	default:
		return nil, release, fmt.Errorf("content encoding %q is not supported; want gzip or none", coding)
	}
	var b bytes.Buffer
	n, err := b.ReadFrom(io.LimitReader(h, in.size+1))
	var tooLong *http.MaxBytesError
	if errors.As(err, &tooLong) || n > in.size {
		err = errTooBig
	}
	return b.Bytes(), release, err
}

// decode calls fn when it is its turn, or returns the error of ctx.
func (in *intake) decode(ctx context.Context, fn func() error) error {
	select {
	case in.turn <- struct{}{}:
		defer func() { <-in.turn }()
		return fn()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// holder counts what is read.
type holder struct {
	in   *intake
	from io.Reader
	held int64
}

// Read implements io.Reader.
func (h *holder) Read(p []byte) (int, error) {
	n, err := h.from.Read(p)
	if h.held += int64(n); h.in.left.Add(-int64(n)) < 0 {
		return 0, errBusy
	}
	return n, err
}
