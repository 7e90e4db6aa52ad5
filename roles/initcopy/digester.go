package initcopy

import (
	"context"
	"crypto/sha256"
	"hash"
	"io"
	"os"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
)

// digester digests what is read through it.
type digester struct {
	in   io.Reader
	hash hash.Hash
}

func newDigester(in io.Reader) *digester { return &digester{in, sha256.New()} }

func (d *digester) Read(p []byte) (int, error) {
	n, err := d.in.Read(p)
	d.hash.Write(p[:n])
	return n, err
}

func (d *digester) sum() (s item.Sum) {
	d.hash.Sum(s[:0])
	return s
}

// sumFile digests an open file from its start, from the disk where the kernel lets go of what it has in its cache.
func sumFile(ctx context.Context, f *os.File) (item.Sum, error) {
	forget(f)
	d := newDigester(io.NewSectionReader(f, 0, 1<<62))
	buf := make([]byte, 256<<10)
	for {
		if err := ctx.Err(); err != nil {
			return item.Sum{}, err
		}
		_, err := d.Read(buf)
		if err == io.EOF {
			return d.sum(), nil
		}
		if err != nil {
			return item.Sum{}, err
		}
	}
}
