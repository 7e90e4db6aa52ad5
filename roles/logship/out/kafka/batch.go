package kafka

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/sidecar-kit/sidecar/internal/gz"
	"github.com/sidecar-kit/sidecar/roles/logship/out"
	"github.com/sidecar-kit/sidecar/roles/logship/out/snappy"
	"github.com/sidecar-kit/sidecar/roles/logship/record"
)

// part is what goes to one partition.
type part struct {
	partition int
	items     []int
	seq       int
	wire      []byte // a batch of records
	sum       uint32 // of the records
}

// encoder makes batches of records (format 2). It is used by one goroutine.
type encoder struct {
	codec                   int16
	table                   *crc32.Table
	records, packed, record []byte
	id                      []byte
	s                       snappy.Encoder
}

// Codecs.
const (
	codecNone, codecGzip, codecSnappy = 0, 1, 2
)

const (
	crcAt  = 17 // where the checksum is
	seqAt  = 43 // producer, epoch and sequence
	recsAt = 61
)

// encode makes the batch of p. Producer and sequence are set later, by seal.
func (e *encoder) encode(b *out.Batch, p *part) error {
	r := e.records[:0]
	base := b.Items[p.items[0]].Stamp / 1e6
	last := base
	for i, n := range p.items {
		it := &b.Items[n]
		last = max(last, it.Stamp/1e6)
		r = e.one(r, b.Body[it.Start:it.End], it, i, it.Stamp/1e6-base)
	}
	e.records = r
	packed, err := e.pack(r)
	if err != nil {
		return err
	}
	p.sum = crc32.Checksum(r, e.table)
	w := i64(p.wire[:0], 0)
	w = i32(w, recsAt-12+len(packed))
	w = append(i32(w, -1), 2)
	w = i32(w, 0) // checksum
	w = i16(w, e.codec)
	w = i32(w, len(p.items)-1)
	w = i64(i64(w, base), last)
	w = i32(i16(i64(w, 0), 0), 0) // producer, epoch, sequence
	w = i32(w, len(p.items))
	p.wire = append(w, packed...)
	return nil
}

// seal writes who sends the batch and its number.
func (e *encoder) seal(p *part, producer int64, epoch int16) {
	w := p.wire
	binary.BigEndian.PutUint64(w[seqAt:], uint64(producer)) //nolint:gosec // two's complement
	binary.BigEndian.PutUint16(w[seqAt+8:], uint16(epoch))  //nolint:gosec // two's complement
	binary.BigEndian.PutUint32(w[seqAt+10:], uint32(p.seq)) //nolint:gosec // not negative
	binary.BigEndian.PutUint32(w[crcAt:], crc32.Checksum(w[crcAt+4:], e.table))
}

// one appends a record. The item has the length of its key plus one (0: no key), the key, and the value.
func (e *encoder) one(dst, item []byte, it *out.Item, delta int, stamp int64) []byte {
	n, w := binary.Uvarint(item)
	key := item[w:][:max(int(n)-1, 0)] //nolint:gosec // ours
	value := item[w+len(key):]
	r := append(e.record[:0], 0)
	r = binary.AppendVarint(r, stamp)
	r = binary.AppendVarint(r, int64(delta))
	r = binary.AppendVarint(r, int64(n)-1) //nolint:gosec // ours
	r = append(r, key...)
	r = binary.AppendVarint(r, int64(len(value)))
	head := len(r)
	e.id = record.AppendID(e.id[:0], it.File.Gen, it.Offset)
	r = append(r, 2, 4, 'i', 'd') // one header
	r = binary.AppendVarint(r, int64(len(e.id)))
	r = append(r, e.id...)
	e.record = r
	dst = binary.AppendVarint(dst, int64(len(r)+len(value)))
	dst = append(dst, r[:head]...)
	dst = append(dst, value...)
	return append(dst, r[head:]...)
}

func (e *encoder) pack(data []byte) ([]byte, error) {
	switch e.codec {
	case codecGzip:
		var err error
		e.packed, err = gz.Append(e.packed[:0], data)
		return e.packed, err
	case codecSnappy: // in the frames that the Java library makes
		d := append(e.packed[:0], "\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01"...)
		for len(data) > 0 {
			block := data[:min(len(data), 64<<10)]
			data = data[len(block):]
			at := len(d)
			d = e.s.Append(i32(d, 0), block)
			binary.BigEndian.PutUint32(d[at:], uint32(len(d)-at-4)) //nolint:gosec // a length
		}
		e.packed = d
		return d, nil
	}
	return data, nil
}

// murmur2 is the hash by which Java clients choose a partition for a key.
func murmur2(data []byte) int32 {
	const m = 0x5bd1e995
	h := uint32(0x9747b28c) ^ uint32(len(data)) //nolint:gosec // a length
	for len(data) >= 4 {
		k := binary.LittleEndian.Uint32(data) * m
		k = (k ^ k>>24) * m
		h = h*m ^ k
		data = data[4:]
	}
	for i := len(data) - 1; i >= 0; i-- {
		h ^= uint32(data[i]) << (8 * i)
	}
	if len(data) > 0 {
		h *= m
	}
	h = (h ^ h>>13) * m
	return int32((h ^ h>>15) & 0x7fffffff) //nolint:gosec // 31 bits
}
