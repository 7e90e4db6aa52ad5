package inflate

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	fastzlib "github.com/klauspost/compress/zlib"
)

// site makes the objects of a small site: pages of repeated words, as text is, about 11 KB each.
func site(n int) (plain [][]byte, packed []byte) {
	rng := rand.New(rand.NewPCG(1, 2))
	words := make([]string, 2000)
	for i := range words {
		words[i] = strings.Repeat(string(rune('a'+rng.IntN(26))), 1+rng.IntN(3)) + fmt.Sprint(rng.IntN(1000))
	}
	var all bytes.Buffer
	w := zlib.NewWriter(&all)
	for range n {
		var page bytes.Buffer
		for page.Len() < 11<<10 {
			fmt.Fprintf(&page, "<p class=%q>%s %s</p>\n", words[rng.IntN(20)], words[rng.IntN(len(words))], words[rng.IntN(len(words))])
		}
		plain = append(plain, page.Bytes())
		w.Reset(&all)
		_, _ = w.Write(page.Bytes())
		_ = w.Close()
	}
	return plain, append(all.Bytes(), make([]byte, 32)...) // a pack ends with a checksum
}

// BenchmarkInflate is why the decoder is our own; see docs/decisions/0033-own-inflater.md.
func BenchmarkInflate(b *testing.B) {
	plain, packed := site(300)
	total, largest := 0, 0
	for _, p := range plain {
		total, largest = total+len(p), max(largest, len(p))
	}
	general := func(open func(io.Reader) (io.ReadCloser, error), reset func(io.Reader, io.Reader) error) func(*testing.B) {
		return func(b *testing.B) {
			b.SetBytes(int64(total))
			buf := make([]byte, largest)
			z, err := open(bytes.NewReader(packed))
			for b.Loop() {
				in := bytes.NewReader(packed)
				for _, p := range plain {
					if err == nil {
						err = reset(z, in)
					}
					if err == nil {
						_, err = io.ReadFull(z, buf[:len(p)])
					}
					if err == nil {
						_, err = z.Read(make([]byte, 1)) // the checksum
					}
					if err != io.EOF || !bytes.Equal(buf[:len(p)], p) {
						b.Fatal(err)
					}
					err = nil
				}
			}
		}
	}
	b.Run("standard", general(zlib.NewReader, func(z, in io.Reader) error { return z.(zlib.Resetter).Reset(in, nil) }))
	b.Run("klauspost", general(fastzlib.NewReader, func(z, in io.Reader) error { return z.(fastzlib.Resetter).Reset(in, nil) }))
	b.Run("ours", func(b *testing.B) {
		b.SetBytes(int64(total))
		buf := make([]byte, largest+Slack)
		var f Decoder
		for b.Loop() {
			f.Reset(NewSource(bytes.NewReader(packed), 256<<10, 0))
			for _, p := range plain {
				if err := f.Whole(buf, len(p)); err != nil || !bytes.Equal(buf[:len(p)], p) {
					b.Fatal(err)
				}
			}
		}
	})
}
