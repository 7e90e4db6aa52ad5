package wire

import (
	"errors"
	"strings"
	"testing"
)

// decode feeds in to a decoder in pieces of the given size. It returns the
// data, what is behind the body, and whether the body was complete.
func decode(in string, piece int) (data, rest string, done bool, err error) {
	var d Decoder
	var buf []byte
	for len(in) > 0 || len(buf) > 0 {
		n := min(piece, len(in))
		buf = append(buf, in[:n]...)
		in = in[n:]
		for {
			span, took, err := d.Next(buf)
			if err != nil {
				return data, "", false, err
			}
			data += string(span)
			buf = buf[took:]
			if took == 0 || d.Done {
				break
			}
		}
		if d.Done {
			for _, f := range d.Trailers {
				data += "|" + string(f.Name) + "=" + string(f.Value)
			}
			return data, string(buf) + in, true, nil
		}
		if n == 0 {
			return data, "", false, nil
		}
	}
	return data, "", false, nil
}

func TestDecoder(t *testing.T) {
	tests := []struct{ in, data, rest string }{
		{"0\r\n\r\n", "", ""},
		{"5\r\nhello\r\n0\r\n\r\nGET", "hello", "GET"},
		{"00005\r\nhello\r\n000\r\n\r\n", "hello", ""},
		{"5;a=b;c=\"d\"\r\nhello\r\n0;x\r\n\r\n", "hello", ""},
		{"A\r\n0123456789\r\n1\r\n\r\r\n0\r\nX: y\r\nX-Z:\r\n\r\n", "0123456789\r|X=y|X-Z=", ""},
		{"0\r\nCookie: a\r\nX: y\r\nX_Y: z\r\n\r\n", "|X=y", ""},
	}
	for _, tt := range tests {
		for _, piece := range []int{1, 2, 3, 7, 1000} {
			data, rest, done, err := decode(tt.in, piece)
			if data != tt.data || rest != tt.rest || !done || err != nil {
				t.Errorf("decode(%q, %d) = %q, %q, %v, %v; want %q, %q", tt.in, piece, data, rest, done, err, tt.data, tt.rest)
			}
		}
	}
}

func TestBrokenChunksAreRefused(t *testing.T) {
	tests := []refused{
		{"no size", "\r\nhello", BadChunk},
		{"prefix", "0x5\r\nhello\r\n", BadChunk},
		{"sign", "+5\r\nhello\r\n", BadChunk},
		{"minus", "-5\r\nhello\r\n", BadChunk},
		{"blank before", " 5\r\nhello\r\n", BadChunk},
		{"blank after", "5 \r\nhello\r\n", BadChunk},
		{"blank before extension", "5 ;a\r\nhello\r\n", BadChunk},
		{"underscore", "1_0\r\nhello\r\n", BadChunk},
		{"overflow", "8000000000000000\r\n", BadChunk},
		{"too many digits", "00000000000000005\r\nhello\r\n", BadChunk},
		{"LF after size", "5\nhello\r\n", BadLF},
		{"CR after size", "5\rhello\r\n", BadCR},
		{"CR CR LF after size", "5\r\r\nhello\r\n", BadCR},
		{"LF in extension", "5;a\nb\r\nhello\r\n", BadLF},
		{"CR in extension", "5;a\rb\r\nhello\r\n", BadCR},
		{"NUL in extension", "5;a\x00\r\nhello\r\n", BadChunk},
		{"long extension", "5;" + strings.Repeat("a", 2000) + "\r\nhello\r\n", BadExtension},
		{"endless extension", "5;" + strings.Repeat("a", 2000), BadExtension},
		{"many extensions", strings.Repeat("1;"+strings.Repeat("a", 1000)+"\r\nx\r\n", 17), BadExtension},
		{"data too long", "5\r\nhello!\r\n0\r\n\r\n", BadChunk},
		{"no CRLF after data", "5\r\nhello0\r\n\r\n", BadChunk},
		{"LF after data", "5\r\nhello\n0\r\n\r\n", BadChunk},
		{"LF after the last", "0\n\n", BadLF},
		{"LF as end", "0\r\n\n", BadLF},
		{"CR as end", "0\r\n\rX", BadCR},
		{"framing trailer", "0\r\nContent-Length: 5\r\n\r\n", BadTrailer},
		{"coding trailer", "0\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n", BadTrailer},
		{"host trailer", "0\r\nHost: a\r\n\r\n", BadTrailer},
		{"folded trailer", "0\r\nX: a\r\n b\r\n\r\n", BadFold},
		{"trailer without colon", "0\r\nX\r\n\r\n", BadName},
		{"LF in trailers", "0\r\nX: a\nY: b\r\n\r\n", BadLF},
		{"long trailers", "0\r\nX: " + strings.Repeat("a", 9000) + "\r\n\r\n", BadTrailer},
		{"endless trailers", "0\r\nX: " + strings.Repeat("a", 9000), BadTrailer},
		{"many trailers", "0\r\n" + strings.Repeat("X: a\r\n", 33) + "\r\n", ManyFields},
	}
	for _, tt := range tests {
		for _, piece := range []int{1, 5, 20000} {
			_, _, done, err := decode(tt.in, piece)
			var bad *BadMessage
			if !errors.As(err, &bad) || done || piece > 5 && bad.Class != tt.class {
				t.Errorf("%s: decode(%.40q, %d) = %v, %v; want %v", tt.name, tt.in, piece, done, err, tt.class)
			}
		}
	}
}

func TestUnfinishedBodiesAreNotDone(t *testing.T) {
	whole := "5\r\nhello\r\n0\r\nX: y\r\n\r\n"
	for n := range len(whole) {
		if _, _, done, err := decode(whole[:n], n+1); done || err != nil {
			t.Errorf("decode(%q) = %v, %v; want neither", whole[:n], done, err)
		}
	}
}

func TestAppendChunk(t *testing.T) {
	for n, want := range map[int]string{1: "1\r\n", 15: "f\r\n", 16: "10\r\n", 65536: "10000\r\n", 1<<63 - 1: "7fffffffffffffff\r\n"} {
		if got := string(AppendChunk(nil, n)); got != want || len(got) > ChunkRoom {
			t.Errorf("AppendChunk(%d) = %q; want %q", n, got, want)
		}
	}
	got := string(AppendLast(nil, []Field{{Name: []byte("X"), Value: []byte("y")}}))
	if want := "0\r\nX: y\r\n\r\n"; got != want {
		t.Errorf("AppendLast = %q; want %q", got, want)
	}
}
