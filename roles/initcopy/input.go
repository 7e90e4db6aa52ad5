package initcopy

import (
	"context"
	"io"
)

// interruptible ends reading when ctx ends. A read from a pipe cannot be taken back: the goroutine that waits in it ends
// with the next byte, the end of the pipe, or the process.
func interruptible(ctx context.Context, in io.Reader) io.Reader {
	r, w := io.Pipe()
	context.AfterFunc(ctx, func() { _ = w.CloseWithError(context.Cause(ctx)) })
	go func() {
		_, err := io.CopyBuffer(struct{ io.Writer }{w}, in, make([]byte, 256<<10))
		_ = w.CloseWithError(err)
	}()
	return r
}
