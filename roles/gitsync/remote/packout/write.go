package packout

import (
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // the pack format's checksum
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"sync"

	"compress/zlib"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

// Cache keeps compressed objects of a source that answers many fetches. Its zero value is ready.
type Cache struct {
	mu      sync.Mutex
	objects map[Object][]byte
}

func (c *Cache) get(o Object) []byte {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.objects[o]
}

func (c *Cache) put(o Object, b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.objects == nil {
		c.objects = map[Object][]byte{}
	}
	c.objects[o] = b
}

// Above this size a delta would need too much memory to find.
const maxDelta = 4 << 20

type writer struct {
	src   Source
	out   io.Writer // the pack and its checksum
	zip   *zlib.Writer
	cache *Cache
	copy  []byte
}

// Write writes the plan's objects as a pack, one at a time. The cache may be nil.
func (p *Plan) Write(ctx context.Context, w io.Writer, src Source, cache *Cache) error {
	if len(p.Objects) > math.MaxUint32 {
		return fmt.Errorf("%d objects are too many for a pack", len(p.Objects))
	}
	sum := sha1.New() //nolint:gosec // see the import
	zip, err := zlib.NewWriterLevel(io.Discard, zlib.BestSpeed)
	if err != nil {
		return err
	}
	k := &writer{src: src, out: io.MultiWriter(w, sum), zip: zip, cache: cache, copy: make([]byte, 32<<10)}
	head := append([]byte("PACK"), 0, 0, 0, 2)
	head = binary.BigEndian.AppendUint32(head, uint32(len(p.Objects))) //nolint:gosec // checked above
	if _, err := k.out.Write(head); err != nil {
		return err
	}
	for _, o := range p.Objects {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := k.object(o); err != nil {
			return err
		}
	}
	_, err = w.Write(sum.Sum(nil))
	return err
}

func (k *writer) object(o Object) error {
	if b := k.cache.get(o); b != nil {
		_, err := k.out.Write(b)
		return err
	}
	obj, err := k.src.EncodedObject(plumbing.AnyObject, o.Hash)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrMissing, o.Hash, err)
	}
	out := k.out
	var keep bytes.Buffer
	if k.cache != nil {
		out = &keep
	}
	if err := k.encode(out, obj, o); err != nil {
		return fmt.Errorf("write object %s: %w", o.Hash, err)
	}
	if k.cache != nil {
		k.cache.put(o, keep.Bytes())
		_, err = k.out.Write(keep.Bytes())
	}
	return err
}

func (k *writer) encode(out io.Writer, obj plumbing.EncodedObject, o Object) error {
	if delta := k.delta(obj, o); delta != nil {
		head := objectHead(plumbing.REFDeltaObject, delta.Size())
		if _, err := out.Write(append(head, o.Base[:]...)); err != nil {
			return err
		}
		return k.deflate(out, delta)
	}
	if _, err := out.Write(objectHead(obj.Type(), obj.Size())); err != nil {
		return err
	}
	return k.deflate(out, obj)
}

// delta returns nil where a delta is impossible or no gain.
func (k *writer) delta(obj plumbing.EncodedObject, o Object) plumbing.EncodedObject {
	if o.Base.IsZero() || obj.Size() > maxDelta {
		return nil
	}
	base, err := k.src.EncodedObject(obj.Type(), o.Base)
	if err != nil || base.Size() > maxDelta {
		return nil
	}
	d, err := packfile.GetDelta(base, obj)
	if err != nil || d.Size() > obj.Size()/2 {
		return nil
	}
	return d
}

func (k *writer) deflate(out io.Writer, obj plumbing.EncodedObject) error {
	r, err := obj.Reader()
	if err != nil {
		return err
	}
	defer r.Close()
	k.zip.Reset(out)
	n, err := io.CopyBuffer(struct{ io.Writer }{k.zip}, struct{ io.Reader }{r}, k.copy)
	if err != nil {
		return err
	}
	if n != obj.Size() {
		return fmt.Errorf("%d bytes instead of %d", n, obj.Size())
	}
	return k.zip.Close()
}

// objectHead encodes type and size: three bits of type, then the size seven bits at a time.
func objectHead(t plumbing.ObjectType, size int64) []byte {
	b := byte(t)<<4 | byte(size&15)
	size >>= 4
	var head []byte
	for size > 0 {
		head = append(head, b|0x80)
		b = byte(size & 0x7f)
		size >>= 7
	}
	return append(head, b)
}
