// Package loki pushes events to Grafana Loki and what speaks its protocol. Loki keeps one of several entries that are equal in stream,
// time and text: events that are sent twice are stored once, and those that are two get two times.
package loki

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/sidecar-kit/sidecar/internal/proto"
	"github.com/sidecar-kit/sidecar/roles/logship/out"
	"github.com/sidecar-kit/sidecar/roles/logship/out/pattern"
	"github.com/sidecar-kit/sidecar/roles/logship/out/plain"
	"github.com/sidecar-kit/sidecar/roles/logship/out/snappy"
	"github.com/sidecar-kit/sidecar/roles/logship/out/web"
	"github.com/sidecar-kit/sidecar/roles/logship/record"
)

// Config says where events go.
type Config struct {
	Web      web.Config
	Labels   [][2]string // name and pattern; none: input and filename
	Metadata [][2]string // structured metadata of each entry: name and pattern
	Tenant   string
	Document bool // the line is the document, not the message
}

// Sink is the output.
type Sink struct {
	web      *web.Client
	request  web.Request
	labels   []label
	metadata []label
	document bool
	bodies   sync.Pool

	// Of Append.
	streams      map[string]int32
	last         []byte // labels of the last event
	group        int32
	value, entry []byte
}

type label struct {
	name  string
	value *pattern.Pattern
}

// New checks the configuration. It connects to nobody.
func New(o Config) (*Sink, error) {
	if len(o.Labels) == 0 {
		o.Labels = [][2]string{{"input", "%{input}"}, {"filename", "%{path}"}}
	}
	s := &Sink{document: o.Document, streams: map[string]int32{}, bodies: sync.Pool{New: func() any { return &packer{} }}}
	var errs [3]error
	s.labels, errs[0] = parse(o.Labels)
	s.metadata, errs[1] = parse(o.Metadata)
	s.request = web.Request{Path: "/loki/api/v1/push", Type: "application/x-protobuf", Raw: true}
	if o.Tenant != "" {
		o.Web.Header = append(o.Web.Header[:len(o.Web.Header):len(o.Web.Header)], [2]string{"X-Scope-OrgID", o.Tenant})
	}
	s.web, errs[2] = web.New(o.Web)
	return s, errors.Join(errs[:]...)
}

func parse(pairs [][2]string) ([]label, error) {
	var all []label
	for _, p := range pairs {
		if p[0] == "" || strings.Trim(p[0], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" || p[0][0] <= '9' {
			return nil, fmt.Errorf("label %q: want letters, digits and _, and no digit in front", p[0])
		}
		v, err := pattern.Parse(p[1], nil)
		if err != nil {
			return nil, fmt.Errorf("label %s: %w", p[0], err)
		}
		at := 0
		for at < len(all) && all[at].name < p[0] {
			at++
		}
		if at < len(all) && all[at].name == p[0] {
			return nil, fmt.Errorf("label %s is given twice", p[0])
		}
		all = slices.Insert(all, at, label{p[0], v})
	}
	return all, nil
}

// Append implements out.Sink. The body has entries as they are in a stream; Group is the stream.
func (s *Sink) Append(b *out.Batch, r *record.Record) (int32, error) {
	s.value = s.value[:0]
	if s.document {
		s.value = record.AppendJSON(s.value, r)
	} else {
		s.value = plain.Message(s.value, r)
	}
	e := s.entry[:0]
	e = stamp(e, unique(r))
	e = proto.Bytes(e, 2, utf(s.value))
	for _, m := range s.metadata {
		s.value = utf(m.value.Append(s.value[:0], r))
		pair := proto.SizeBytes(len(m.name)) + proto.SizeBytes(len(s.value))
		e = proto.Tag(e, 3, pair)
		e = proto.Bytes(e, 1, m.name)
		e = proto.Bytes(e, 2, s.value)
	}
	s.entry = e
	b.Body = proto.Bytes(b.Body, 2, e)
	return s.stream(b, r), nil
}

// utf makes a text UTF-8, which the format demands.
func utf(text []byte) []byte {
	if utf8.Valid(text) {
		return text
	}
	return plain.UTF8(nil, text)
}

func stamp(dst []byte, ns int64) []byte {
	sec, nano := ns/1e9, ns%1e9
	if nano < 0 {
		sec, nano = sec-1, nano+1e9
	}
	size := 1 + proto.SizeUint(uint64(sec)) + 1 + proto.SizeUint(uint64(nano)) //nolint:gosec // two's complement is what the format has
	dst = proto.Tag(dst, 1, size)
	dst = proto.Uint(dst, 1, uint64(sec))   //nolint:gosec // as above
	return proto.Uint(dst, 2, uint64(nano)) //nolint:gosec // not negative
}

// unique is the time of the event, and below what its clock can tell, its place in the file: two equal lines of one millisecond are two.
func unique(r *record.Record) int64 {
	ns := r.Stamp()
	switch {
	case r.Time == 0 || ns%1e6 == 0:
		return ns - ns%1e6 + r.Offset%1e6
	case ns%1e3 == 0:
		return ns + r.Offset%1e3
	}
	return ns
}

// stream is the number of the event's stream in the batch.
func (s *Sink) stream(b *out.Batch, r *record.Record) int32 {
	l := append(s.value[:0], '{')
	for i, one := range s.labels {
		if i > 0 {
			l = append(l, ", "...)
		}
		l = append(append(l, one.name...), '=', '"')
		at := len(l)
		l = one.value.Append(l, r)
		if simple(l[at:]) {
			l = append(l, '"')
		} else {
			l = append(l[:at-1], strconv.Quote(string(plain.UTF8(nil, l[at:])))...)
		}
	}
	l = append(l, '}')
	s.value = l
	if len(b.Groups) == 0 {
		clear(s.streams)
		s.last = s.last[:0]
	}
	if bytes.Equal(l, s.last) {
		return s.group
	}
	group, ok := s.streams[string(l)]
	if !ok {
		group = int32(len(b.Groups)) //nolint:gosec // no more than events
		name := string(l)
		s.streams[name] = group
		b.Groups = append(b.Groups, name)
	}
	s.last, s.group = append(s.last[:0], l...), group
	return group
}

func simple(text []byte) bool {
	for _, c := range text {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

type packer struct {
	raw, packed []byte
	order       []int32 // of items, by group
	begin       []int32 // of groups in order
	z           snappy.Encoder
}

// Send implements out.Sink.
func (s *Sink) Send(ctx context.Context, b *out.Batch) error {
	p, _ := s.bodies.Get().(*packer)
	defer s.bodies.Put(p)
	p.build(b)
	r := s.request
	r.Body = p.packed
	return s.web.Do(ctx, r, func(resp *http.Response) error {
		_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
		for i := range b.Items {
			b.Items[i].Verdict = out.Done
		}
		return nil
	})
}

// sort orders the items by their groups; those of one group stay in their order.
func (p *packer) sort(b *out.Batch) {
	p.begin = append(p.begin[:0], make([]int32, len(b.Groups)+1)...)
	for i := range b.Items {
		p.begin[b.Items[i].Group+1]++
	}
	for g := range b.Groups {
		p.begin[g+1] += p.begin[g]
	}
	p.order = append(p.order[:0], make([]int32, len(b.Items))...)
	for i := range b.Items {
		at := &p.begin[b.Items[i].Group]
		p.order[*at] = int32(i) //nolint:gosec // no more than events
		*at++
	}
}

// build makes the request of a batch: its events by stream, and in their order.
func (p *packer) build(b *out.Batch) {
	p.sort(b)
	p.raw = p.raw[:0]
	for i := 0; i < len(p.order); {
		group := b.Items[p.order[i]].Group
		name, _ := b.Groups[group].(string)
		end, size := i, proto.SizeBytes(len(name))
		for end < len(p.order) && b.Items[p.order[end]].Group == group {
			it := &b.Items[p.order[end]]
			size += int(it.End - it.Start)
			end++
		}
		p.raw = proto.Tag(p.raw, 1, size)
		p.raw = proto.Bytes(p.raw, 1, name)
		for ; i < end; i++ {
			it := &b.Items[p.order[i]]
			p.raw = append(p.raw, b.Body[it.Start:it.End]...)
		}
	}
	p.packed = p.z.Append(p.packed[:0], p.raw)
}

// Run implements out.Sink.
func (s *Sink) Run(ctx context.Context) error { return s.web.Run(ctx) }

// Close implements out.Sink.
func (s *Sink) Close() error { return s.web.Close() }

// Traffic implements out.Counted.
func (s *Sink) Traffic() *out.Traffic { return s.web.Traffic() }
