package push

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"time"
)

// stream reads lines until the connection ends, or ctx: what is in the buffer by then is still read. A line that is too long ends it.
func (t *Table) stream(ctx context.Context, conn net.Conn) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)) })
	defer stop()
	defer conn.Close()
	defer t.count1(func(s *Stats) { s.Open-- })
	buffer := make([]byte, min(4<<10, t.opts.Line))
	have := 0
	for {
		n, err := conn.Read(buffer[have:])
		have += n
		whole := bytes.LastIndexByte(buffer[:have], '\n') + 1
		if err != nil {
			whole = have
		}
		t.piece(buffer[:whole])
		have = copy(buffer, buffer[whole:have])
		switch {
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			if ctx.Err() == nil {
				t.count1(func(s *Stats) { s.ConnectionErrors++ })
			}
			return
		case have == t.opts.Line:
			t.count1(func(s *Stats) { s.LongLines++ })
			return
		case have == len(buffer) || n == len(buffer):
			buffer = append(buffer, make([]byte, min(len(buffer), t.opts.Line-len(buffer)))...)
		}
	}
}

func (t *Table) piece(body []byte) {
	if len(body) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stats.Bytes += uint64(len(body))
	t.chunk(body, time.Now().UnixNano())
}
