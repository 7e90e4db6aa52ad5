package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// The requests that are sent, each in one version: those that every broker since 2.1 knows, also 4.x.
const (
	apiProduce, apiMetadata, apiHandshake, apiInit, apiAuthenticate = 0, 3, 17, 22, 36

	verProduce, verMetadata, verHandshake, verInit, verAuthenticate = 7, 5, 1, 1, 0
)

const answerMax = 16 << 20

// be appends numbers and strings as Kafka writes them.
//
//go:noinline
func str(dst []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(s))), s...) //nolint:gosec // names are short
}

//go:noinline
func i16(dst []byte, n int16) []byte { return binary.BigEndian.AppendUint16(dst, uint16(n)) } //nolint:gosec // two's complement
//go:noinline
func i32(dst []byte, n int) []byte { return binary.BigEndian.AppendUint32(dst, uint32(n)) } //nolint:gosec // two's complement
//go:noinline
func i64(dst []byte, n int64) []byte { return binary.BigEndian.AppendUint64(dst, uint64(n)) } //nolint:gosec // two's complement

var errShort = errors.New("an answer that ends too early")

// answer is read from front to back; after an error everything is zero.
type answer struct {
	rest []byte
	err  error
}

func (a *answer) take(n int) []byte {
	if a.err != nil || n < 0 || n > len(a.rest) {
		a.err, a.rest = errors.Join(a.err, errShort), nil
		return make([]byte, min(max(n, 0), 8))
	}
	b := a.rest[:n]
	a.rest = a.rest[n:]
	return b
}

func (a *answer) i16() int16 { return int16(binary.BigEndian.Uint16(a.take(2))) }      //nolint:gosec // two's complement
func (a *answer) i32() int   { return int(int32(binary.BigEndian.Uint32(a.take(4)))) } //nolint:gosec // two's complement
func (a *answer) i64() int64 { return int64(binary.BigEndian.Uint64(a.take(8))) }      //nolint:gosec // two's complement

// str reads a string; one that is not there is empty.
func (a *answer) str() string {
	n := int(a.i16())
	if n < 0 {
		return ""
	}
	if a.err != nil || n > len(a.rest) {
		a.take(len(a.rest) + 1)
		return ""
	}
	return string(a.take(n))
}

// bytes reads bytes; what is not there is empty.
func (a *answer) bytes() []byte {
	n := a.i32()
	if n < 0 {
		return nil
	}
	if a.err != nil || n > len(a.rest) {
		a.take(len(a.rest) + 1)
		return nil
	}
	return a.take(n)
}

// each calls fn for each element of an array, as long as there is something to read.
func (a *answer) each(fn func()) {
	n := a.i32()
	for range n {
		if a.err != nil {
			return
		}
		if len(a.rest) == 0 {
			a.take(1)
			return
		}
		fn()
	}
}

// conn is a connection to a broker; one request at a time.
type conn struct {
	net.Conn
	mu      sync.Mutex
	address string
	client  string
	next    int
	head    []byte
	broken  bool
}

// call sends a request, whose body is parts one after the other, and returns the body of the answer.
func (c *conn) call(ctx context.Context, api, version int16, parts ...[]byte) (*answer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	a, err := c.exchange(api, version, parts)
	if !stop() && err == nil {
		err = ctx.Err() // the deadline may be over by now
	}
	if err != nil {
		c.broken = true
		_ = c.Close()
		if ctx.Err() != nil && errors.Is(err, os.ErrDeadlineExceeded) {
			err = ctx.Err()
		}
		return nil, fmt.Errorf("%s: %w", c.address, err)
	}
	return a, nil
}

func (c *conn) exchange(api, version int16, parts [][]byte) (*answer, error) {
	c.next++
	size := 10 + len(c.client)
	for _, p := range parts {
		size += len(p)
	}
	h := i32(c.head[:0], size)
	h = i16(i16(h, api), version)
	h = str(i32(h, c.next), c.client)
	c.head = h
	bufs := net.Buffers{h}
	for _, p := range parts {
		if len(p) > 0 {
			bufs = append(bufs, p)
		}
	}
	if _, err := bufs.WriteTo(c.Conn); err != nil {
		return nil, err
	}
	var head [8]byte
	if _, err := io.ReadFull(c.Conn, head[:]); err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	n, id := int(binary.BigEndian.Uint32(head[:])), int(binary.BigEndian.Uint32(head[4:]))
	if n < 4 || n > answerMax || id != c.next {
		return nil, fmt.Errorf("an answer of %d bytes to request %d; want one to %d", n, id, c.next)
	}
	body := make([]byte, n-4)
	if _, err := io.ReadFull(c.Conn, body); err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	return &answer{rest: body}, nil
}
