package bulk

import (
	"os"
	"sync"
)

// Writer takes content that comes from elsewhere (a download, a member of an archive) into an empty file. While the next
// bytes are made, earlier ones are written. It is for one goroutine.
type Writer struct {
	s     sink
	name  string
	ring  *ring
	cur   []byte // the buffer that is filled
	n     int    // how much of it is
	work  chan []byte
	ended chan struct{}

	mu  sync.Mutex
	err error // the first one, of the writing goroutine or of Write
}

// NewWriter writes to the start of f, which has to be empty and opened for writing. sizeHint is the expected length in
// bytes, -1 if it is not known; it is no promise, and needs not be trusted. Nothing is allocated before content comes.
// Close has to be called.
func NewWriter(f *os.File, sizeHint int64) *Writer {
	w := &Writer{s: sink{fd: int(f.Fd())}, name: f.Name()}
	if sizeHint >= 2*bufSize {
		w.start()
	}
	return w
}

// Write hands p on. An error may belong to bytes of an earlier call.
func (w *Writer) Write(p []byte) (int, error) {
	done := 0
	if w.ring == nil {
		// Small content goes straight to the file. At a round offset the buffers take over.
		head := min(len(p), int(2*bufSize-w.s.off))
		if err := w.s.writeAll(p[:head]); err != nil {
			return 0, w.fail(err)
		}
		if done = head; done == len(p) {
			return done, nil
		}
		if w.start(); w.ring == nil {
			return done, w.failed()
		}
	}
	for done < len(p) {
		if w.cur == nil {
			w.cur, w.n = <-w.ring.free, 0
			if err := w.failed(); err != nil {
				return done, err
			}
		}
		n := copy(w.cur[w.n:], p[done:])
		done += n
		if w.n += n; w.n == len(w.cur) {
			w.work <- w.cur
			w.cur = nil
		}
	}
	return done, nil
}

// Close writes what is left, lets go of the buffers and returns the first error there was. The file stays open.
func (w *Writer) Close() error {
	if w.ring == nil {
		return w.failed()
	}
	if w.cur != nil {
		w.work <- w.cur[:w.n]
		w.cur = nil
	}
	close(w.work)
	<-w.ended
	if err := w.s.behind(1); err != nil {
		w.fail(err)
	}
	if err := w.ring.close(); err != nil {
		w.fail(err)
	}
	w.ring = nil
	if w.s.direct { // who reads the file next need not know how it was written
		if err := w.s.setDirect(false); err != nil {
			w.fail(err)
		}
	}
	return w.failed()
}

func (w *Writer) start() {
	r, err := newRing()
	if err != nil {
		w.fail(err)
		return
	}
	if err := w.s.behind(1); err != nil { // what went through the cache so far
		w.fail(err)
	}
	w.s.goDirect()
	w.ring, w.work, w.ended = r, make(chan []byte, buffers), make(chan struct{})
	go w.drain()
}

func (w *Writer) drain() {
	defer close(w.ended)
	for b := range w.work {
		if w.failed() == nil {
			if err := w.s.write(b); err != nil {
				w.fail(err)
			}
		}
		w.ring.free <- b[:cap(b)]
	}
}

func (w *Writer) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

func (w *Writer) fail(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = &os.PathError{Op: "write", Path: w.name, Err: err}
	}
	return w.err
}
