package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/sidecar-kit/sidecar/roles/logship/record"
	"github.com/sidecar-kit/sidecar/roles/logship/state"
)

// memory is a file that has only so many bytes yet.
type memory struct{ data []byte }

func (m *memory) ReadAt(p []byte, off int64) (int, error) {
	if off > int64(len(m.data)) {
		return 0, io.EOF
	}
	n := copy(p, m.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// seen is a line with its text, so that two readings can be compared.
type seen struct {
	text      string
	off, next int64
	flags     record.Flags
}

func (s seen) String() string { return fmt.Sprintf("%q[%d:%d]%b", s.text, s.off, s.next, s.flags) }

func collect(c *Chunk) []seen {
	var list []seen
	for _, l := range c.Lines {
		list = append(list, seen{string(c.Data[l.Start:l.End]), l.Off, l.Next, l.Flags})
	}
	return list
}

// readAll reads data that appears in steps; at each the engine reads until it has all whole lines. borders are the positions between.
func readAll(t *testing.T, form *Form, data []byte, steps []int) (all []seen, borders []state.Pos) {
	t.Helper()
	m, mem, c := &memory{}, &Buffers{}, &Chunk{}
	b := NewBlocks(m, form, mem, state.Pos{}, 0, false)
	for i, n := range append(steps, len(data)) {
		m.data = data[:n]
		end := Open
		if i == len(steps) {
			end = Final
		}
		for c.EOF = false; !c.EOF; {
			if err := b.Read(c, -1, end); err != nil {
				t.Fatal(err)
			}
			all = append(all, collect(c)...)
			borders = append(borders, b.Pos())
		}
		mem.Release(c)
	}
	if b.Pos().Off != int64(len(data)) {
		t.Errorf("after the end the position is %v of %d", b.Pos(), len(data))
	}
	return all, borders
}

func TestSplit(t *testing.T) {
	form := func(max int, cut bool) *Form { return &Form{MaxLine: max, Cut: cut} }
	tests := []struct {
		name, in string
		form     *Form
		want     string
	}{
		{"lines", "a\nbc\n\nd\r\n", form(10, false), `"a"[0:2]0 "bc"[2:5]0 ""[5:6]0 "d"[6:9]0`},
		{"partial", "a\nbc", form(10, false), `"a"[0:2]0 "bc"[2:4]1`},
		{"partial with CR", "bc\r", form(10, false), `"bc\r"[0:3]1`},
		{"byte order mark", "\xEF\xBB\xBFa\n\xEF\xBB\xBFb\n", form(10, false), `"a"[3:5]0 "\ufeffb"[5:10]0`},
		{"zeros", "\x00\x00a\n\x00b\x00c\n\x00\x00", form(10, false), `"a"[2:4]0 "b\x00c"[5:9]0`},
		{"just as long as may be", "0123456789\n0123456789\r\n", form(10, false), `"0123456789"[0:11]0 "0123456789"[11:23]0`},
		{"split", "0123456789abcdefghijAB\nx\n", form(10, false), `"0123456789"[0:10]10 "abcdefghij"[10:20]110 "AB"[20:23]100 "x"[23:25]0`},
		{"split at its end", "0123456789abcdefghij\nx\n", form(10, false), `"0123456789"[0:10]10 "abcdefghij"[10:21]100 "x"[21:23]0`},
		{"split, partial", "0123456789abcdefghijAB", form(10, false), `"0123456789"[0:10]10 "abcdefghij"[10:20]110 "AB"[20:22]101`},
		{"cut", "0123456789abcdefghijAB\nx\n", form(10, true), `"0123456789"[0:10]1000 "x"[23:25]0`},
		{"cut, partial", "0123456789abcdefghijAB", form(10, true), `"0123456789"[0:10]1000`},
		{"no character is cut", "012345678éabc\n", form(10, false), `"012345678"[0:9]10 "éabc"[9:15]100`},
		{"what is no character is cut anywhere", "0\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\n", form(10, false),
			`"0\x80\x80\x80\x80\x80\x80\x80\x80\x80"[0:10]10 "\x80\x80\x80\x80\x80"[10:16]100`},
	}
	for _, tt := range tests {
		got, _ := readAll(t, tt.form, []byte(tt.in), nil)
		if text := strings.Trim(fmt.Sprint(got), "[]"); text != strings.Trim(tt.want, "[]") {
			t.Errorf("%s: %q gives %s; want %s", tt.name, tt.in, text, tt.want)
		}
	}
}

// TestEncodings reads the same text from several encodings.
func TestEncodings(t *testing.T) {
	wide := func(text string, big, mark bool) []byte {
		units := utf16.Encode([]rune(text))
		if mark {
			units = append([]uint16{0xFEFF}, units...)
		}
		var b []byte
		for _, u := range units {
			lo, hi := byte(u), byte(u>>8)
			if big {
				lo, hi = hi, lo
			}
			b = append(b, lo, hi)
		}
		return b
	}
	text := "first\nsecond é ਊ 😀\r\n\nlast"
	for name, data := range map[string][]byte{
		"utf-16le": wide(text, false, true), "utf-16be": wide(text, true, true), "utf-16le ": wide(text, false, false),
	} {
		enc, err := Lookup(strings.TrimSpace(name))
		if err != nil {
			t.Fatal(err)
		}
		got, _ := readAll(t, &Form{MaxLine: 256, Enc: enc}, data, []int{7, 8, 9, 31})
		var texts []string
		for _, l := range got {
			texts = append(texts, l.text)
		}
		if want := []string{"first", "second é ਊ 😀", "", "last"}; !slices.Equal(texts, want) {
			t.Errorf("%s gives %q; want %q", name, texts, want)
		}
	}
	for name, in := range map[string]string{
		"iso-8859-1": "sch\xF6n\n", "iso-8859-15": "sch\xF6n\n", "windows-1252": "sch\xF6n\n", "windows-1250": "sch\xF6n\n",
	} {
		enc, _ := Lookup(name)
		if got, _ := readAll(t, &Form{MaxLine: 256, Enc: enc}, []byte(in), nil); len(got) != 1 || got[0].text != "schön" {
			t.Errorf("%s gives %v; want schön", name, got)
		}
	}
	for name, in := range map[string]string{"windows-1251": "\xEC\xE8\xF0\n", "koi8-r": "\xCD\xC9\xD2\n"} {
		enc, _ := Lookup(name)
		if got, _ := readAll(t, &Form{MaxLine: 256, Enc: enc}, []byte(in), nil); len(got) != 1 || got[0].text != "мир" {
			t.Errorf("%s gives %v; want мир", name, got)
		}
	}
	if _, err := Lookup("utf-15"); err == nil || !strings.Contains(err.Error(), "utf-1") {
		t.Errorf("Lookup(utf-15) = %v; want an error that says what there is", err)
	}
}

// check says what must be true of every file: lines do not depend on when bytes came or where a block ended, and each range can be
// read again.
func check(t *testing.T, form *Form, data []byte, r *rand.Rand) {
	t.Helper()
	whole, _ := readAll(t, form, data, nil)
	steps := make([]int, r.IntN(6))
	for i := range steps {
		steps[i] = r.IntN(len(data) + 1)
	}
	slices.Sort(steps)
	parts, borders := readAll(t, form, data, steps)
	if !slices.Equal(whole, parts) {
		t.Fatalf("%q in steps %v gives %v; want %v", clip(data), steps, parts, whole)
	}
	from := state.Pos{}
	var again []seen
	for _, to := range borders {
		again = append(again, readRange(t, form, data, from, to)...)
		from = to
	}
	if !slices.Equal(whole, again) {
		t.Fatalf("ranges of %q give %v; want %v", clip(data), again, whole)
	}
	for range 4 { // any line border is a border of ranges
		if len(whole) == 0 {
			break
		}
		i := r.IntN(len(whole))
		to := state.Pos{Off: whole[i].next, Mid: whole[i].flags&(record.More|record.Cut) != 0}
		got := append(readRange(t, form, data, state.Pos{}, to), readRange(t, form, data, to, state.Pos{Off: int64(len(data))})...)
		if !slices.Equal(whole, got) {
			t.Fatalf("%q read up to %v and then on gives %v; want %v", clip(data), to, got, whole)
		}
	}
}

func clip(b []byte) []byte { return b[:min(len(b), 300)] }

func readRange(t *testing.T, form *Form, data []byte, from, to state.Pos) (all []seen) {
	t.Helper()
	end := Final
	if to.Mid {
		end = Border
	}
	b, c := NewBlocks(&memory{data: data}, form, &Buffers{}, from, 0, false), &Chunk{}
	for b.Pos().Off < to.Off {
		if err := b.Read(c, to.Off, end); err != nil {
			t.Fatalf("range %v to %v: %v", from, to, err)
		}
		all = append(all, collect(c)...)
		if c.EOF && b.Pos().Off < to.Off {
			t.Fatalf("range %v to %v ends at %v", from, to, b.Pos())
		}
	}
	return all
}

func randomFile(r *rand.Rand) []byte {
	var b bytes.Buffer
	for range r.IntN(30) {
		switch r.IntN(8) {
		case 0:
			b.Write(make([]byte, r.IntN(20)))
		case 1:
			b.WriteString(strings.Repeat("é", r.IntN(400)) + "\n")
		case 2:
			b.WriteString("\r\n")
		default:
			b.WriteString(strings.Repeat("x", r.IntN(300)) + "\n")
		}
	}
	b.WriteString(strings.Repeat("y", r.IntN(300)))
	return b.Bytes()
}

func TestLinesDependOnBytesAlone(t *testing.T) {
	utf16le, _ := Lookup("utf-16le")
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 1))
		form := &Form{MaxLine: 50 + r.IntN(200), Cut: seed%2 == 0}
		if seed%5 == 0 {
			form.Enc = utf16le
		}
		check(t, form, randomFile(r), r)
		if t.Failed() {
			t.Fatal("seed ", seed)
		}
	}
}

func TestAFileLargerThanABlock(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var b bytes.Buffer
	for b.Len() < 5*BlockSize {
		n := r.IntN(1000)
		if r.IntN(100) == 0 {
			n = r.IntN(2 * BlockSize)
		}
		b.WriteString(strings.Repeat("z", n) + "\n")
	}
	for _, max := range []int{300, BlockSize - 3, BlockSize, 2 * BlockSize} {
		for _, cut := range []bool{false, true} {
			check(t, &Form{MaxLine: max, Cut: cut}, b.Bytes(), r)
		}
	}
}

func TestAnotherFileIsNoticed(t *testing.T) {
	m, c := &memory{data: []byte(strings.Repeat("0123456789\n", 20))}, &Chunk{}
	b := NewBlocks(m, &Form{MaxLine: 100}, &Buffers{}, state.Pos{}, 0, false)
	if err := b.Read(c, -1, Open); err != nil || len(c.Lines) != 20 {
		t.Fatalf("Read() = %v with %d lines", err, len(c.Lines))
	}
	check := c.Check(220)
	m.data = append([]byte(nil), m.data[:100]...)
	if err := b.Read(c, -1, Open); !errors.Is(err, ErrShrunk) {
		t.Errorf("Read of a file that shrank = %v; want %v", err, ErrShrunk)
	}
	m.data = []byte(strings.Repeat("abcdefghij\n", 30))
	if err := b.Read(c, -1, Open); !errors.Is(err, ErrChanged) {
		t.Errorf("Read of a file that was rewritten = %v; want %v", err, ErrChanged)
	}
	again := NewBlocks(m, &Form{MaxLine: 100}, &Buffers{}, state.Pos{Off: 220}, check, true)
	if err := again.Read(c, -1, Open); !errors.Is(err, ErrChanged) {
		t.Errorf("Read with the hash of other bytes = %v; want %v", err, ErrChanged)
	}
}

func TestALongLineThatGrowsIsNotReadAgainAndAgain(t *testing.T) {
	m := &counting{}
	b, c := NewBlocks(m, &Form{MaxLine: 1 << 20}, &Buffers{}, state.Pos{}, 0, false), &Chunk{}
	for range 2000 {
		m.data = append(m.data, strings.Repeat("x", 300)...)
		if err := b.Read(c, -1, Open); err != nil || len(c.Lines) != 0 {
			t.Fatalf("Read() = %v with %d lines; want none", err, len(c.Lines))
		}
	}
	m.data = append(m.data, '\n')
	if err := b.Read(c, -1, Open); err != nil || len(c.Lines) != 1 || c.Lines[0].End != 600_000 {
		t.Errorf("Read() = %v, %v; want one line of 600,000 bytes", c.Lines, err)
	}
	if m.bytes > 8<<20 {
		t.Errorf("%d bytes were read for a line of 600,000", m.bytes)
	}
}

type counting struct {
	memory
	bytes int
}

func (m *counting) ReadAt(p []byte, off int64) (int, error) {
	n, err := m.memory.ReadAt(p, off)
	m.bytes += n
	return n, err
}

func FuzzSplit(f *testing.F) {
	f.Add([]byte("a\nb\r\n\x00\x00c"), 60, false, uint64(1))
	f.Add([]byte(strings.Repeat("é", 100)), 64, true, uint64(2))
	f.Fuzz(func(t *testing.T, data []byte, max int, cut bool, seed uint64) {
		if len(data) > 4<<10 {
			t.Skip("more of the same")
		}
		form := &Form{MaxLine: 16 + max&0xFF, Cut: cut}
		if seed%3 == 0 {
			form.Enc, _ = Lookup([]string{"utf-16le", "utf-16be", "koi8-r"}[seed/3%3])
		}
		check(t, form, data, rand.New(rand.NewPCG(seed, 2)))
	})
}

func TestTheRestOfALineIsLeftOut(t *testing.T) {
	for _, tt := range []struct {
		data string
		end  End
		want string
		at   int64
	}{
		{"old rest\nnew\nx", Open, "new", 13},
		{"old rest\nnew", Final, "new", 12},
		{"old rest", Open, "", 4},
		{"old rest", Final, "", 8},
		{"old " + strings.Repeat("y", 200) + "\nnew\n", Open, strings.Repeat("y", 100) + "|" + strings.Repeat("y", 100) + "|new", 209},
	} {
		b, c := NewBlocks(&memory{data: []byte(tt.data)}, &Form{MaxLine: 100, Skip: 4}, &Buffers{}, state.Pos{Off: 4}, 0, false), &Chunk{}
		if err := b.Read(c, -1, tt.end); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, l := range c.Lines {
			got = append(got, string(c.Data[l.Start:l.End]))
		}
		if strings.Join(got, "|") != tt.want || b.Pos().Off != tt.at {
			t.Errorf("%.20q: %q up to %d; want %q up to %d", tt.data, got, b.Pos().Off, tt.want, tt.at)
		}
	}
}
