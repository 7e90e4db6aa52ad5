package wire

import "strconv"

// ChunkRoom is how many bytes the head of a chunk may take.
const ChunkRoom = 18

// LastChunk ends a chunked body without trailers.
const LastChunk = "0\r\n\r\n"

// AppendChunk appends the head of a chunk of n > 0 bytes. The data and CRLF
// follow it.
func AppendChunk(dst []byte, n int) []byte {
	return append(appendHex(dst, uint64(n)), '\r', '\n')
}

func appendHex(dst []byte, n uint64) []byte {
	shift := 60
	for shift > 0 && n>>shift == 0 {
		shift -= 4
	}
	for ; shift >= 0; shift -= 4 {
		dst = append(dst, "0123456789abcdef"[n>>shift&15])
	}
	return dst
}

// AppendLast appends the last chunk with trailers, which may be none.
func AppendLast(dst []byte, trailers []Field) []byte {
	dst = append(dst, '0', '\r', '\n')
	for i := range trailers {
		dst = AppendField(dst, trailers[i].Name, trailers[i].Value)
	}
	return append(dst, '\r', '\n')
}

// AppendField appends a line "Name: value". Both must be valid.
func AppendField(dst, name, value []byte) []byte {
	dst = append(dst, name...)
	dst = append(dst, ':', ' ')
	dst = append(dst, value...)
	return append(dst, '\r', '\n')
}

// AppendStatus appends a status line in HTTP/1.1. An empty reason is legal.
func AppendStatus(dst []byte, status int, reason []byte) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = append(dst, byte('0'+status/100%10), byte('0'+status/10%10), byte('0'+status%10), ' ')
	dst = append(dst, reason...)
	return append(dst, '\r', '\n')
}

// AppendFraming appends the field that says how long the body is, if any.
func AppendFraming(dst []byte, h *Head) []byte {
	switch {
	case h.Body == Chunked:
		return append(dst, "Transfer-Encoding: chunked\r\n"...)
	case h.Body != UntilClose && h.Length >= 0:
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, h.Length, 10)
		return append(dst, '\r', '\n')
	}
	return dst
}
