package h2

import (
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/sidecar-kit/sidecar/roles/proxy/web"
)

// replayable is how much of a body is kept until the answer begins, so that the request can be sent again when the backend did not take it.
const replayable = 16 << 10

// feed is a request's body, over all attempts to send it.
type feed struct {
	src     web.Source
	left    int64       // bytes that were declared and not read yet; -1: unknown
	trailer http.Header // announced ones, filled in at the end

	mu      sync.Mutex
	idle    sync.Cond
	reader  *body // who is in src.Read
	keeping bool
	kept    []byte
	end     error // of src: what it ended with
	closed  bool
}

func newFeed(src web.Source, length int64, trailer http.Header) *feed {
	f := &feed{src: src, left: length, trailer: trailer, keeping: true}
	f.idle.L = &f.mu
	return f
}

// body is the feed for one attempt. The transport reads it on a goroutine of its own.
type body struct {
	*feed
	at   int // in kept
	over bool
}

func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.over || b.closed:
		return 0, io.ErrClosedPipe
	case b.at < len(b.kept):
		n := copy(p, b.kept[b.at:])
		b.at += n
		return n, nil
	case b.end != nil:
		return 0, b.end
	case b.left == 0:
		return 0, io.EOF
	case b.reader != nil || len(p) == 0:
		return 0, nil
	}
	b.reader = b
	b.mu.Unlock()
	n, err := b.src.Read(p)
	b.mu.Lock()
	b.reader = nil
	b.idle.Broadcast()
	if b.keep(p[:n]); b.left > 0 {
		// Of a known length the end is known as well; to ask for it would be to wait for the client.
		if b.left -= int64(n); b.left == 0 && err == nil {
			err = io.EOF
		}
	}
	if err != nil {
		b.ended(err)
	}
	return n, err
}

// keep remembers what was read, as long as that is little.
func (b *body) keep(p []byte) {
	switch {
	case !b.keeping:
	case len(b.kept)+len(p) > replayable:
		b.keeping, b.kept, b.at = false, nil, 0
	default:
		b.kept = append(b.kept, p...)
		b.at = len(b.kept)
	}
}

func (f *feed) ended(err error) {
	f.end = err
	if err != io.EOF || len(f.trailer) == 0 {
		return
	}
	for _, t := range f.src.Trailers() {
		name := http.CanonicalHeaderKey(string(t.Name))
		if _, ok := f.trailer[name]; ok {
			f.trailer[name] = append(f.trailer[name], string(t.Value))
		}
	}
}

// patience is how long a transport that gave up waits for the client's next piece, so that the request can be sent again with it.
const patience = 100 * time.Millisecond

// Close is called by the transport, which may be waiting in Read.
func (b *body) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
	if b.reader != b || b.closed {
		return nil
	}
	if !b.keeping {
		return b.cut()
	}
	time.AfterFunc(patience, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.reader == b && !b.closed {
			_ = b.cut()
		}
	})
	return nil
}

// cut ends the body for good.
func (f *feed) cut() error {
	f.closed = true
	return f.src.Close()
}

// answered lets go of what was kept: from now on the request is not sent again.
func (f *feed) answered() {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keeping = false
}

// again reports whether the whole body can be sent once more.
func (f *feed) again() bool {
	if f == nil {
		return true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.keeping && f.reader == nil && !f.closed
}

// stop returns when nobody reads any more.
func (f *feed) stop() {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed && f.end == nil {
		_ = f.cut()
	}
	for f.reader != nil {
		f.idle.Wait()
	}
}
