package view

import "io"

// chunk is how much is written at once. Pieces are short, and every write is a system call.
const chunk = 64 << 10

// measure sums up the lengths of the pieces.
func (a *answer) measure() {
	a.size = 0
	for _, p := range a.pieces {
		a.size += len(p)
	}
}

// writePieces writes them in few large writes. Who does not read any more is no error.
func writePieces(w io.Writer, pieces [][]byte) {
	if len(pieces) == 1 {
		_, _ = w.Write(pieces[0])
		return
	}
	total := 0
	for _, p := range pieces {
		total += len(p)
	}
	buf := make([]byte, 0, min(chunk, total))
	for _, p := range pieces {
		if len(buf)+len(p) > chunk {
			if _, err := w.Write(buf); err != nil {
				return
			}
			buf = buf[:0]
		}
		if len(p) >= chunk {
			if _, err := w.Write(p); err != nil {
				return
			}
			continue
		}
		buf = append(buf, p...)
	}
	_, _ = w.Write(buf)
}
