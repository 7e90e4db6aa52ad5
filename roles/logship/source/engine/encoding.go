package engine

import (
	"fmt"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/sidecar-kit/sidecar/internal/suggest"
)

// Encoding is how characters lie in a file. nil is UTF-8, whose bytes pass as they are, valid or not.
type Encoding struct {
	Name  string
	width int // bytes of a unit: 1 or 2
	big   bool
	high  *[128]rune // characters of the bytes from 0x80 on
}

func (e *Encoding) plain() bool { return e == nil }
func (e *Encoding) wide() bool  { return e != nil && e.width == 2 }

// Wide says whether a line end is more than one byte, so that only Blocks can read the file.
func (e *Encoding) Wide() bool { return e.wide() }

// Encodings lists the names that Lookup knows.
func Encodings() []string {
	names := []string{"utf-8", "utf-16le", "utf-16be", "iso-8859-1"}
	for name := range tables() {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// Lookup finds an encoding by its name. Empty and utf-8 are nil.
func Lookup(name string) (*Encoding, error) {
	switch n := strings.ToLower(name); n {
	case "", "auto", "utf-8", "utf8":
		return nil, nil //nolint:nilnil // nil is UTF-8
	case "utf-16le", "utf-16be":
		return &Encoding{Name: n, width: 2, big: n == "utf-16be"}, nil
	case "iso-8859-1", "latin1":
		return &Encoding{Name: "iso-8859-1", width: 1, high: upper("", 0x80)}, nil
	default:
		if t, ok := tables()[n]; ok {
			return &Encoding{Name: n, width: 1, high: t()}, nil
		}
		return nil, fmt.Errorf("unknown encoding %q%s", name, suggest.DidYouMean("", name, Encodings()))
	}
}

// Detect finds the encoding by the byte order mark that a file begins with; fallback is what it has without one. known is false
// while head is too short to say, which is no mistake when the file ends there.
func Detect(head []byte, fallback *Encoding) (e *Encoding, known bool) {
	switch {
	case len(head) < 2:
		return fallback, false
	case head[0] == 0xFF && head[1] == 0xFE:
		return &Encoding{Name: "utf-16le", width: 2}, true
	case head[0] == 0xFE && head[1] == 0xFF:
		return &Encoding{Name: "utf-16be", width: 2, big: true}, true
	}
	return fallback, true
}

// decode appends src as UTF-8. lossy: some of it was no text.
func (e *Encoding) decode(dst, src []byte) (_ []byte, lossy bool) {
	if e.width == 2 {
		return e.decodeWide(dst, src)
	}
	for _, c := range src {
		if c < utf8.RuneSelf {
			dst = append(dst, c)
			continue
		}
		r := e.high[c-0x80]
		lossy = lossy || r == utf8.RuneError
		dst = utf8.AppendRune(dst, r)
	}
	return dst, lossy
}

// tables are the encodings of one byte per character.
func tables() map[string]func() *[128]rune {
	return map[string]func() *[128]rune{
		"iso-8859-15": func() *[128]rune {
			t := upper("", 0x80)
			for at, r := range map[int]rune{0xA4: '€', 0xA6: 'Š', 0xA8: 'š', 0xB4: 'Ž', 0xB8: 'ž', 0xBC: 'Œ', 0xBD: 'œ', 0xBE: 'Ÿ'} {
				t[at-0x80] = r
			}
			return t
		},
		"windows-1252": func() *[128]rune {
			return upper("€\uFFFD‚ƒ„…†‡ˆ‰Š‹Œ\uFFFDŽ\uFFFD\uFFFD‘’“”•–—˜™š›œ\uFFFDžŸ", 0x80)
		},
		"windows-1251": func() *[128]rune {
			return upper("ЂЃ‚ѓ„…†‡€‰Љ‹ЊЌЋЏђ‘’“”•–—\uFFFD™љ›њќћџ\u00A0ЎўЈ¤Ґ¦§Ё©Є«¬\u00AD®Ї°±Ііґµ¶·ё№є»јЅѕї"+
				"АБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯабвгдежзийклмнопрстуфхцчшщъыьэюя", 0x80)
		},
		"windows-1250": func() *[128]rune {
			return upper("€\uFFFD‚\uFFFD„…†‡\uFFFD‰Š‹ŚŤŽŹ\uFFFD‘’“”•–—\uFFFD™š›śťžź\u00A0ˇ˘Ł¤Ą¦§¨©Ş«¬\u00AD®Ż°±˛ł´µ¶·¸ąş»Ľ˝ľż"+
				"ŔÁÂĂÄĹĆÇČÉĘËĚÍÎĎĐŃŇÓÔŐÖ×ŘŮÚŰÜÝŢßŕáâăäĺćçčéęëěíîďđńňóôőö÷řůúűüýţ˙", 0x80)
		},
		"koi8-r": func() *[128]rune {
			return upper("─│┌┐└┘├┤┬┴┼▀▄█▌▐░▒▓⌠■∙√≈≤≥\u00A0⌡°²·÷═║╒ё╓╔╕╖╗╘╙╚╛╜╝╞╟╠╡Ё╢╣╤╥╦╧╨╩╪╫╬©"+
				"юабцдефгхийклмнопярстужвьызшэщчъЮАБЦДЕФГХИЙКЛМНОПЯРСТУЖВЬЫЗШЭЩЧЪ", 0x80)
		},
	}
}

// upper is a table of the given characters, then those of Unicode with the numbers from there on.
func upper(chars string, first rune) *[128]rune {
	var t [128]rune
	for i := range t {
		t[i] = first + rune(i)
	}
	i := 0
	for _, r := range chars {
		t[i] = r
		i++
	}
	return &t
}
