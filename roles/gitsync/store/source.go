package store

import (
	"errors"
	"io"
)

// source reads a pack's bytes in large steps and hands the decoder its own buffer to look into, so that a byte is
// copied once between the kernel and the inflated object.
type source struct {
	rd   io.Reader
	buf  []byte
	r, w int   // buf[r:w] is unread
	pos  int64 // offset of buf[r] in the pack
	err  error
}

func newSource(rd io.Reader, size int, pos int64) *source {
	return &source{rd: rd, buf: make([]byte, size), pos: pos}
}

func (s *source) reset(rd io.Reader, pos int64) {
	s.rd, s.r, s.w, s.pos, s.err = rd, 0, 0, pos, nil
}

// need makes at least n bytes available in buf[r:w]. An early end is io.ErrUnexpectedEOF.
func (s *source) need(n int) error {
	if s.w-s.r >= n {
		return nil
	}
	// The decoder may give back up to eight bytes that it took too early.
	keep := min(s.r, 8)
	copy(s.buf, s.buf[s.r-keep:s.w])
	s.w -= s.r - keep
	s.r = keep
	for s.w-s.r < n {
		if s.err != nil {
			return s.err
		}
		k, err := s.rd.Read(s.buf[s.w:])
		s.w += k
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		s.err = err
	}
	return nil
}

func (s *source) skip(n int) {
	s.r += n
	s.pos += int64(n)
}

// next returns the next n bytes; they stay valid until the next call.
func (s *source) next(n int) ([]byte, error) {
	if err := s.need(n); err != nil {
		return nil, err
	}
	b := s.buf[s.r : s.r+n]
	s.skip(n)
	return b, nil
}

func (s *source) byte() (byte, error) {
	if s.r < s.w {
		b := s.buf[s.r]
		s.skip(1)
		return b, nil
	}
	b, err := s.next(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}
