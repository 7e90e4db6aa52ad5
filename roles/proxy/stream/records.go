package stream

import (
	"bytes"
	"crypto/tls"
	"reflect"
	"sync"
	"unsafe"
)

// Sizes of the memory that tls.Conn reads records into.
const (
	recordsTiny = 4 << 10  // a request or a query
	recordsFull = 40 << 10 // records of full size, without growing: twice one of them, and some room
)

// layout is where tls.Conn keeps what it has read.
//
// tls.Conn never gives that memory back: about 4 KB after the handshake, up to
// 34 KB after one record of full size, for as long as the connection is open
// (golang/go#81348). Most connections of a proxy are idle, and this is most of
// what they cost. There is no API for it; docs/decisions/0180 has the figures
// and the ways in which it is kept safe.
type layout struct {
	once             sync.Once
	known            bool
	raw, input, hand uintptr
}

// find looks for the fields by name and type. In a Go that has changed them
// nothing is lent and nothing reclaimed.
func (l *layout) find() bool {
	l.once.Do(func() {
		conn := reflect.TypeFor[tls.Conn]()
		raw, ok1 := conn.FieldByName("rawInput")
		input, ok2 := conn.FieldByName("input")
		hand, ok3 := conn.FieldByName("hand")
		l.known = ok1 && ok2 && ok3 &&
			raw.Type == reflect.TypeFor[bytes.Buffer]() &&
			input.Type == reflect.TypeFor[bytes.Reader]() &&
			hand.Type == reflect.TypeFor[bytes.Buffer]()
		l.raw, l.input, l.hand = raw.Offset, input.Offset, hand.Offset
	})
	return l.known
}

func (l *layout) of(t *tls.Conn) (raw *bytes.Buffer, input *bytes.Reader, hand *bytes.Buffer) {
	at := unsafe.Pointer(t)
	return (*bytes.Buffer)(unsafe.Add(at, l.raw)), (*bytes.Reader)(unsafe.Add(at, l.input)), (*bytes.Buffer)(unsafe.Add(at, l.hand))
}

// Lend gives t, which is above c, memory for the records that it is going to
// read, if it has none. size is how large they are expected to be; larger ones
// come in all the same. Lend and Reclaim are for the goroutine that reads t,
// once the handshake is done and while no Read is under way.
func (c *Conn) Lend(t *tls.Conn, size int) {
	if !c.pool.tls.find() {
		return
	}
	raw, _, _ := c.pool.tls.of(t)
	if raw.Cap() > 0 {
		return
	}
	c.lent = c.pool.forRecords(size)
	*raw = *bytes.NewBuffer((*c.lent)[:0])
}

// Reclaim takes back the memory that t read records into, when nothing is left
// in it, and frees what the handshake left. The result is how large that memory
// had become: more than was lent when records were larger than expected.
func (c *Conn) Reclaim(t *tls.Conn) int {
	if !c.pool.tls.find() {
		return 0
	}
	raw, input, hand := c.pool.tls.of(t)
	if hand.Len() == 0 && hand.Cap() > 0 {
		*hand = bytes.Buffer{}
	}
	size := raw.Cap()
	if size == 0 || raw.Len() > 0 || input.Len() > 0 {
		return size // input reads from the memory of raw
	}
	input.Reset(nil)
	*raw = bytes.Buffer{}
	if c.lent != nil { // if raw has grown out of it, it is free, too
		c.pool.put(c.lent)
		c.lent = nil
	}
	return size
}

func (p *Pool) forRecords(size int) *[]byte {
	switch {
	case size > recordsFull:
		return p.records()
	case size > recordsTiny:
		return lend(&p.fulls, recordsFull)
	default:
		return lend(&p.tinies, recordsTiny)
	}
}
