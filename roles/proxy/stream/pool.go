package stream

import "sync"

const (
	smallSize  = 16 << 10  // of the first reads: a whole TLS record
	largeSize  = 128 << 10 // once a stream is known to be bulk
	recordSize = largeSize + 1<<10
)

// Pool lends memory and pipes to relays while bytes move. One is shared by a
// process; the zero value is ready to use.
type Pool struct {
	smalls, larges, held sync.Pool // of *[]byte
	tinies, fulls        sync.Pool // of *[]byte, for tls.Conn
	pipes                sync.Pool // of *pipe
	tls                  layout
}

func lend(p *sync.Pool, size int) *[]byte {
	if b, ok := p.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, size)
	return &b
}

func (p *Pool) small() *[]byte   { return lend(&p.smalls, smallSize) }
func (p *Pool) large() *[]byte   { return lend(&p.larges, largeSize) }
func (p *Pool) records() *[]byte { return lend(&p.held, recordSize) }

// put takes a buffer back; its capacity says which it is.
func (p *Pool) put(b *[]byte) {
	switch cap(*b) {
	case smallSize:
		p.smalls.Put(b)
	case largeSize:
		p.larges.Put(b)
	case recordSize:
		p.held.Put(b)
	case recordsTiny:
		p.tinies.Put(b)
	case recordsFull:
		p.fulls.Put(b)
	}
}
