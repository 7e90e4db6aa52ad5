package record

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"unicode/utf8"
	"unsafe"
)

const (
	ones  = 0x0101010101010101
	highs = 0x80 * ones
	// piece is how much text is escaped at once: room for it at its worst, six bytes for one, is made before.
	piece = 512
)

// AppendString appends text as a JSON string with its quotes. lossy: some bytes were no UTF-8 and became U+FFFD.
func AppendString(dst []byte, text string) (out []byte, lossy bool) {
	return appendString(dst, unsafe.Slice(unsafe.StringData(text), len(text)))
}

func appendString(dst, text []byte) (out []byte, lossy bool) {
	dst = append(dst, '"')
	dst, lossy = AppendEscaped(dst, text)
	return append(dst, '"'), lossy
}

// AppendEscaped appends text as the inside of a JSON string. lossy: some bytes were no UTF-8 and became U+FFFD.
//
// It takes words of eight bytes. A word is stored as it is; for each of its bytes that has to be escaped the rest of the word is stored
// again behind what the byte became.
func AppendEscaped(dst, text []byte) (out []byte, lossy bool) {
	start, all := len(dst), text
	var seen uint64
	for len(text) > 0 {
		n := min(len(text), piece)
		dst = slices.Grow(dst, 6*n+32)
		o, high := escape(dst[len(dst):cap(dst)], text[:n])
		dst = dst[:len(dst)+o]
		seen |= high
		text = text[n:]
	}
	if seen&highs != 0 && !utf8.Valid(all) {
		return appendLossy(dst[:start], all), true
	}
	return dst, false
}

// escape writes text into dst, which has room, and returns how many bytes it took and the or of all words.
func escape(dst, text []byte) (o int, seen uint64) {
	for ; len(text) >= 8; text = text[8:] {
		w := binary.LittleEndian.Uint64(text)
		seen |= w
		binary.LittleEndian.PutUint64(dst[o:], w)
		if m := special(w); m != 0 {
			if (w&^highs+0x60*ones)&m != m { // control bytes
				o = control(dst, o, w, m)
			} else {
				for ; m != 0; m &= m - 1 {
					k := bits.TrailingZeros64(m) &^ 7
					at := (*[9]byte)(dst[o+k/8:])
					at[0] = '\\'
					binary.LittleEndian.PutUint64(at[1:], w>>k)
					o++
				}
			}
		}
		o += 8
	}
	if len(text) > 0 {
		var w uint64
		for j, c := range text {
			w |= uint64(c) << (8 * j)
		}
		seen |= w
		binary.LittleEndian.PutUint64(dst[o:], w)
		if m := special(w) & (1<<(8*len(text)) - 1); m != 0 {
			o = control(dst, o, w, m)
		}
		o += len(text)
	}
	return o, seen
}

// special returns a word with the high bit set of each byte of w that is a quote, a backslash or a control byte.
func special(w uint64) uint64 {
	low := w &^ highs
	plain := ((low ^ '"'*ones) + 0x7f*ones) & ((low ^ '\\'*ones) + 0x7f*ones) & (low + 0x60*ones)
	return ^plain & highs &^ w
}

// control escapes the bytes of w that m names. w was stored at dst[o]; the result is o, moved by what was added.
func control(dst []byte, o int, w, m uint64) int {
	const hex = "0123456789abcdef"
	for ; m != 0; m &= m - 1 {
		k := bits.TrailingZeros64(m) &^ 7
		at := (*[14]byte)(dst[o+k/8:])
		c := byte(w >> k)
		if c >= ' ' {
			at[0] = '\\'
			binary.LittleEndian.PutUint64(at[1:], w>>k)
			o++
			continue
		}
		if short := [...]byte{'\b': 'b', '\t': 't', '\n': 'n', '\f': 'f', '\r': 'r', ' ': 0}[c]; short != 0 {
			at[0] = '\\'
			binary.LittleEndian.PutUint64(at[1:], w>>k)
			at[1] = short
			o++
			continue
		}
		copy(at[:], `\u00`)
		at[4] = hex[c>>4]
		binary.LittleEndian.PutUint64(at[5:], w>>k)
		at[5] = hex[c&15]
		o += 5
	}
	return o
}

// appendLossy is AppendEscaped for text that is no UTF-8.
func appendLossy(dst, text []byte) []byte {
	var scratch [piece + utf8.UTFMax]byte
	for len(text) > 0 {
		n := 0
		for n < piece && len(text) > 0 {
			r, size := utf8.DecodeRune(text)
			n += utf8.EncodeRune(scratch[n:], r)
			text = text[size:]
		}
		dst, _ = AppendEscaped(dst, scratch[:n])
	}
	return dst
}
