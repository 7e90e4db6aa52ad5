package web

import "github.com/sidecar-kit/sidecar/roles/proxy/wire"

// inbound reads a body by its framing.
type inbound struct {
	framing wire.Framing
	left    int64 // of a Sized one
	done    bool
	dec     wire.Decoder
}

func (in *inbound) start(h *wire.Head) {
	in.framing, in.left = h.Body, h.Length
	in.done = h.Body == wire.None || h.Body == wire.Sized && h.Length == 0
	if h.Body == wire.Chunked || in.dec.Trailers != nil { // those of the message before must not follow this one
		in.dec.Reset()
	}
}

// next takes a piece of the body from src. No data means that more must be
// read, or that the body is done.
func (in *inbound) next(src *buffer) ([]byte, error) {
	b := src.bytes()
	switch in.framing {
	case wire.Sized:
		n := int(min(in.left, int64(len(b))))
		in.left -= int64(n)
		in.done = in.left == 0
		src.take(n)
		return b[:n], nil
	case wire.UntilClose:
		src.take(len(b))
		return b, nil
	}
	data, n, err := in.dec.Next(b)
	if err != nil {
		return nil, err
	}
	in.done = in.dec.Done
	src.take(n)
	return data, nil
}

// move appends what is at hand of the body to dst, as chunks or as it is. It
// returns the number of bytes of content.
func (in *inbound) move(dst []byte, src *buffer, chunked bool) ([]byte, int64, error) {
	moved := int64(0)
	for !in.done {
		data, err := in.next(src)
		if err != nil {
			return dst, moved, err
		}
		if len(data) == 0 {
			break
		}
		moved += int64(len(data))
		if !chunked {
			dst = append(dst, data...)
			continue
		}
		dst = wire.AppendChunk(dst, len(data))
		dst = append(dst, data...)
		dst = append(dst, '\r', '\n')
	}
	if in.done && chunked {
		dst = wire.AppendLast(dst, in.dec.Trailers)
	}
	return dst, moved, nil
}

// eof is called when the connection ended. It reports whether that is an end
// of the body.
func (in *inbound) eof() bool {
	if in.framing == wire.UntilClose {
		in.done = true
	}
	return in.done
}
