// Package stdout writes events to the standard output, where the container runtime picks them up.
package stdout

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/sidecar-kit/sidecar/roles/logship/out"
	"github.com/sidecar-kit/sidecar/roles/logship/out/plain"
	"github.com/sidecar-kit/sidecar/roles/logship/record"
)

// Sink is the output.
type Sink struct {
	to      io.Writer
	format  plain.Format
	traffic out.Traffic

	mu   sync.Mutex
	torn bool // the last write broke off within a line
}

// New makes the output.
func New(to io.Writer, format plain.Format) *Sink { return &Sink{to: to, format: format} }

// Append implements out.Sink.
func (s *Sink) Append(b *out.Batch, r *record.Record) (int32, error) {
	b.Body = s.format.Append(b.Body, r)
	return 0, nil
}

// Send implements out.Sink. What was written cannot be taken back: after an error some events are written again.
func (s *Sink) Send(_ context.Context, b *out.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.torn {
		if _, err := io.WriteString(s.to, "\n"); err != nil {
			return out.Fail(out.Retry, "write to the standard output: %w", err)
		}
		s.torn = false
	}
	n, err := s.to.Write(b.Body)
	s.traffic.Requests.Add(1)
	s.traffic.Bytes.Add(int64(n))
	if err == nil && n < len(b.Body) {
		err = io.ErrShortWrite
	}
	if err != nil {
		s.torn = n > 0 && b.Body[n-1] != '\n'
		return &out.Failure{Err: fmt.Errorf("write to the standard output: %w", err)}
	}
	for i := range b.Items {
		b.Items[i].Verdict = out.Done
	}
	return nil
}

// Run implements out.Sink.
func (s *Sink) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Close implements out.Sink.
func (s *Sink) Close() error { return nil }

// Traffic implements out.Counted.
func (s *Sink) Traffic() *out.Traffic { return &s.traffic }
