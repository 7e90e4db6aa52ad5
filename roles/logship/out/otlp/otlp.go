// Package otlp sends events to OpenTelemetry collectors and what speaks their protocol, over HTTP in protocol buffers.
package otlp

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/sidecar-kit/sidecar/internal/proto"
	"github.com/sidecar-kit/sidecar/roles/logship/out"
	"github.com/sidecar-kit/sidecar/roles/logship/out/plain"
	"github.com/sidecar-kit/sidecar/roles/logship/out/web"
	"github.com/sidecar-kit/sidecar/roles/logship/record"
)

// Config says where events go.
type Config struct {
	Web      web.Config
	Path     string      // empty: /v1/logs
	Resource [][2]string // attributes of what the events are from, such as service.name
	Scope    string      // name of what made the events
}

// Sink is the output.
type Sink struct {
	web     *web.Client
	request web.Request
	front   []byte // the resource as a field of ResourceLogs
	scope   []byte // the scope as a field of ScopeLogs
	bodies  sync.Pool

	// Of Append.
	entry, value, scratch []byte
	file                  *record.File // of the last event
	names                 []byte       // its attributes
}

// New checks the configuration. It connects to nobody.
func New(o Config) (*Sink, error) {
	s := &Sink{bodies: sync.Pool{New: func() any { return new([]byte) }}}
	if o.Path == "" {
		o.Path = "/v1/logs"
	}
	s.request = web.Request{Path: o.Path, Type: "application/x-protobuf"}
	var resource []byte
	for _, a := range o.Resource {
		if a[0] == "" {
			return nil, errors.New("resource: an attribute without a name")
		}
		resource = s.attribute(resource, 1, a[0], record.Text, []byte(a[1]))
	}
	s.front = proto.Bytes(nil, 1, resource)
	s.scope = proto.Bytes(nil, 1, proto.Bytes(nil, 1, o.Scope))
	var err error
	s.web, err = web.New(o.Web)
	return s, err
}

// severity is the lowest number of each level.
func severity(l record.Level) uint64 {
	return [...]uint64{0, 1, 5, 9, 10, 13, 17, 18, 21, 24}[l]
}

// Append implements out.Sink. The body has log records as fields of ScopeLogs.
func (s *Sink) Append(b *out.Batch, r *record.Record) (int32, error) {
	e := proto.Fixed64(s.entry[:0], 1, uint64(r.Stamp())) //nolint:gosec // two's complement
	if r.Level != record.Unknown {
		e = proto.Uint(e, 2, severity(r.Level))
		e = proto.Bytes(e, 3, r.Level.String())
	}
	if r.Message != nil || len(r.Fields) == 0 {
		s.value = utf(plain.Value(s.value[:0], r.Message, r.Kind))
		e = proto.Tag(e, 5, proto.SizeBytes(len(s.value)))
		e = proto.Bytes(e, 1, s.value)
	}
	if r.File != s.file {
		s.file = r.File
		s.names = s.attribute(s.names[:0], 6, "log.file.path", record.Text, []byte(r.File.Path))
		s.names = s.attribute(s.names, 6, "log.file.name", record.Text, []byte(path.Base(r.File.Path)))
	}
	e = append(e, s.names...)
	s.scratch = r.AppendID(s.scratch[:0])
	e = s.attribute(e, 6, "log.record.uid", record.Text, s.scratch)
	for i := range r.Fields {
		f := &r.Fields[i]
		if field, size := known(f.Key); field > 0 && len(f.Value) == size {
			var id [16]byte
			if n, err := hex.Decode(id[:], f.Value); err == nil {
				e = proto.Bytes(e, field, id[:n])
				continue
			}
		}
		e = s.attribute(e, 6, f.Key, f.Kind, f.Value)
	}
	e = proto.Fixed64(e, 11, uint64(r.Read)) //nolint:gosec // two's complement
	s.entry = e
	b.Body = proto.Bytes(b.Body, 2, e)
	return 0, nil
}

// known are the keys of what has fields of its own: the number of the field, and the length of its value to the base 16.
func known(key string) (field, size int) {
	switch key {
	case "trace_id", "trace.id", "traceId", "TraceId", "traceID":
		return 9, 32
	case "span_id", "span.id", "spanId", "SpanId", "spanID":
		return 10, 16
	}
	return 0, 0
}

func utf(text []byte) []byte {
	if utf8.Valid(text) {
		return text
	}
	return plain.UTF8(nil, text)
}

// attribute appends a KeyValue. Numbers and truth values stay what they are; objects and arrays are their JSON.
func (s *Sink) attribute(dst []byte, field int, key string, kind record.Kind, value []byte) []byte {
	if !utf8.ValidString(key) {
		key = strings.ToValidUTF8(key, "\uFFFD")
	}
	var buf [16]byte
	any := buf[:0]
	switch text := string(value); {
	case kind == record.Literal && text == "null":
	case kind == record.Literal && (text == "true" || text == "false"):
		any = proto.Uint(any, 2, uint64(len("false")-len(text)))
	case kind == record.Literal:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			any = proto.Uint(any, 3, uint64(n)) //nolint:gosec // two's complement
		} else if f, err := strconv.ParseFloat(text, 64); err == nil {
			any = proto.Fixed64(any, 4, math.Float64bits(f))
		} else {
			return s.text(dst, field, key, utf(value))
		}
	case kind == record.Escaped:
		s.scratch = plain.Value(s.scratch[:0], value, kind)
		return s.text(dst, field, key, utf(s.scratch))
	default:
		return s.text(dst, field, key, utf(value))
	}
	dst = proto.Tag(dst, field, proto.SizeBytes(len(key))+proto.SizeBytes(len(any)))
	dst = proto.Bytes(dst, 1, key)
	return proto.Bytes(dst, 2, any)
}

func (s *Sink) text(dst []byte, field int, key string, value []byte) []byte {
	size := proto.SizeBytes(len(value))
	dst = proto.Tag(dst, field, proto.SizeBytes(len(key))+proto.SizeBytes(size))
	dst = proto.Bytes(dst, 1, key)
	dst = proto.Tag(dst, 2, size)
	return proto.Bytes(dst, 1, value)
}

// Send implements out.Sink.
func (s *Sink) Send(ctx context.Context, b *out.Batch) error {
	body, _ := s.bodies.Get().(*[]byte)
	defer s.bodies.Put(body)
	inner := len(s.scope) + len(b.Body)
	d := proto.Tag((*body)[:0], 1, len(s.front)+proto.SizeBytes(inner))
	d = append(d, s.front...)
	d = proto.Tag(d, 2, inner)
	d = append(d, s.scope...)
	d = append(d, b.Body...)
	*body = d
	r := s.request
	r.Body = d
	return s.web.Do(ctx, r, func(resp *http.Response) error {
		text, err := io.ReadAll(io.LimitReader(resp.Body, 256<<10))
		if err != nil {
			return err
		}
		if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/x-protobuf") {
			if err := partial(text, len(b.Items)); err != nil {
				return err
			}
		}
		for i := range b.Items {
			b.Items[i].Verdict = out.Done
		}
		return nil
	})
}

// partial reads how many events were refused. Which ones they were is not said: halving finds them. The others are sent again, which
// their uid tells; to lose them would be worse.
func partial(answer []byte, events int) error {
	rejected, reason := uint64(0), ""
	err := proto.Each(answer, func(field int, _ uint64, value []byte) error {
		if field != 1 {
			return nil
		}
		return proto.Each(value, func(field int, n uint64, value []byte) error {
			switch field {
			case 1:
				rejected = n
			case 2:
				reason = string(value[:min(len(value), 300)])
			}
			return nil
		})
	})
	switch {
	case err != nil:
		return fmt.Errorf("answer: %w", err)
	case rejected == 0 || rejected > math.MaxInt64:
		return nil
	case rejected >= uint64(events): //nolint:gosec // a length
		return out.Fail(out.Refused, "all %d events were refused: %s", events, plain.Line(nil, []byte(reason)))
	}
	return out.Fail(out.TooLarge, "%d of %d events were refused: %s", rejected, events, plain.Line(nil, []byte(reason)))
}

// Run implements out.Sink.
func (s *Sink) Run(ctx context.Context) error { return s.web.Run(ctx) }

// Close implements out.Sink.
func (s *Sink) Close() error { return s.web.Close() }

// Traffic implements out.Counted.
func (s *Sink) Traffic() *out.Traffic { return s.web.Traffic() }
