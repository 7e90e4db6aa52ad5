package site

import (
	"bytes"
	"compress/zlib"
	"math/rand/v2"
	"testing"
)

func TestTextCompressesAsMarkupDoes(t *testing.T) {
	b := newText(rand.New(rand.NewPCG(1, 1))).body(0, 30_000)
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if ratio := float64(out.Len()) / float64(len(b)); ratio < 0.25 || ratio > 0.45 {
		t.Errorf("text compresses to %.2f; want about a third", ratio)
	} else {
		t.Logf("ratio %.2f", ratio)
	}
}
