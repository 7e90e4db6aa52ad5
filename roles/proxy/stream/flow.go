package stream

import (
	"errors"
	"io"
	"os"
	"sync/atomic"
)

const (
	// bulkAfter is how many reads in a row have to fill their buffer before a
	// stream counts as bulk: splice and large buffers cost more than they gain
	// for a message or two.
	bulkAfter = 2
	// thinAfter is how many thin bursts in a row end that.
	thinAfter = 8
	// thin is a burst that a copy would have carried as cheaply.
	thin = 8 << 10
)

// flow is one direction of a relay.
type flow struct {
	relay    *relay
	src, dst *leg
	total    *atomic.Int64 // of the route
	moved    atomic.Int64  // of this flow
	ahead    []byte
	from, to End

	look     func(fd uintptr) bool // made once
	fills    int                   // full reads in a row, or thin bursts in a row once bulk
	bulk     bool
	noSplice bool // it does not work between these two

	// What one look at the source brought.
	buf    *[]byte
	n      int
	err    error
	pipe   *pipe
	pourer func(uintptr) bool // pour, made once

	// Set before run returns, read after both returned.
	abort bool // the stream broke off at its source: the receiver has to know
	lost  bool // the receiver is gone: the source has to know
}

// run carries bytes until the source ends or one side breaks.
func (f *flow) run() {
	if len(f.ahead) > 0 && !f.write(f.ahead) {
		return
	}
	f.ahead = nil
	f.look = f.lookPlain
	if !f.src.plain() {
		f.look = f.lookTLS
	}
	for f.await() {
	}
	f.release()
}

// await carries one load from the source to the receiver, and is false when the
// flow is over. A socket is waited for without any memory; of other connections
// only Read is known, which wants its buffer beforehand.
func (f *flow) await() bool {
	f.n, f.err = 0, nil
	if f.src.raw == nil {
		f.borrow()
		f.n, f.err = f.src.conn.Read(*f.buf)
	} else if err := f.src.raw.Read(f.look); err != nil {
		f.err = err
	}
	return f.deliver()
}

// deliver sends on what a look brought, and ends the flow if it brought an end.
func (f *flow) deliver() bool {
	if f.pipe != nil {
		if !f.pump() {
			return false
		}
	} else if f.n > 0 {
		size := len(*f.buf)
		if !f.write((*f.buf)[:f.n]) {
			return false
		}
		f.adapt(f.n, size)
	}
	f.release()
	if f.err != nil {
		f.sourceEnded(f.err)
		return false
	}
	return true
}

// adapt learns from a load of n bytes in room for size.
func (f *flow) adapt(n, size int) {
	switch {
	case !f.bulk && n < size:
		f.fills = 0
	case !f.bulk:
		if f.fills++; f.fills >= bulkAfter {
			f.bulk, f.fills = true, 0
		}
	case n >= thin:
		f.fills = 0
	default:
		if f.fills++; f.fills >= thinAfter {
			f.bulk, f.fills = false, 0
		}
	}
}

// borrow gets a buffer of the size that suits.
func (f *flow) borrow() {
	if f.bulk {
		f.buf = f.relay.opts.Pool.large()
		return
	}
	f.buf = f.relay.opts.Pool.small()
}

// release gives back what the flow holds.
func (f *flow) release() {
	if f.buf != nil {
		f.relay.opts.Pool.put(f.buf)
		f.buf = nil
	}
	if f.pipe != nil {
		f.relay.opts.Pool.putPipe(f.pipe)
		f.pipe = nil
	}
}

// write sends p on and counts it; false means that the flow is over.
func (f *flow) write(p []byte) bool {
	n, err := f.dst.write(p)
	f.count(n)
	if err == nil {
		return true
	}
	f.receiverLost(err)
	return false
}

func (f *flow) count(n int) {
	f.moved.Add(int64(n))
	f.total.Add(int64(n))
}

// sourceEnded passes the end of the source on.
func (f *flow) sourceEnded(err error) {
	if errors.Is(err, io.EOF) && f.src.truncated() && !f.relay.opts.LenientTLS {
		err = ErrTruncated
	}
	if errors.Is(err, io.EOF) {
		f.relay.ending(f.from, f.from, nil)
		_ = f.dst.closeWrite()
		f.relay.halfClosed()
		return
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		f.abort = f.relay.stalled()
		return // cut by the relay, which knows why
	}
	// The source is gone in both directions: nobody reads what the receiver
	// would still send.
	f.abort = true
	f.relay.cut(f.from, err)
}

// receiverLost ends the flow, but not the other one: what the receiver sent
// before it broke is still to be delivered.
func (f *flow) receiverLost(err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return
	}
	f.lost = true
	f.relay.ending(f.to, f.to, err)
	f.relay.halfClosed()
}
