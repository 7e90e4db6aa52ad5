package store

import (
	"bufio"
	"compress/zlib"
	"crypto/sha1" //nolint:gosec // the pack format's own checksum
	"encoding/binary"
	"hash"
	"hash/crc32"
	"io"
	"os"

	"github.com/go-git/go-git/v5/plumbing"
)

// tee reads a pack ahead of its parser: it writes the bytes to a file, sums them up and hands them on.
type tee struct {
	r     io.Reader
	f     io.Writer
	limit int64

	full, empty chan []byte
	end         chan struct{}
	stopped     chan struct{}
	err         error // why reading ended; io.EOF at the end of the stream. Valid when full is closed.
	cur, chunk  []byte
	total       int64
	sum         hash.Hash
	tail        []byte // the last 20 bytes, which the checksum does not cover
}

const (
	teeChunk  = 64 << 10
	teeChunks = 6
)

func newTee(r io.Reader, f io.Writer, limit int64) *tee {
	t := &tee{
		r: r, f: f, limit: limit,
		full: make(chan []byte, teeChunks), empty: make(chan []byte, teeChunks),
		end: make(chan struct{}), stopped: make(chan struct{}),
		sum: sha1.New(), //nolint:gosec // see above
	}
	for range teeChunks {
		t.empty <- make([]byte, teeChunk)
	}
	go t.run()
	return t
}

// run fills chunks until the stream ends, breaks or stop is called.
func (t *tee) run() {
	defer close(t.stopped)
	defer close(t.full)
	for {
		var buf []byte
		select {
		case buf = <-t.empty:
		case <-t.end:
			return
		}
		n, err := io.ReadAtLeast(t.r, buf, teeChunk/4)
		if n > 0 {
			if werr := t.take(buf[:n]); werr != nil {
				t.err = werr
				return
			}
			t.full <- buf[:n] // there is room for every chunk
		}
		if err == io.ErrUnexpectedEOF || err == io.EOF { //nolint:errorlint // ReadAtLeast's own
			err = io.EOF
		}
		if err != nil {
			t.err = err
			return
		}
	}
}

func (t *tee) take(b []byte) error {
	if t.total += int64(len(b)); t.limit > 0 && t.total > t.limit {
		return corruptf("pack of more than %d bytes is over the limit", t.limit)
	}
	if _, err := t.f.Write(b); err != nil {
		return err
	}
	if len(b) >= hashLen {
		t.sum.Write(t.tail)
		t.sum.Write(b[:len(b)-hashLen])
		t.tail = append(t.tail[:0], b[len(b)-hashLen:]...)
		return nil
	}
	t.tail = append(t.tail, b...)
	if over := len(t.tail) - hashLen; over > 0 {
		t.sum.Write(t.tail[:over])
		t.tail = append(t.tail[:0], t.tail[over:]...)
	}
	return nil
}

func (t *tee) Read(p []byte) (int, error) {
	for len(t.cur) == 0 {
		if t.chunk != nil {
			t.empty <- t.chunk[:teeChunk]
			t.chunk = nil
		}
		b, ok := <-t.full
		if !ok {
			return 0, t.err
		}
		t.cur, t.chunk = b, b
	}
	n := copy(p, t.cur)
	t.cur = t.cur[n:]
	return n, nil
}

// finish reads to the end of the stream, where nothing may be left, and compares the checksum.
func (t *tee) finish() error {
	var more [1]byte
	n, err := t.Read(more[:])
	if n > 0 {
		return corruptf("pack is followed by other bytes")
	}
	if err != io.EOF { //nolint:errorlint // set by run
		return err
	}
	if string(t.sum.Sum(nil)) != string(t.tail) {
		return corruptf("pack has the wrong checksum")
	}
	return nil
}

// stop ends the reading goroutine. The stream has to be closed already if it may block.
func (t *tee) stop() {
	close(t.end)
	<-t.stopped
}

// complete appends the bases that a thin pack stands upon, and corrects the number of objects in its header. The
// checksum is left to seal.
func (s *Store) complete(f *os.File, bases map[Hash]bool, n int) ([]entry, error) {
	off, err := f.Seek(-hashLen, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	out := bufio.NewWriterSize(f, 32<<10)
	count := &counter{w: out, n: off}
	z, err := zlib.NewWriterLevel(count, zlib.BestSpeed)
	if err != nil {
		return nil, err
	}
	var added []entry
	for h := range bases {
		typ, data, err := s.Get(h)
		if err != nil {
			return nil, err
		}
		added = append(added, entry{off: count.n, hash: h})
		if err := writeRecord(count, z, typ, data); err != nil {
			return nil, err
		}
	}
	if _, err := out.Write(make([]byte, hashLen)); err != nil {
		return nil, err
	}
	if err := out.Flush(); err != nil {
		return nil, err
	}
	return added, setCount(f, n+len(added))
}

func setCount(f *os.File, n int) error {
	_, err := f.WriteAt(binary.BigEndian.AppendUint32(nil, uint32(n)), 8)
	return err
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// writeRecord writes one whole object as packs hold it.
func writeRecord(w io.Writer, z *zlib.Writer, typ plumbing.ObjectType, data []byte) error {
	if _, err := w.Write(head(typ, len(data))); err != nil {
		return err
	}
	z.Reset(w)
	if _, err := z.Write(data); err != nil {
		return err
	}
	return z.Close()
}

// head is the first bytes of a record.
func head(typ plumbing.ObjectType, size int) []byte {
	c := byte(typ)<<4 | byte(size&15)
	var b []byte
	for size >>= 4; size > 0; size >>= 7 {
		b = append(b, c|0x80)
		c = byte(size & 0x7f)
	}
	return append(b, c)
}

// seal reads a pack once more, fills in the entries' checksums, and writes its trailer. entries are in the order of
// their offsets.
func seal(f *os.File, entries []entry) (Hash, error) {
	var sum Hash
	fi, err := f.Stat()
	if err != nil {
		return sum, err
	}
	whole := sha1.New() //nolint:gosec // see above
	crc := crc32.NewIEEE()
	r := io.TeeReader(io.NewSectionReader(f, 0, fi.Size()-hashLen), whole)
	buf := make([]byte, 64<<10)
	if _, err := io.ReadFull(r, buf[:packHeaderLen]); err != nil {
		return sum, err
	}
	for i := range entries {
		end := fi.Size() - hashLen
		if i+1 < len(entries) {
			end = entries[i+1].off
		}
		crc.Reset()
		if _, err := io.CopyBuffer(crc, io.LimitReader(r, end-entries[i].off), buf); err != nil {
			return sum, err
		}
		entries[i].crc = crc.Sum32()
	}
	copy(sum[:], whole.Sum(nil))
	_, err = f.WriteAt(sum[:], fi.Size()-hashLen)
	return sum, err
}
