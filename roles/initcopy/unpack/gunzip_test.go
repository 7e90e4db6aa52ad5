package unpack

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
)

func gzips() [][]byte {
	r := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 300_000)
	for i := range noise {
		noise[i] = byte(r.Uint32()) >> (i / 10_000 % 8)
	}
	var named bytes.Buffer
	z, _ := gzip.NewWriterLevel(&named, 9)
	z.Name, z.Comment, z.Extra = "name", "comment", []byte("extra")
	_, _ = z.Write(noise[:100])
	_ = z.Close()
	some := [][]byte{gzipOf(nil), gzipOf([]byte("x")), gzipOf(noise), gzipOf([]byte(strings.Repeat("text ", 100_000))), named.Bytes()}
	return append(some, bytes.Join(some, nil), bytes.Repeat(some[1], 100))
}

// reservedFlags tells whether something in b may be a header with flags that have no meaning.
func reservedFlags(b []byte) bool {
	for at := 0; at+3 < len(b); at++ {
		if b[at] == 0x1f && b[at+1] == 0x8b && b[at+2] == 8 && b[at+3]&0xe0 != 0 {
			return true
		}
	}
	return false
}

// same compares with the standard library, which is right about everything but the checksum of a header, which nobody
// writes and we do not read.
func same(t *testing.T, b []byte, wrap func(io.Reader) io.Reader) {
	t.Helper()
	var want []byte
	std, werr := gzip.NewReader(bytes.NewReader(b))
	if werr == nil {
		want, werr = io.ReadAll(io.LimitReader(std, 8<<20))
	}
	got, err := io.ReadAll(io.LimitReader(newGunzip(newStreamReader(wrap(bytes.NewReader(b)))), 8<<20))
	switch {
	case errors.Is(err, errHeader) && reservedFlags(b): // which must be refused (RFC 1952, 2.3.1.2), and are read there
	case werr == nil && (err != nil || !bytes.Equal(got, want)):
		t.Fatalf("gunzip gives %d bytes, %v; want %d", len(got), err, len(want))
	case werr != nil && err == nil && !errors.Is(werr, gzip.ErrHeader) && len(got) < 8<<20:
		t.Fatalf("gunzip takes what the standard library refuses: %v", werr)
	}
}

func plainReader(r io.Reader) io.Reader { return r }

func TestGunzipAgreesWithTheStandardLibrary(t *testing.T) {
	for _, b := range gzips() {
		for _, wrap := range []func(io.Reader) io.Reader{plainReader, iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader} {
			same(t, b, wrap)
		}
	}
}

// TestGunzipOfEveryCut: wherever it is cut, that is what is said.
func TestGunzipOfEveryCut(t *testing.T) {
	whole := bytes.Join([][]byte{gzips()[4], gzipOf([]byte(strings.Repeat("some text, ", 50)))}, nil)
	first := len(gzips()[4])
	for n := 1; n < len(whole); n++ {
		_, err := io.ReadAll(newGunzip(newStreamReader(bytes.NewReader(whole[:n]))))
		if want := io.ErrUnexpectedEOF; n != first && !errors.Is(err, want) || n == first && err != nil {
			t.Fatalf("cut at %d of %d: %v", n, len(whole), err)
		}
	}
}

func TestGunzipRefusesReservedFlags(t *testing.T) {
	b := gzipOf([]byte("x"))
	for _, bit := range []byte{0x20, 0x40, 0x80} {
		b[3] = bit
		if got, err := io.ReadAll(newGunzip(newStreamReader(bytes.NewReader(b)))); !errors.Is(err, errHeader) {
			t.Errorf("flag %#x gives %q, %v; want a refusal", bit, got, err)
		}
		same(t, b, plainReader)
	}
}

func FuzzGunzip(f *testing.F) {
	for _, b := range gzips() {
		f.Add(b[:min(len(b), 4000)])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 0 {
			same(t, b, plainReader)
			same(t, b, iotest.OneByteReader)
		}
	})
}
