// Package post sends events to any web server, as lines of JSON, as a JSON array, or as text.
package post

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/sidecar-kit/sidecar/roles/logship/out"
	"github.com/sidecar-kit/sidecar/roles/logship/out/plain"
	"github.com/sidecar-kit/sidecar/roles/logship/out/web"
	"github.com/sidecar-kit/sidecar/roles/logship/record"
)

// Config says where events go.
type Config struct {
	Web    web.Config
	Method string // empty: POST
	Array  bool   // [{…},{…}] instead of a document in each line; needs plain.JSON
	Format plain.Format
	Type   string // Content-Type; empty: what the format is
}

// Sink is the output.
type Sink struct {
	o       Config
	web     *web.Client
	request web.Request
	bodies  sync.Pool // of arrays
}

// New checks the configuration. It connects to nobody.
func New(o Config) (*Sink, error) {
	switch o.Method {
	case "", http.MethodPost, http.MethodPut, http.MethodPatch:
	default:
		return nil, fmt.Errorf("method %s cannot have a body\nhint: POST, PUT or PATCH", o.Method)
	}
	if o.Type == "" {
		o.Type = "application/x-ndjson"
		if o.Array {
			o.Type = "application/json"
		} else if o.Format != plain.JSON {
			o.Type = "text/plain; charset=utf-8"
		}
	}
	s := &Sink{o: o, request: web.Request{Method: o.Method, Type: o.Type}, bodies: sync.Pool{New: func() any { return new([]byte) }}}
	var err error
	s.web, err = web.New(o.Web)
	return s, err
}

// Append implements out.Sink.
func (s *Sink) Append(b *out.Batch, r *record.Record) (int32, error) {
	b.Body = s.o.Format.Append(b.Body, r)
	return 0, nil
}

// Send implements out.Sink. The header Idempotency-Key has the id of the batch.
func (s *Sink) Send(ctx context.Context, b *out.Batch) error {
	r := s.request
	r.Body = b.Body
	r.Header = [][2]string{{"Idempotency-Key", b.ID}}
	if s.o.Array {
		body, _ := s.bodies.Get().(*[]byte)
		defer s.bodies.Put(body)
		*body = array((*body)[:0], b)
		r.Body = *body
	}
	return s.web.Do(ctx, r, func(resp *http.Response) error {
		_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
		for i := range b.Items {
			b.Items[i].Verdict = out.Done
		}
		return nil
	})
}

func array(dst []byte, b *out.Batch) []byte {
	dst = append(dst, '[')
	for i := range b.Items {
		if i > 0 {
			dst = append(dst, ',', '\n')
		}
		dst = append(dst, bytes.TrimSuffix(b.Body[b.Items[i].Start:b.Items[i].End], []byte("\n"))...)
	}
	return append(dst, ']')
}

// Run implements out.Sink.
func (s *Sink) Run(ctx context.Context) error { return s.web.Run(ctx) }

// Close implements out.Sink.
func (s *Sink) Close() error { return s.web.Close() }

// Traffic implements out.Counted.
func (s *Sink) Traffic() *out.Traffic { return s.web.Traffic() }
