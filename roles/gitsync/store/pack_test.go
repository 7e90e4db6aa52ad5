package store

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/sha1"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/sidecar-kit/sidecar/roles/gitsync/gitserve"
	"github.com/sidecar-kit/sidecar/roles/gitsync/remote/packout"
)

const (
	commitType = plumbing.CommitObject
	treeType   = plumbing.TreeObject
	blobType   = plumbing.BlobObject
)

// packer writes packs by hand, also such as no server would send.
type packer struct {
	tb    testing.TB
	body  bytes.Buffer
	count int
	z     *zlib.Writer
}

func (p *packer) here() int64 { return packHeaderLen + int64(p.body.Len()) }

// record writes one object with the size it claims, and returns its place.
func (p *packer) record(typ Type, size int, base, content []byte) int64 {
	at := p.here()
	c := byte(typ)<<4 | byte(size&15)
	for size >>= 4; size > 0; size >>= 7 {
		p.body.WriteByte(c | 0x80)
		c = byte(size & 0x7f)
	}
	p.body.WriteByte(c)
	p.body.Write(base)
	if p.z == nil {
		p.z = zlib.NewWriter(&p.body)
	}
	p.z.Reset(&p.body)
	_, _ = p.z.Write(content)
	p.z.Close()
	p.count++
	return at
}

func (p *packer) whole(typ Type, data []byte) int64 { return p.record(typ, len(data), nil, data) }

func (p *packer) ofs(base int64, delta []byte) int64 {
	back := p.here() - base
	b := []byte{byte(back & 0x7f)}
	for back >>= 7; back > 0; back >>= 7 {
		back--
		b = append([]byte{0x80 | byte(back&0x7f)}, b...)
	}
	return p.record(plumbing.OFSDeltaObject, len(delta), b, delta)
}

func (p *packer) ref(base Hash, delta []byte) int64 {
	return p.record(plumbing.REFDeltaObject, len(delta), base[:], delta)
}

func (p *packer) bytes() []byte {
	out := binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), uint32(p.count))
	out = append(out, p.body.Bytes()...)
	sum := sha1.Sum(out)
	return append(out, sum[:]...)
}

func lenBytes(n int) []byte { return binary.AppendUvarint(nil, uint64(n)) }

// deltaOf makes a delta by what the two have in common at both ends.
func deltaOf(base, result []byte) []byte {
	out := append(lenBytes(len(base)), lenBytes(len(result))...)
	pre := 0
	for pre < min(len(base), len(result), 0xffff) && base[pre] == result[pre] {
		pre++
	}
	out = append(out, copyOp(0, pre)...)
	for rest := result[pre:]; len(rest) > 0; {
		n := min(len(rest), 127)
		out = append(append(out, byte(n)), rest[:n]...)
		rest = rest[n:]
	}
	return out
}

func copyOp(off, n int) []byte {
	if n == 0 {
		return nil
	}
	return []byte{0xff, byte(off), byte(off >> 8), byte(off >> 16), byte(off >> 24), byte(n), byte(n >> 8), byte(n >> 16)}
}

// seen is a sink that remembers.
type seen struct {
	mu      sync.Mutex
	objects map[Hash][]byte
	order   []Hash
	err     error
}

func (s *seen) Object(_ Type, h Hash, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.objects == nil {
		s.objects = make(map[Hash][]byte)
	}
	s.objects[h] = bytes.Clone(data)
	s.order = append(s.order, h)
	return s.err
}

// closing notes that it was closed.
type closing struct {
	io.Reader
	closed int
}

func (c *closing) Close() error { c.closed++; return nil }

func open(tb testing.TB, dir string) *Store {
	tb.Helper()
	s, err := Open(dir)
	if err != nil {
		tb.Fatalf("Open = %v", err)
	}
	tb.Cleanup(func() { s.Close() })
	return s
}

func receive(s *Store, pack []byte, sink Sink) (Received, error) {
	return s.Ingest(context.Background(), io.NopCloser(bytes.NewReader(pack)), sink, Limits{}, false)
}

func mustIngest(tb testing.TB, s *Store, pack []byte) {
	tb.Helper()
	if _, err := receive(s, pack, nil); err != nil {
		tb.Fatalf("Ingest = %v", err)
	}
}

// files lists what is in a store's folder.
func files(tb testing.TB, dir string) []string {
	tb.Helper()
	names, err := os.ReadDir(dir)
	if err != nil {
		tb.Fatal(err)
	}
	var out []string
	for _, e := range names {
		out = append(out, e.Name())
	}
	return out
}

func wantObject(tb testing.TB, s *Store, typ Type, data []byte) {
	tb.Helper()
	got, content, err := s.Get(Sum(typ, data))
	if err != nil || got != typ || !bytes.Equal(content, data) {
		tb.Errorf("Get(%s %.20q) = %s, %.20q, %v", typ, data, got, content, err)
	}
	if typ != blobType {
		return
	}
	var out bytes.Buffer
	if n, err := s.CopyBlob(&out, Sum(typ, data)); err != nil || n != int64(len(data)) || !bytes.Equal(out.Bytes(), data) {
		tb.Errorf("CopyBlob(%.20q) = %d bytes, %v", data, n, err)
	}
}

// serverPack is what a server would send.
func serverPack(tb testing.TB, repo *gitserve.Repo, req packout.Request) []byte {
	tb.Helper()
	plan, err := packout.Select(tb.Context(), repo, req)
	if err != nil {
		tb.Fatal(err)
	}
	var b bytes.Buffer
	if err := plan.Write(tb.Context(), &b, repo, nil); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func commitTo(tb testing.TB, repo *gitserve.Repo, changes map[string]gitserve.File) Hash {
	tb.Helper()
	h, err := repo.Commit("main", changes)
	if err != nil {
		tb.Fatal(err)
	}
	return h
}

func text(s string) gitserve.File { return gitserve.File{Data: []byte(s)} }

func onlyPack(tb testing.TB, dir string) string {
	tb.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.pack"))
	if err != nil || len(names) != 1 {
		tb.Fatalf("packs in %s: %v, %v; want one", dir, names, err)
	}
	return names[0]
}
