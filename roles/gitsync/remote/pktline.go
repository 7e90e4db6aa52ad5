package remote

import (
	"errors"
	"fmt"
	"io"
)

// The wire format: four hex digits of length that count themselves, then the payload. Lengths 0, 1 and 2
// are marks without payload.
const (
	maxPacket = 65520
	// Most answers to a poll fit, and the buffer lives as long as the call only.
	firstBuffer = 4 << 10
	packBuffer  = 64 << 10
)

type packetKind uint8

const (
	packetData packetKind = iota
	packetFlush
	packetDelim
	packetEnd
)

// packetReader reads packets without an allocation per packet.
type packetReader struct {
	r        io.Reader
	buf      []byte
	off, end int
}

func newPacketReader(r io.Reader, size int) *packetReader {
	return &packetReader{r: r, buf: make([]byte, size)}
}

// fill makes at least n unread bytes available.
func (p *packetReader) fill(n int) error {
	if p.end-p.off >= n {
		return nil
	}
	if p.off > 0 {
		copy(p.buf, p.buf[p.off:p.end])
		p.end -= p.off
		p.off = 0
	}
	if n > len(p.buf) {
		grown := make([]byte, max(n, min(2*len(p.buf), maxPacket)))
		copy(grown, p.buf[:p.end])
		p.buf = grown
	}
	for p.end < n {
		m, err := p.r.Read(p.buf[p.end:])
		p.end += m
		if p.end >= n {
			return nil
		}
		if errors.Is(err, io.EOF) && p.end > 0 {
			return io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// header reads a packet's length and returns how much payload follows. At a clean end it returns io.EOF.
func (p *packetReader) header() (packetKind, int, error) {
	if err := p.fill(4); err != nil {
		return 0, 0, err
	}
	n, ok := hexLength(p.buf[p.off : p.off+4])
	if !ok {
		return 0, 0, fmt.Errorf("%w: %q is not a packet length", ErrProtocol, p.buf[p.off:p.off+4])
	}
	p.off += 4
	switch {
	case n == 0:
		return packetFlush, 0, nil
	case n == 1:
		return packetDelim, 0, nil
	case n == 2:
		return packetEnd, 0, nil
	case n < 4 || n > maxPacket:
		return 0, 0, fmt.Errorf("%w: packet length %d", ErrProtocol, n)
	}
	return packetData, n - 4, nil
}

// next returns one packet. The payload is valid until the next call.
func (p *packetReader) next() (packetKind, []byte, error) {
	kind, n, err := p.header()
	if err != nil || kind != packetData {
		return kind, nil, err
	}
	if err := p.fill(n); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	payload := p.buf[p.off : p.off+n]
	p.off += n
	return packetData, payload, nil
}

// line is next for text: it drops one trailing newline.
func (p *packetReader) line() (packetKind, []byte, error) {
	kind, b, err := p.next()
	if n := len(b); n > 0 && b[n-1] == '\n' {
		b = b[:n-1]
	}
	return kind, b, err
}

func hexLength(b []byte) (int, bool) {
	n := 0
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			n = n<<4 | int(c-'0')
		case c >= 'a' && c <= 'f':
			n = n<<4 | int(c-'a'+10)
		case c >= 'A' && c <= 'F':
			n = n<<4 | int(c-'A'+10)
		default:
			return 0, false
		}
	}
	return n, true
}

// appendPacket appends the parts as one packet.
func appendPacket(b []byte, parts ...string) []byte {
	const digits = "0123456789abcdef"
	n := 4
	for _, s := range parts {
		n += len(s)
	}
	b = append(b, digits[n>>12&15], digits[n>>8&15], digits[n>>4&15], digits[n&15])
	for _, s := range parts {
		b = append(b, s...)
	}
	return b
}

func appendFlush(b []byte) []byte { return append(b, "0000"...) }
func appendDelim(b []byte) []byte { return append(b, "0001"...) }
