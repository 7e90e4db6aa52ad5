package kafka

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/snappy"
)

// broker is a cluster of one that checks what it is sent and stores it.
type broker struct {
	net.Listener
	t          *testing.T
	partitions int
	password   string            // of u, by PLAIN; empty: no login
	fault      func(n int) int16 // error of the nth produce request; -1: stored, and the connection is cut
	maxBytes   int

	work     sync.WaitGroup
	mu       sync.Mutex
	conns    []net.Conn
	produced int
	ids      int64
	next     map[string]int // sequence by producer and partition
	last     map[string]int
	stored   map[string]int // by id in the header
	values   map[string]string
	where    map[string]int // partition by id
}

func start(t *testing.T, b *broker) *broker {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.Listener, b.t = l, t
	b.next, b.last, b.stored, b.values, b.where = map[string]int{}, map[string]int{}, map[string]int{}, map[string]string{}, map[string]int{}
	b.work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b.mu.Lock()
			b.conns = append(b.conns, c)
			b.mu.Unlock()
			b.work.Go(func() { defer c.Close(); b.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		b.mu.Lock()
		for _, c := range b.conns {
			_ = c.Close()
		}
		b.mu.Unlock()
		b.work.Wait()
	})
	return b
}

func (b *broker) serve(c net.Conn) {
	in := b.password == ""
	for {
		var head [4]byte
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(head[:]))
		if _, err := io.ReadFull(c, body); err != nil {
			return
		}
		r := &answer{rest: body}
		api, version, id := r.i16(), r.i16(), r.i32()
		_ = r.str()
		if !in && api != apiHandshake && api != apiAuthenticate {
			b.t.Errorf("request %d before the login", api)
			return
		}
		var reply []byte
		switch fmt.Sprint(api, version) {
		case "17 1":
			reply = str(i32(i16(nil, 0), 1), "PLAIN")
			if m := r.str(); m != "PLAIN" {
				reply = str(i32(i16(nil, 33), 1), "PLAIN")
			}
		case "36 0":
			in = string(r.bytes()) == "\x00u\x00"+b.password
			reply = i32(i16(i16(nil, 0), -1), 0)
			if !in {
				reply = i32(str(i16(nil, 58), "no"), 0)
			}
		case "3 5":
			reply = b.metadata(r)
		case "22 1":
			r.take(6) // no transaction, and a time limit
			b.mu.Lock()
			b.ids++
			reply = i16(i64(i16(i32(nil, 0), 0), b.ids), 0)
			b.mu.Unlock()
		case "0 7":
			if reply = b.produce(r); reply == nil {
				return
			}
		default:
			b.t.Errorf("request %d in version %d", api, version)
			return
		}
		if r.err != nil || len(r.rest) > 0 {
			b.t.Errorf("request %d: %v, %d bytes are left", api, r.err, len(r.rest))
		}
		_, _ = c.Write(append(i32(i32(nil, len(reply)+4), id), reply...))
	}
}

func (b *broker) metadata(r *answer) []byte {
	topic := ""
	r.each(func() { topic = r.str() })
	r.take(1)
	host, port, _ := net.SplitHostPort(b.Addr().String())
	n, _ := strconv.Atoi(port)
	d := i32(str(i32(i32(i32(nil, 0), 1), 7), host), n)
	d = i32(i16(i16(d, -1), -1), 7) // rack, cluster, controller
	d = append(str(i16(i32(d, 1), 0), topic), 0)
	d = i32(d, b.partitions)
	for p := range b.partitions {
		d = i32(i32(i16(d, 0), p), 7)
		d = i32(i32(i32(i32(i32(d, 1), 7), 1), 7), 0)
	}
	return d
}

func (b *broker) produce(r *answer) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.produced
	b.produced++
	fault := int16(0)
	if b.fault != nil {
		fault = b.fault(n)
	}
	transaction, acks, patience := r.i16(), r.i16(), r.i32()
	if transaction != -1 || acks != -1 || patience < 1 {
		b.t.Errorf("transaction %d, acks %d, timeout %d; want none, all and some", transaction, acks, patience)
	}
	d := i32(nil, 1)
	r.each(func() {
		d = str(d, r.str())
		var parts []byte
		count := 0
		r.each(func() {
			p, data := r.i32(), r.bytes()
			code := fault
			if code <= 0 {
				code = b.store(p, data)
			}
			parts = i64(i64(i64(i16(i32(parts, p), code), 0), -1), 0)
			count++
		})
		d = append(i32(d, count), parts...)
	})
	if fault < 0 {
		return nil
	}
	return i32(d, 0)
}

func (b *broker) store(p int, data []byte) int16 {
	if b.maxBytes > 0 && len(data) > b.maxBytes {
		return 10
	}
	r := &answer{rest: data}
	offset, size, _, magic := r.i64(), r.i32(), r.i32(), r.take(1)
	sum := uint32(r.i32())
	if offset != 0 || size != len(data)-12 || magic[0] != 2 || sum != crc32.Checksum(r.rest, crc32.MakeTable(crc32.Castagnoli)) {
		b.t.Errorf("batch of %d bytes: offset %d, size %d, magic %v, or a wrong checksum", len(data), offset, size, magic)
		return 2
	}
	codec, lastDelta, base, latest := r.i16(), r.i32(), r.i64(), r.i64()
	producer, epoch, seq, count := r.i64(), r.i16(), r.i32(), r.i32()
	key := fmt.Sprint(producer, p)
	switch last, ok := b.last[key]; {
	case ok && seq == last && seq+count == b.next[key]:
		return 46
	case seq != b.next[key] || epoch != 0:
		return 45
	}
	b.last[key], b.next[key] = seq, seq+count
	records := unpack(b.t, codec, r.rest)
	n := 0
	for ; len(records) > 0; n++ {
		records = b.record(p, records, n, base, latest)
	}
	if n != count || lastDelta != count-1 {
		b.t.Errorf("%d records; want %d, %d", n, count, lastDelta+1)
	}
	return 0
}

func unpack(t *testing.T, codec int16, data []byte) []byte {
	switch codec {
	case codecGzip:
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			t.Error(err)
			return nil
		}
		data, _ = io.ReadAll(z)
	case codecSnappy:
		rest, ok := bytes.CutPrefix(data, []byte("\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01"))
		data = nil
		for r := (&answer{rest: rest}); ok && len(r.rest) > 0; {
			block, err := snappy.Decode(nil, r.bytes())
			if err != nil || r.err != nil {
				t.Error(err, r.err)
				return nil
			}
			data = append(data, block...)
		}
	}
	return data
}

func (b *broker) record(p int, data []byte, n int, base, latest int64) []byte {
	num := func() int {
		v, w := binary.Varint(data)
		data = data[w:]
		return int(v)
	}
	text := func() string {
		size := num()
		if size < 0 {
			return "-"
		}
		s := string(data[:size])
		data = data[size:]
		return s
	}
	size := num()
	rest := data[size:]
	data = data[1:size]
	stamp, delta, key, value, headers := num(), num(), text(), text(), num()
	name, id := text(), text()
	if delta != n || headers != 1 || name != "id" || len(data) != 0 || base+int64(stamp) > latest {
		b.t.Errorf("record %d: offset %d, %d headers, %s, %d bytes left, time %d of %d", n, delta, headers, name, len(data), stamp, latest-base)
	}
	b.stored[id]++
	b.values[id] = strings.Join([]string{key, value}, " ")
	b.where[id] = p
	return rest
}
