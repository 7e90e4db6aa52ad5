package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	bandPack     = 1
	bandProgress = 2
	bandError    = 3
)

// packReader takes the pack out of the sideband. It reads from the connection straight into the caller's
// buffer where it can, and never allocates per packet: a pack has one for each 64 KB.
type packReader struct {
	cfg    Config
	p      *packetReader
	raw    bool // no sideband: everything up to the end is pack
	rest   int  // pack bytes left in the current packet
	total  int64
	err    error
	closed func() error
}

func (k *packReader) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if err := k.advance(); err != nil {
		return 0, err
	}
	n := min(len(b), k.rest)
	if have := k.p.end - k.p.off; have > 0 {
		n = copy(b[:n], k.p.buf[k.p.off:k.p.end])
		k.p.off += n
		return n, k.took(n)
	}
	n, err := k.p.r.Read(b[:n])
	if err != nil && n == 0 {
		return 0, k.fail(err)
	}
	return n, k.took(n)
}

// WriteTo hands out the packets where they lie in the buffer.
func (k *packReader) WriteTo(w io.Writer) (int64, error) {
	start := k.total
	for {
		if err := k.advance(); err != nil {
			if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				err = nil
			}
			return k.total - start, err
		}
		if k.p.end == k.p.off {
			k.p.off, k.p.end = 0, 0
			if err := k.p.fill(1); err != nil {
				if err = k.fail(err); errors.Is(err, io.EOF) {
					err = nil
				}
				return k.total - start, err
			}
		}
		n := min(k.rest, k.p.end-k.p.off)
		m, err := w.Write(k.p.buf[k.p.off : k.p.off+n])
		k.p.off += m
		if err == nil && m < n {
			err = io.ErrShortWrite
		}
		if terr := k.took(m); err == nil {
			err = terr
		}
		if err != nil {
			return k.total - start, err
		}
	}
}

// advance moves to a packet that has pack bytes left.
func (k *packReader) advance() error {
	if k.err != nil {
		return k.err
	}
	if k.raw {
		k.rest = 1 << 30
	}
	for k.rest == 0 {
		kind, n, err := k.p.header()
		if err != nil {
			return k.fail(unexpected(err))
		}
		if kind != packetData {
			k.err = io.EOF
			return k.err
		}
		if n == 0 {
			continue
		}
		if err := k.p.fill(1); err != nil {
			return k.fail(unexpected(err))
		}
		band := k.p.buf[k.p.off]
		k.p.off++
		if band == bandPack {
			k.rest = n - 1
			continue
		}
		if err := k.message(band, n-1); err != nil {
			k.err = err
			return err
		}
	}
	return nil
}

// message reads a packet that is not pack: progress is dropped, an error ends the stream.
func (k *packReader) message(band byte, n int) error {
	if err := k.p.fill(n); err != nil {
		return unexpected(err)
	}
	text := k.p.buf[k.p.off : k.p.off+n]
	k.p.off += n
	switch band {
	case bandProgress:
		return nil
	case bandError:
		return k.cfg.serverError(string(text))
	}
	return fmt.Errorf("%w: sideband %d", ErrProtocol, band)
}

func (k *packReader) took(n int) error {
	k.rest -= n
	k.total += int64(n)
	if k.total > k.cfg.Limits.PackBytes {
		k.err = fmt.Errorf("%w: the pack is larger than %d bytes", ErrLimit, k.cfg.Limits.PackBytes)
		return k.err
	}
	return nil
}

func (k *packReader) fail(err error) error {
	if errors.Is(err, io.EOF) && !k.raw {
		err = io.ErrUnexpectedEOF
	}
	k.err = err
	return err
}

func (k *packReader) Close() error {
	if k.err == nil {
		k.err = errors.New("read of a closed pack")
	}
	if k.closed == nil {
		return nil
	}
	closed := k.closed
	k.closed = nil
	return closed()
}

// stallReader ends a read that gets no byte for a while. The time the caller takes does not count.
type stallReader struct {
	r      io.Reader
	ctx    context.Context //nolint:containedctx // belongs to the one call that reads
	cancel context.CancelCauseFunc
	limit  time.Duration
	timer  *time.Timer
}

func newStallReader(ctx context.Context, cancel context.CancelCauseFunc, r io.Reader, limit time.Duration) *stallReader {
	s := &stallReader{r: r, ctx: ctx, cancel: cancel, limit: limit}
	s.timer = time.AfterFunc(limit, s.expire)
	return s
}

func (s *stallReader) expire() {
	s.cancel(fmt.Errorf("%w: no data for %s", ErrUnreachable, s.limit))
}

func (s *stallReader) Read(b []byte) (int, error) {
	s.timer.Reset(s.limit)
	n, err := s.r.Read(b)
	s.timer.Stop()
	if err != nil && !errors.Is(err, io.EOF) {
		if cause := context.Cause(s.ctx); cause != nil {
			return n, cause
		}
		return n, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return n, err
}
