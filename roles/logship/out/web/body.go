package web

import (
	"context"
	"io"
	"net"
	"sync"
)

// body is what a request sends. The transport may go on with reading after it gave up on a request, so that memory which is used
// again has to wait until every reader of it was closed.
type body struct {
	rest []byte
	once sync.Once
	open *sync.WaitGroup
}

func newBody(data []byte, open *sync.WaitGroup) *body {
	open.Add(1)
	return &body{rest: data, open: open}
}

func (b *body) Read(p []byte) (int, error) {
	if len(b.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

func (b *body) Close() error {
	b.once.Do(b.open.Done)
	return nil
}

// straight is a connection that writes a body from its memory in one call. The transport would copy it in pieces of 32 KiB.
type straight struct{ net.Conn }

// ReadFrom implements io.ReaderFrom.
func (s straight) ReadFrom(r io.Reader) (int64, error) {
	if limited, ok := r.(*io.LimitedReader); ok {
		if b, ok := limited.R.(*body); ok && limited.N == int64(len(b.rest)) {
			n, err := s.Write(b.rest)
			b.rest = b.rest[n:]
			limited.N -= int64(n)
			return int64(n), err
		}
	}
	return io.Copy(struct{ io.Writer }{s.Conn}, r)
}

func (c *Client) dial(ctx context.Context, _, address string) (net.Conn, error) {
	conn, err := c.dialer.Dial(ctx, address)
	if err != nil {
		return nil, err
	}
	return straight{conn}, nil
}
