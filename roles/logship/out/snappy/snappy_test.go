package snappy

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	reference "github.com/klauspost/compress/snappy"
)

func samples() map[string][]byte {
	var lines []byte
	for i := range 3000 {
		lines = fmt.Appendf(lines, `{"@timestamp":"2026-01-02T03:04:05.678Z","message":"request %d done","level":"info","path":"/api/%x"}`+"\n", i, i*7919)
	}
	random := make([]byte, 100_000)
	rng := rand.NewChaCha8([32]byte{})
	_, _ = rng.Read(random)
	return map[string][]byte{
		"empty": nil, "short": []byte("abc"), "same": bytes.Repeat([]byte("a"), 200_000), "lines": lines, "random": random,
		"block": bytes.Repeat([]byte("0123456789abcdef"), 1<<12), "near": append(bytes.Repeat([]byte("xyz"), 30), random[:70_000]...),
	}
}

func TestOthersCanRead(t *testing.T) {
	var e Encoder
	for name, src := range samples() {
		packed := e.Append([]byte("in front"), src)
		got, err := reference.Decode(nil, packed[8:])
		if err != nil || !bytes.Equal(got, src) {
			t.Errorf("%s: %v; want the same %d bytes again", name, err, len(src))
		}
		if limit := len(src)/3 + 30; name == "lines" && len(packed) > limit {
			t.Errorf("%s: %d of %d bytes; want no more than %d", name, len(packed), len(src), limit)
		}
	}
}

func FuzzAppend(f *testing.F) {
	for _, src := range samples() {
		f.Add(src[:min(len(src), 2000)], uint16(3))
	}
	var e Encoder
	f.Fuzz(func(t *testing.T, src []byte, times uint16) {
		src = bytes.Repeat(src, int(times%50)+1)
		got, err := reference.Decode(nil, e.Append(nil, src))
		if err != nil || !bytes.Equal(got, src) {
			t.Errorf("Decode(Append(%q)) = %v", src, err)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	var e Encoder
	src := samples()["lines"]
	var dst []byte
	b.SetBytes(int64(len(src)))
	for b.Loop() {
		dst = e.Append(dst[:0], src)
	}
	b.ReportMetric(float64(len(src))/float64(len(dst)), "ratio")
}
