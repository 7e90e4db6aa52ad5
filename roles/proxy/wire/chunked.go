package wire

import "math"

const (
	maxChunkLine  = 1 << 10  // a size with extensions
	maxExtensions = 16 << 10 // bytes of extensions in one body: they carry nothing
	maxTrailers   = 8 << 10
	maxTrailer    = 32 // fields
)

// Decoder reads a chunked body. The zero value is at the start of one.
type Decoder struct {
	Trailers []Field // after Done: what came behind the last chunk, without fields marked Drop
	Done     bool    // the body and its trailers are complete

	left  int64 // bytes of the chunk that are still to come
	state uint8
	over  int // bytes of extensions so far
	head  Head
}

const (
	atSize = iota
	inData
	atDataEnd
	atTrailers
)

// Reset makes d ready for another body. It keeps its memory.
func (d *Decoder) Reset() {
	clear(d.head.Fields)
	*d = Decoder{head: Head{Fields: d.head.Fields[:0]}}
}

// Next reads from the start of buf: n bytes are done with, of which data is
// content. n = 0 without error means that more bytes must follow those of buf
// (a line must be in one piece: MinBuffer is enough for each), or that the body
// is Done. Errors are *BadMessage.
func (d *Decoder) Next(buf []byte) (data []byte, n int, err error) {
	data, n, bad := d.next(buf)
	if bad != nil {
		return nil, 0, bad
	}
	return data, n, nil
}

// MinBuffer is the size of a buffer that any line and all trailers fit in.
const MinBuffer = maxTrailers

func (d *Decoder) next(buf []byte) ([]byte, int, *BadMessage) {
	n := 0
	for !d.Done && n < len(buf) {
		rest := buf[n:]
		switch d.state {
		case atSize:
			took, err := d.size(rest)
			if err != nil || took == 0 {
				return nil, n, err
			}
			n += took
		case inData:
			take := int(min(d.left, int64(len(rest))))
			d.left -= int64(take)
			if d.left == 0 {
				d.state = atDataEnd
			}
			return rest[:take], n + take, nil
		case atDataEnd:
			if rest[0] != '\r' || len(rest) > 1 && rest[1] != '\n' {
				return nil, 0, bad(BadChunk, "no CRLF after the data of a chunk")
			}
			if len(rest) < 2 {
				return nil, n, nil
			}
			n += 2
			d.state = atSize
		case atTrailers:
			took, err := d.trailers(rest)
			if err != nil || took == 0 {
				return nil, n, err
			}
			n += took
			d.Done = true
		}
	}
	return nil, n, nil
}

// size reads a chunk's first line, or 0 bytes when it is not complete.
func (d *Decoder) size(b []byte) (int, *BadMessage) {
	i, n := 0, uint64(0)
	for i < len(b) && hex(b[i]) < 16 {
		if i >= 16 {
			return 0, bad(BadChunk, "a chunk size has too many digits")
		}
		n = n<<4 | uint64(hex(b[i]))
		i++
	}
	if i == len(b) {
		return 0, nil
	}
	if i == 0 || n > math.MaxInt64 {
		return 0, bad(BadChunk, "a chunk size is not a number of bytes")
	}
	digits := i
	if b[i] == ';' {
		if i = textEnd(b, i); i == len(b) {
			if i > maxChunkLine {
				return 0, bad(BadExtension, "a chunk extension is too long")
			}
			return 0, nil
		}
		if d.over += i - digits; d.over > maxExtensions || i > maxChunkLine {
			return 0, bad(BadExtension, "chunk extensions are too long")
		}
	}
	if b[i] == '\r' && i+1 == len(b) {
		return 0, nil // counted again when the LF is there; the bound is generous
	}
	if err := lineEnd(b, i, BadChunk); err != nil {
		return 0, err
	}
	d.left, d.state = int64(n), inData
	if n == 0 {
		d.state = atTrailers
	}
	return i + 2, nil
}

// trailers reads the fields after the last chunk, or 0 bytes when they are not
// complete. Fields that frame or route a message have no place here.
func (d *Decoder) trailers(b []byte) (int, *BadMessage) {
	if b[0] == '\r' {
		if len(b) == 1 {
			return 0, nil
		}
		if b[1] != '\n' {
			return 0, bad(BadCR, "a CR stands alone")
		}
		return 2, nil
	}
	ok, err := d.head.complete(b, Limits{Line: maxTrailers, Head: maxTrailers})
	if err != nil {
		return 0, bad(BadTrailer, "the trailers are too long")
	}
	if !ok {
		return 0, nil
	}
	d.head = Head{Fields: d.head.Fields[:0]}
	n, err := d.head.fields(b, 0, maxTrailer)
	if err != nil {
		return 0, err
	}
	kept := d.head.Fields[:0]
	for _, f := range d.head.Fields {
		switch {
		case f.ID != Other && f.ID <= Proxy:
			return 0, badf(BadTrailer, "%s among the trailers", quote(f.Name))
		case trailing(f.ID) && !f.Underscore:
			kept = append(kept, f)
		}
	}
	d.Trailers = kept
	return n, nil
}

// trailing reports whether a field may stand behind a body: not those that
// others decide by before the body is there.
func trailing(id ID) bool {
	switch id {
	case Other, Date, Server, Via, RetryAfter, TraceParent:
		return true
	}
	return false
}
