package bulk

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func makeFile(t *testing.T, content []byte) *os.File {
	t.Helper()
	name := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func blocks(t *testing.T, f *os.File) int64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	return int64(st.Blocks) * 512
}

func TestCopyAndSum(t *testing.T) {
	var c Copier
	defer c.Close()
	for _, size := range []int{0, 1, bufSize - 1, bufSize, 2*bufSize - 1, 2 * bufSize, 2*bufSize + 1, buffers*bufSize*3 + 4097} {
		content := random(int64(size))
		src := makeFile(t, content)
		for _, o := range []Options{{Size: int64(size)}, {Size: int64(size), Digest: true}, {Digest: true, Buf: make([]byte, 4097)}, {Size: int64(size), Sparse: true, Digest: true}} {
			dst := makeFile(t, nil)
			moved := int64(0)
			o.Moved = func(n int64) { moved += n }
			sum, n, err := c.Copy(t.Context(), int(dst.Fd()), int(src.Fd()), o)
			if err != nil || n != int64(size) || moved != n {
				t.Fatalf("Copy of %d bytes %+v = %d (%d told), %v", size, o, n, moved, err)
			}
			if o.Digest && sum != sha256.Sum256(content) {
				t.Errorf("Copy of %d bytes %+v: wrong digest", size, o)
			}
			if got, _ := os.ReadFile(dst.Name()); !bytes.Equal(got, content) {
				t.Errorf("Copy of %d bytes %+v made other content (%d bytes)", size, o, len(got))
			}
		}
		sum, n, err := c.Sum(t.Context(), int(src.Fd()), Options{Size: int64(size)})
		if err != nil || n != int64(size) || sum != sha256.Sum256(content) {
			t.Errorf("Sum of %d bytes = %x, %d, %v", size, sum, n, err)
		}
	}
}

// TestCopyKeepsHoles covers a hole at the start, in the middle and at the end, and a file that is one.
func TestCopyKeepsHoles(t *testing.T) {
	const mb = 1 << 20
	for name, extents := range map[string][][2]int64{
		"only a hole": nil, "start": {{30 * mb, mb}}, "middle": {{0, 4096}, {20*mb + 4096, mb}}, "end": {{0, 5000}},
		"odd ends": {{3, 5}, {9*mb + 1, 77}, {25 * mb, 100}}, "many": {{0, 4096}, {8192, 4096}, {1 * mb, 4096}, {2 * mb, 4096}},
	} {
		src, dst := makeFile(t, nil), makeFile(t, nil)
		const size = 31*mb + 11
		for _, e := range extents {
			if _, err := src.WriteAt(random(e[1]), e[0]); err != nil {
				t.Fatal(err)
			}
		}
		if err := src.Truncate(size); err != nil {
			t.Fatal(err)
		}
		var c Copier
		sum, n, err := c.Copy(t.Context(), int(dst.Fd()), int(src.Fd()), Options{Size: size, Sparse: true, Digest: true})
		if err := errors.Join(err, c.Close()); err != nil || n != size {
			t.Fatalf("%s: Copy = %d, %v", name, n, err)
		}
		want, _ := os.ReadFile(src.Name())
		got, _ := os.ReadFile(dst.Name())
		if !bytes.Equal(got, want) || sum != sha256.Sum256(want) {
			t.Errorf("%s: other content (%d bytes) or digest", name, len(got))
		}
		if have, may := blocks(t, dst), blocks(t, src)+64<<10; have > may {
			t.Errorf("%s: %d bytes on the disk; want at most %d", name, have, may)
		}
	}
}

func TestCopyEndsWithItsContext(t *testing.T) {
	src, dst := makeFile(t, random(16<<20)), makeFile(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	o := Options{Size: 16 << 20, Digest: true, Moved: func(int64) { cancel() }}
	var c Copier
	defer c.Close()
	if _, n, err := c.Copy(ctx, int(dst.Fd()), int(src.Fd()), o); !errors.Is(err, context.Canceled) || n == 16<<20 {
		t.Errorf("Copy = %d, %v; want context.Canceled half-way", n, err)
	}
	if _, n, err := c.Copy(t.Context(), int(makeFile(t, nil).Fd()), int(src.Fd()), Options{Size: 16 << 20}); err != nil || n != 16<<20 {
		t.Errorf("the next Copy = %d, %v; want all of it", n, err)
	}
}

func TestCopyReportsWhoFailed(t *testing.T) {
	src := makeFile(t, random(4<<20))
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no /dev/full on this system: ", err)
	}
	defer full.Close()
	var c Copier
	defer c.Close()
	for _, size := range []int64{1, 4 << 20} {
		if _, _, err := c.Copy(t.Context(), int(full.Fd()), int(src.Fd()), Options{Size: size, Digest: true}); !errors.Is(err, unix.ENOSPC) {
			t.Errorf("Copy to a full disk = %v; want ENOSPC", err)
		}
	}
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if _, _, err := c.Copy(t.Context(), int(makeFile(t, nil).Fd()), int(dir.Fd()), Options{}); !errors.Is(err, unix.EISDIR) {
		t.Errorf("Copy of a folder = %v; want EISDIR", err)
	}
}
