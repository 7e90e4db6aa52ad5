package web

import (
	"errors"
	"io"
	"sync/atomic"

	"github.com/sidecar-kit/sidecar/roles/proxy/wire"
)

// intake is a request's body as a Source, under the limits of the route.
type intake struct {
	k    *conn
	x    *exchange
	in   *buffer     // of an HTTP/1 front
	rest []byte      // of a piece of in that did not fit
	err  error       // the first one
	over atomic.Bool // the body was read to its end; x.body belongs to the reader
}

// Read reads from the front, or from the client's connection by its framing.
func (i *intake) Read(p []byte) (int, error) {
	k, x := i.k, i.x
	if len(i.rest) == 0 && x.body.done {
		return 0, io.EOF
	}
	if i.err == nil && !k.bodyProgress(x) {
		i.err = errClient
	}
	if i.err != nil {
		return 0, i.err
	}
	n, err := i.read(p)
	if x.body.done {
		i.over.Store(true)
		k.body.set(stWait, k.server.watch.until(or(x.route.Limits.Response, defaultResponse)))
	}
	if total := k.moved.Add(int64(n)); x.route.Limits.MaxBody > 0 && total > x.route.Limits.MaxBody {
		n, err = 0, errTooLarge
	}
	if err != nil && err != io.EOF {
		i.err = err
		if failed := blame(err); failed != Done && !(x.upload != nil && x.upload.stop.Load()) {
			k.end(failed)
		}
	}
	return n, err
}

func (i *intake) read(p []byte) (int, error) {
	x := i.x
	if f := i.k.front; f != nil {
		n, err := f.Body.Read(p)
		switch {
		case err == io.EOF:
			x.body.done = true
		case err != nil:
			err = errors.Join(errClient, err)
		}
		return n, err
	}
	for len(i.rest) == 0 {
		data, err := x.body.next(i.in)
		if err != nil {
			return 0, err
		}
		i.rest = data
		if len(data) > 0 {
			break
		}
		if x.body.done {
			return 0, io.EOF
		}
		if err := i.in.fill(i.k.net); err != nil {
			return 0, errors.Join(errClient, err)
		}
	}
	n := copy(p, i.rest)
	i.rest = i.rest[n:]
	return n, nil
}

// Trailers implements Source.
func (i *intake) Trailers() []wire.Field {
	if f := i.k.front; f != nil {
		return f.Body.Trailers()
	}
	return i.x.body.dec.Trailers
}

// Close implements Source.
func (i *intake) Close() error {
	i.k.stopReading()
	return nil
}

// pumpFront moves the body of a front to an HTTP/1 backend.
func (k *conn) pumpFront(x *exchange, up *upstream, u *upload, in *buffer) error {
	body := intake{k: k, x: x}
	chunked := x.req.Body == wire.Chunked
	left := x.req.Length
	for !x.body.done {
		const room = wire.ChunkRoom
		n, err := body.Read(in.b[room : len(in.b)-2-len(wire.LastChunk)])
		if err != nil && err != io.EOF {
			return err
		}
		if left -= int64(n); !chunked && (left < 0 || left > 0 && err == io.EOF) {
			return errors.Join(errClient, errors.New("the body has another length than was said"))
		}
		u.read.Store(x.body.done)
		send := in.b[room : room+n]
		if chunked {
			send = inChunk(in.b, n, x.body.done, &body)
		}
		if len(send) == 0 {
			continue
		}
		if !k.bodyGiven(x) {
			return errClient
		}
		if _, err := up.Write(send); err != nil {
			return err
		}
	}
	return nil
}

// inChunk makes a chunk of the n bytes that lie behind ChunkRoom in b.
func inChunk(b []byte, n int, last bool, s Source) []byte {
	var head [wire.ChunkRoom]byte
	start, send := wire.ChunkRoom, b[wire.ChunkRoom:wire.ChunkRoom+n]
	if n > 0 {
		h := wire.AppendChunk(head[:0], n)
		start -= len(h)
		copy(b[start:], h)
		send = append(b[start:wire.ChunkRoom+n], '\r', '\n')
	}
	if last {
		send = wire.AppendLast(send, s.Trailers())
	}
	return send
}
