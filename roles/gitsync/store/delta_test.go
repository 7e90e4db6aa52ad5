package store

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
)

func TestPatch(t *testing.T) {
	base := []byte("0123456789")
	long := bytes.Repeat([]byte("z"), 0x10000+5)
	cat := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	tests := []struct {
		name        string
		base, delta []byte
		want        string
		bad         bool
	}{
		{"insert", base, cat(lenBytes(10), lenBytes(3), []byte{3}, []byte("abc")), "abc", false},
		{"copy", base, cat(lenBytes(10), lenBytes(4), []byte{0x91, 2, 4}), "2345", false},
		{"copy from the start", base, cat(lenBytes(10), lenBytes(4), []byte{0x90, 4}), "0123", false},
		{"copy and insert", base, cat(lenBytes(10), lenBytes(4), []byte{0x90, 2, 2, 'x', 'y'}), "01xy", false},
		{"empty result", base, cat(lenBytes(10), lenBytes(0)), "", false},
		{"empty base", nil, cat(lenBytes(0), lenBytes(1), []byte{1, 'q'}), "q", false},
		{"length 0 means 64 KiB", long, cat(lenBytes(len(long)), lenBytes(0x10000), []byte{0x80}), string(long[:0x10000]), false},
		{"nothing at all", base, nil, "", true},
		{"one length", base, lenBytes(10), "", true},
		{"endless length", base, bytes.Repeat([]byte{0xff}, 20), "", true},
		{"another base", base, cat(lenBytes(11), lenBytes(1), []byte{1, 'a'}), "", true},
		{"reserved op", base, cat(lenBytes(10), lenBytes(1), []byte{0, 'a'}), "", true},
		{"insert is cut", base, cat(lenBytes(10), lenBytes(3), []byte{3, 'a'}), "", true},
		{"copy is cut", base, cat(lenBytes(10), lenBytes(3), []byte{0x91, 2}), "", true},
		{"copies past its base", base, cat(lenBytes(10), lenBytes(4), []byte{0x91, 8, 4}), "", true},
		{"copies from beyond", base, cat(lenBytes(10), lenBytes(4), []byte{0x9f, 0xff, 0xff, 0xff, 0xff, 4}), "", true},
		{"more than it says", base, cat(lenBytes(10), lenBytes(1), []byte{0x90, 4}), "", true},
		{"inserts more than it says", base, cat(lenBytes(10), lenBytes(1), []byte{2, 'a', 'b'}), "", true},
		{"less than it says", base, cat(lenBytes(10), lenBytes(9), []byte{0x90, 4}), "", true},
		{"huge result", base, cat(lenBytes(10), lenBytes(maxMemoryObject+1), []byte{0x90, 4}), "", true},
	}
	for _, tt := range tests {
		got, err := patch(tt.base, tt.delta)
		if errors.Is(err, ErrCorrupt) != tt.bad || string(got) != tt.want {
			t.Errorf("%s: patch = %.20q, %v; want %.20q, corrupt %v", tt.name, got, err, tt.want, tt.bad)
		}
	}
}

func TestPatchOfRandomDeltas(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 300 {
		base := bytes.Repeat([]byte{byte(rnd.Uint32())}, int(rnd.Uint32N(100_000)))
		result := append(bytes.Clone(base[:rnd.Uint32N(uint32(len(base)+1))]), blobOf(int(rnd.Uint32N(200)))...)
		got, err := patch(base, deltaOf(base, result))
		if err != nil || !bytes.Equal(got, result) {
			t.Fatalf("patch from %d to %d bytes: %v", len(base), len(result), err)
		}
	}
}

func FuzzPatch(f *testing.F) {
	base := []byte("the base of every delta, long enough to copy from")
	f.Add(base, deltaOf(base, []byte("the base and more")))
	f.Add([]byte{}, []byte{0, 1, 1, 'a'})
	f.Fuzz(func(t *testing.T, base, delta []byte) {
		if _, dst, _, err := deltaSizes(delta); err == nil && dst > 1<<20 {
			return // memory, nothing else
		}
		got, err := patch(base, delta)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) || got != nil {
				t.Fatalf("patch = %d bytes, %v; want nothing and ErrCorrupt", len(got), err)
			}
			return
		}
		src, dst, _, _ := deltaSizes(delta)
		if src != int64(len(base)) || dst != int64(len(got)) {
			t.Fatalf("patch took a delta %d -> %d for %d -> %d", src, dst, len(base), len(got))
		}
	})
}
