package inflate

import (
	"errors"
	"io"
)

// Source reads bytes in large steps and hands the decoder its own buffer to look into, so that a byte is
// copied once between the kernel and the inflated object.
type Source struct {
	rd   io.Reader
	buf  []byte
	r, w int   // buf[r:w] is unread
	pos  int64 // offset of buf[r] in the pack
	err  error
}

// NewSource reads from rd through a buffer of size bytes, at least 28. pos is the offset that rd stands at.
func NewSource(rd io.Reader, size int, pos int64) *Source {
	return &Source{rd: rd, buf: make([]byte, size), pos: pos}
}

// Reset turns to another reader and keeps the buffer.
func (s *Source) Reset(rd io.Reader, pos int64) {
	s.rd, s.r, s.w, s.pos, s.err = rd, 0, 0, pos, nil
}

// Need makes at least n bytes available in the buffer. An early end is io.ErrUnexpectedEOF.
func (s *Source) Need(n int) error {
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

// Pos is the offset of the next byte.
func (s *Source) Pos() int64 { return s.pos }

// Skip passes over n bytes that Need has made available.
func (s *Source) Skip(n int) {
	s.r += n
	s.pos += int64(n)
}

// Buffered are the bytes that are available; they stay valid until the next call of another method.
func (s *Source) Buffered() []byte { return s.buf[s.r:s.w] }

// Next returns the next n bytes; they stay valid until the next call.
func (s *Source) Next(n int) ([]byte, error) {
	if err := s.Need(n); err != nil {
		return nil, err
	}
	b := s.buf[s.r : s.r+n]
	s.Skip(n)
	return b, nil
}

// Byte returns the next byte.
func (s *Source) Byte() (byte, error) {
	if s.r < s.w {
		b := s.buf[s.r]
		s.Skip(1)
		return b, nil
	}
	b, err := s.Next(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}
