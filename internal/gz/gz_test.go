package gz

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"testing"
)

func lines() []byte {
	var b []byte
	for i := range 8000 {
		b = fmt.Appendf(b, `{"@timestamp":"2026-01-02T03:04:05.678Z","message":"request %d done","level":"info","path":"/api/%x"}`+"\n", i, i*7919)
	}
	return b
}

// FuzzAppend lets the standard library read what was made.
func FuzzAppend(f *testing.F) {
	f.Add(lines(), uint8(1))
	f.Add([]byte{}, uint8(0))
	f.Add([]byte("a"), uint8(200))
	f.Fuzz(func(t *testing.T, src []byte, times uint8) {
		src = bytes.Repeat(src, int(times)+1)
		packed, err := Append([]byte("front"), src)
		if err != nil {
			t.Fatal(err)
		}
		z, err := gzip.NewReader(bytes.NewReader(packed[5:]))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(z)
		if err != nil || !bytes.Equal(got, src) {
			t.Errorf("gzip of %d bytes gives %d, %v", len(src), len(got), err)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	src := lines()
	var dst []byte
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	for b.Loop() {
		dst, _ = Append(dst[:0], src)
	}
	b.ReportMetric(float64(len(src))/float64(len(dst)), "ratio")
}
