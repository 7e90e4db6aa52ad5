package unpack

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// broken is an archive that is cut, damaged, or says one thing here and another there.
type broken struct {
	name    string
	archive []byte
	want    string // in the error; "" when it is fine after all
}

func put32(at int, v uint32) func([]byte) []byte {
	return func(h []byte) []byte { le.PutUint32(h[at:], v); return h }
}

func put16(at int, v uint16) func([]byte) []byte {
	return func(h []byte) []byte { le.PutUint16(h[at:], v); return h }
}

func zipLies() []broken {
	const text = "some content, some content, some content"
	one := func(change func(*zmem)) []byte {
		m := zmem{name: "x", body: text, method: deflated}
		change(&m)
		return zipOf(nil, zmem{name: "before", body: "b"}, m, zmem{name: "z", body: "after"})
	}
	end := func(change func([]byte) []byte) []byte { return zipOf(change, zmem{name: "x", body: text}) }
	crc := crc32.ChecksumIEEE([]byte(text))
	packed := deflateOf([]byte(text))
	descriptor := func(order ...any) []byte {
		var b bytes.Buffer
		for _, v := range order {
			_ = binary.Write(&b, le, v)
		}
		return b.Bytes()
	}
	p32, s32 := uint32(len(packed)), uint32(len(text))
	later := func(tail []byte) []byte { return one(func(m *zmem) { m.flags, m.tail = 8, tail }) }
	whole := end(nil)
	return []broken{
		{"other name", one(func(m *zmem) { m.local = func(h []byte) []byte { h[lenLocal] = 'y'; return h } }), `"x" has another name "y"`},
		{"longer name", one(func(m *zmem) { m.local = put16(26, 2) }), "has another name"},
		{"other method", one(func(m *zmem) { m.local = put16(8, stored) }), "has another method"},
		{"other size", one(func(m *zmem) { m.local = put32(22, 7) }), "has another size"},
		{"other packed size", one(func(m *zmem) { m.local = put32(18, 7) }), "has another size"},
		{"other checksum", one(func(m *zmem) { m.local = put32(14, 7) }), "has another checksum"},
		{"other flags", one(func(m *zmem) { m.local = put16(6, 1) }), "has another flags"},
		{"no header", one(func(m *zmem) { m.local = put32(0, 7) }), "nothing begins where the list says"},
		{"checksum wrong in both", one(func(m *zmem) { m.local, m.list = put32(14, 7), put32(16, 7) }), "does not match its checksum"},
		{"content wrong", one(func(m *zmem) { m.method, m.packed = stored, []byte(strings.ToUpper(text)) }), "does not match its checksum"},
		{"longer than it says", one(func(m *zmem) { m.local, m.list = put32(22, 5), put32(24, 5) }), "longer than its size says"},
		{"shorter than it says", one(func(m *zmem) { m.local, m.list = put32(22, 50), put32(24, 50) }), "shorter than its size says"},
		{"bad deflate", one(func(m *zmem) { m.packed = []byte{7, 1, 2, 3} }), "bad deflate data"},
		{"something behind the deflate stream", one(func(m *zmem) { m.packed = append(deflateOf([]byte(text)), 0) }), "not as long as it says"},
		{"stored with two sizes", one(func(m *zmem) { m.method, m.packed = stored, []byte(text[1:]) }), "two sizes"},
		{"folder with content", one(func(m *zmem) { m.name = "x/" }), "but has content"},
		{"encrypted", one(func(m *zmem) { m.flags = 1 }), "is encrypted"},
		{"encrypted by AES", one(func(m *zmem) { m.method = 99 }), "is encrypted"},
		{"list encrypted", one(func(m *zmem) { m.flags = 1 << 13 }), "is encrypted"},
		{"patch", one(func(m *zmem) { m.flags = 1 << 5 }), "is a patch"},
		{"bzip2", one(func(m *zmem) { m.method = 12 }), "compressed by bzip2 (method 12)"},
		{"LZMA", one(func(m *zmem) { m.method = 14 }), "compressed by LZMA (method 14)"},
		{"deflate64", one(func(m *zmem) { m.method = 9 }), "compressed by deflate64 (method 9)"},
		{"unheard of", one(func(m *zmem) { m.method = 1234 }), "compressed by unknown (method 1234)"},
		{"twice", zipOf(nil, zmem{name: "x"}, zmem{name: "x"}), "in the archive twice"},
		{"twice by a dot", zipOf(nil, zmem{name: "a/x"}, zmem{name: "a/./x"}), "in the archive twice"},
		{"folder twice", zipOf(nil, zmem{name: "x/"}, zmem{name: "x/"}), ""},
		{"folder by mode alone", zipOf(nil, zmem{name: "x", unix: 0o40755}), "not named like one"},

		{"shares content", one(func(m *zmem) { m.list = put32(42, 0) }), "shares its content"},
		{"reaches into the next", one(func(m *zmem) { m.list = put32(20, uint32(len(packed))+3) }), "shares its content"},
		{"reaches into the list", zipOf(nil, zmem{name: "x", body: "x", method: deflated, list: put32(20, 20)}), "shares its content"},
		{"lies in the list", one(func(m *zmem) { m.list = put32(42, 250) }), "outside of the archive"},
		{"lies outside", one(func(m *zmem) { m.list = put32(42, 1<<31) }), "outside of the archive"},
		{"local fields hide content", one(func(m *zmem) { m.local = put16(28, 60000) }), "is cut off"},

		{"descriptor", later(descriptor([]byte(sigData), crc, p32, s32)), ""},
		{"descriptor without signature", later(descriptor(crc, p32, s32)), ""},
		{"descriptor of 64 bits", later(descriptor([]byte(sigData), crc, uint64(p32), uint64(s32))), ""},
		{"descriptor of 64 bits without signature", later(descriptor(crc, uint64(p32), uint64(s32))), ""},
		{"descriptor with other size", later(descriptor([]byte(sigData), crc, p32, s32+1)), "other sizes behind its content"},
		{"descriptor with other checksum", later(descriptor([]byte(sigData), crc+1, p32, s32)), "other sizes behind its content"},
		{"descriptor missing", later(nil), "other sizes behind its content"},

		{"zip64 sizes", one(func(m *zmem) { m.list, m.extra = put32(24, is64), field(1, uint64(len(text))) }), ""},
		{"zip64 sizes missing", one(func(m *zmem) { m.list = put32(24, is64) }), "lacks its zip64 sizes"},
		{"zip64 sizes short", one(func(m *zmem) { m.list, m.extra = put32(24, is64), field(1, uint32(1)) }), "lacks its zip64 sizes"},
		{"zip64 sizes twice", one(func(m *zmem) { m.extra = append(field(1), field(1)...) }), "zip64 sizes twice"},
		{"zip64 size negative", one(func(m *zmem) { m.list, m.extra = put32(24, is64), field(1, int64(-1)) }), "size is impossible"},
		{"zip64 size lies", one(func(m *zmem) { m.list, m.extra = put32(24, is64), field(1, uint64(1<<40)) }), "--max-bytes"},
		{"zip64 place lies", one(func(m *zmem) { m.list, m.extra = put32(42, is64), field(1, uint64(1<<63-1)) }), "outside of the archive"},
		{"zip64 end", end(end64(nil)), ""},
		{"zip64 end with another count", end(end64(func(b []byte) { le.PutUint64(b[32:], 2); le.PutUint64(b[24:], 2) })), "contradict"},
		{"zip64 end with another length", end(end64(func(b []byte) { le.PutUint64(b[40:], 2) })), "contradict"},
		{"zip64 end elsewhere", end(end64(func(b []byte) { le.PutUint64(b[4:], 45) })), "not where it should be"},
		{"zip64 end of disk 7", end(end64(func(b []byte) { le.PutUint32(b[16:], 7) })), "contradict"},

		{"more members than said", end(func(b []byte) []byte { le.PutUint16(b[8:], 0); le.PutUint16(b[10:], 0); return b }), "longer than it says"},
		{"fewer members than said", end(func(b []byte) []byte { le.PutUint16(b[8:], 9); le.PutUint16(b[10:], 9); return b }), "too short for 9"},
		{"count for one disk", end(put16(8, 0)), "split zip"},
		{"disk 7", end(put16(4, 7)), "split zip"},
		{"member of disk 7", zipOf(nil, zmem{name: "x", list: put16(34, 7)}), "split zip"},
		{"list too long", end(put32(12, 1<<30)), "outside of the file"},
		{"list elsewhere", end(put32(16, 1<<30)), "outside of the file"},
		{"list shifted", end(put32(16, 3)), "damaged"},
		{"comment", end(func(b []byte) []byte { return append(put16(20, 5)(b), "hello"...) }), ""},
		{"two ends", end(func(b []byte) []byte { c := bytes.Clone(b); return append(put16(20, lenEnd)(b), c...) }), "two ends"},
		{"garbage behind", append(bytes.Clone(whole), "garbage"...), "goes on behind its end"},
		{"program in front", append([]byte("#!/bin/sh\nexec java -jar $0\n"), whole...), ""},
		{"zip in front", append(bytes.Clone(whole), whole...), "two lists"},
		{"two lists", twoLists(), "two lists"},
		{"empty", zipOf(nil), ""},
		{"cut before the end", whole[:len(whole)-lenEnd], "is cut off"},
		{"cut in the end", whole[:len(whole)-1], "is cut off"},
		{"cut in the content", whole[:lenLocal+5], "is cut off"},
	}
}

// end64 puts the records for large zips before the end.
func end64(change func([]byte)) func([]byte) []byte {
	return func(e []byte) []byte {
		b := make([]byte, lenEnd64)
		copy(b, sigEnd64)
		le.PutUint64(b[4:], lenEnd64-12)
		le.PutUint64(b[24:], uint64(le.Uint16(e[8:])))
		le.PutUint64(b[32:], uint64(le.Uint16(e[10:])))
		le.PutUint64(b[40:], uint64(le.Uint32(e[12:])))
		le.PutUint64(b[48:], uint64(le.Uint32(e[16:])))
		if change != nil {
			change(b)
		}
		loc := make([]byte, lenLocator)
		copy(loc, sigLocator)
		le.PutUint64(loc[8:], uint64(le.Uint32(e[12:]))+uint64(le.Uint32(e[16:])))
		le.PutUint32(loc[16:], 1)
		return append(append(b, loc...), e...)
	}
}

// twoLists has one list where the end says, counted from the start of the file, and another right before the end.
func twoLists() []byte {
	first := zipOf(nil, zmem{name: "harmless", body: "1"})
	first = first[:len(first)-lenEnd]
	second := zipOf(nil, zmem{name: "evil....", body: "2"})
	return append(first, second...)
}

func streamLies() []broken {
	big := strings.Repeat("0123456789abcdef", 1<<12)
	members := []mem{{kind: 'd', name: "d"}, {kind: 'f', name: "d/x", body: big}, {kind: 'f', name: "y", body: "y"}}
	plain := tarOf(members...)
	z, s := gzipOf(plain), zstdOf(plain)
	bare := tarMembers(members...)
	damaged := func(b []byte, at int) []byte { b = bytes.Clone(b); b[at] ^= 0xff; return b }
	return []broken{
		{"nothing", nil, "is empty"},
		{"text", []byte("hello world, this is no archive"), "neither tar"},
		{"bzip2", []byte("BZh91AY&SY"), "made by bzip2"},
		{"xz", []byte("\xfd7zXZ\x00\x00"), "made by xz"},
		{"7z", []byte("7z\xbc\xaf\x27\x1c\x00"), "made by 7-Zip"},
		{"tar in bzip2's clothes", []byte("\x1f\x9d\x90"), "made by compress"},

		{"tar without end", bare, "mark of the end is missing"},
		{"tar with half an end", append(bytes.Clone(bare), make([]byte, block)...), ""},
		{"tar without end in gzip", gzipOf(bare), ""},
		{"tar without end in zstd", zstdOf(bare), ""},
		{"tar padded", append(bytes.Clone(plain), make([]byte, 20*block)...), ""},
		{"tar padded for ever", append(bytes.Clone(plain), make([]byte, 2<<20)...), "zero bytes behind its end"},
		{"tar followed by a tar", append(bytes.Clone(plain), plain...), "goes on behind its end"},
		{"tar followed by garbage", append(bytes.Clone(plain), "garbage"...), "goes on behind its end"},
		{"tar cut in a header", plain[:700], "is cut off"},
		{"tar cut in a member", plain[:5000], "is cut off"},
		{"tar cut behind a member", bare[:len(bare)-2*block], "mark of the end is missing"},
		{"tar with a bad header", damaged(plain, block+3), "tar header is not valid"},
		{"tar of nothing", make([]byte, 2*block), ""},

		{"gzip of nothing", gzipOf(nil), "holds nothing"},
		{"gzip cut in its header", z[:5], "is cut off"},
		{"gzip cut in the middle", z[:len(z)/2], "is cut off"},
		{"gzip without its trailer", z[:len(z)-8], "is cut off"},
		{"gzip with half a trailer", z[:len(z)-4], "is cut off"},
		{"gzip with a wrong checksum", damaged(z, len(z)-6), "does not match its checksum"},
		{"gzip with a wrong size", damaged(z, len(z)-2), "does not match its checksum"},
		{"gzip followed by garbage", append(bytes.Clone(z), "garbage, more than a header"...), "something behind its end"},
		{"gzip followed by zeros", append(bytes.Clone(z), make([]byte, 100)...), "something behind its end"},
		{"gzip in two parts", append(gzipOf(plain[:3000]), gzipOf(plain[3000:])...), ""},
		{"gzip followed by an empty gzip", append(bytes.Clone(z), gzipOf(nil)...), ""},
		{"gzip followed by a gzip", append(bytes.Clone(z), z...), "goes on behind its end"},
		{"gzip in gzip", gzipOf(z), "is packed as gz, but what is in it is no tar"},
		{"text in gzip", gzipOf([]byte(strings.Repeat("text ", 1000))), "no tar"},

		{"zstd cut in its header", s[:5], "is cut off"},
		{"zstd cut in the middle", s[:len(s)/2], "is cut off"},
		{"zstd without its last byte", s[:len(s)-1], "is cut off"},
		{"zstd with a wrong checksum", damaged(s, len(s)-1), "does not match its checksum"},
		{"zstd followed by garbage", append(bytes.Clone(s), "garbage, more than a header"...), "something behind its end"},
		{"zstd in two frames", append(zstdOf(plain[:3000]), zstdOf(plain[3000:])...), ""},
		{"zstd behind a frame to skip", append([]byte("\x50\x2a\x4d\x18\x04\x00\x00\x00skip"), s...), ""},
		{"zstd --long", longZstd(plain), "zstd window of more than 8 MiB"},

		{"PAX path with NUL", append(pax('x', "path", "a\x00b"), plain...), "tar header is not valid"},
		{"PAX link with NUL", append(pax('x', "linkpath", "a\x00b"), tarOf(mem{kind: 'l', name: "l", link: "y"})...), "tar header is not valid"},
		{"PAX path that climbs", append(pax('x', "path", "../evil"), plain...), `".." in its path`},
		{"PAX path over a harmless name", append(pax('x', "path", "/evil"), tarOf(mem{kind: 'f', name: "ok", body: "x"})...), "absolute path"},
		{"PAX size that lies", append(pax('x', "size", "99999999"), tarOf(mem{kind: 'f', name: "x", body: "x"})...), "is cut off"},
		{"PAX size negative", append(pax('x', "size", "-5"), tarOf(mem{kind: 'f', name: "x", body: "x"})...), "tar header is not valid"},
		{"PAX for all: comment", append(pax('g', "comment", "0123"), plain...), ""},
		{"PAX for all: path", append(pax('g', "path", "evil"), plain...), `sets "path" for all members`},
		{"GNU long name that climbs", append(append(tarHead('L', "././@LongLink", "", 0, 8), padded("../evil\x00")...), plain...), `".." in its path`},
		{"GNU long name and PAX path", bytes.Join([][]byte{pax('x', "path", "harmless"), tarHead('L', "././@LongLink", "", 0, 8), padded("../evil\x00"), plain}, nil), `".." in its path`},
		{"GNU long link that climbs", append(append(tarHead('K', "././@LongLink", "", 0, 8), padded("../evil\x00")...), tarOf(mem{kind: 'l', name: "l", link: "y"})...), "leads out of the folder"},
		{"negative size", tarSum(append(tarHead('0', "x", "", 0o644, -1), make([]byte, 1024)...)), "valid"},
	}
}

// longZstd is a frame whose window is larger than what is taken. The reader learns that from the header.
func longZstd(b []byte) []byte {
	var out bytes.Buffer
	z, err := zstd.NewWriter(&out, zstd.WithWindowSize(16<<20), zstd.WithEncoderConcurrency(1))
	if err != nil {
		panic(err)
	}
	_, _ = z.Write(b)
	_ = z.Flush() // the length is not known, so the window is written
	_ = z.Close()
	return out.Bytes()
}

// TestDamagedAndContradictoryArchives: everything that is cut is found, and everything that can be read in two ways.
func TestDamagedAndContradictoryArchives(t *testing.T) {
	p := newPlace(t)
	for _, tt := range append(zipLies(), streamLies()...) {
		p.again()
		_, _, err := p.unpack(tt.archive, standard())
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v; want no error", tt.name, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "unpack app.arc: ")):
			t.Errorf("%s: %v; want %q", tt.name, err, tt.want)
		}
	}
}
