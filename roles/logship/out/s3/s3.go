// Package s3 writes batches of events as objects to S3 and what speaks its protocol. The name of an object is made of its content's
// place in the files, so that a batch that is sent twice is one object.
package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/sidecar-kit/sidecar/internal/gz"
	"github.com/sidecar-kit/sidecar/roles/logship/out"
	"github.com/sidecar-kit/sidecar/roles/logship/out/link"
	"github.com/sidecar-kit/sidecar/roles/logship/out/pattern"
	"github.com/sidecar-kit/sidecar/roles/logship/out/plain"
	"github.com/sidecar-kit/sidecar/roles/logship/out/web"
	"github.com/sidecar-kit/sidecar/roles/logship/record"
)

// Config says where objects go.
type Config struct {
	Web      web.Config // Targets is empty: it is made of the following
	Endpoint *url.URL   // nil: Amazon's of the region, by the name of the bucket
	Region   string     // empty: us-east-1
	Bucket   string
	Key      string // pattern; the id of the batch and a suffix are added
	ID       *link.Secret
	Secret   *link.Secret
	Token    *link.Secret // of a session
	Gzip     bool
	Format   plain.Format
	Class    string // storage class
}

// Sink is the output.
type Sink struct {
	o      Config
	web    *web.Client
	prefix string // path in front of every key
	key    *pattern.Pattern
	bodies sync.Pool

	// Of Append.
	keys  map[string]int32
	value []byte
}

// New checks the configuration. It connects to nobody.
func New(o Config) (*Sink, error) {
	if o.Bucket == "" || strings.Trim(o.Bucket, "abcdefghijklmnopqrstuvwxyz0123456789.-_ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return nil, fmt.Errorf("bucket %q is no name\nhint: s3://BUCKET/PREFIX", o.Bucket)
	}
	if !o.ID.Set() || !o.Secret.Set() {
		return nil, errors.New("no access key\nhint: access-key-env=AWS_ACCESS_KEY_ID and secret-key-env=AWS_SECRET_ACCESS_KEY, or ...-file")
	}
	if o.Region == "" {
		o.Region = "us-east-1"
	}
	s := &Sink{keys: map[string]int32{}, bodies: sync.Pool{New: func() any { return &object{} }}}
	switch {
	case o.Endpoint != nil:
		s.prefix = strings.TrimSuffix(o.Endpoint.Path, "/") + "/" + o.Bucket + "/"
	case strings.Contains(o.Bucket, "."): // no certificate is for a.b.s3.…
		o.Endpoint = &url.URL{Scheme: "https", Host: "s3." + o.Region + ".amazonaws.com"}
		s.prefix = "/" + o.Bucket + "/"
	default:
		o.Endpoint = &url.URL{Scheme: "https", Host: o.Bucket + ".s3." + o.Region + ".amazonaws.com"}
		s.prefix = "/"
	}
	o.Web.Targets = []*url.URL{{Scheme: o.Endpoint.Scheme, Host: o.Endpoint.Host}}
	o.Web.Sign = (&signer{region: o.Region, id: o.ID, secret: o.Secret, token: o.Token, now: time.Now}).sign
	if o.Class != "" {
		o.Web.Header = append(o.Web.Header[:len(o.Web.Header):len(o.Web.Header)], [2]string{"X-Amz-Storage-Class", o.Class})
	}
	s.o = o
	var errs [2]error
	s.key, errs[0] = pattern.Parse(strings.TrimPrefix(o.Key, "/"), clean)
	s.web, errs[1] = web.New(o.Web)
	return s, errors.Join(errs[:]...)
}

// clean keeps values from events to one part of a key.
func clean(dst, value []byte) []byte {
	for _, c := range value[:min(len(value), 200)] {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && (c != '.' || len(dst) == 0 || dst[len(dst)-1] == '.') {
			c = '_'
		}
		dst = append(dst, c)
	}
	return dst
}

// Append implements out.Sink. Group is the object.
func (s *Sink) Append(b *out.Batch, r *record.Record) (int32, error) {
	b.Body = s.o.Format.Append(b.Body, r)
	s.value = s.key.Append(s.value[:0], r)
	if len(b.Groups) == 0 {
		clear(s.keys)
	}
	group, ok := s.keys[string(s.value)]
	if !ok {
		group = int32(len(b.Groups)) //nolint:gosec // no more than events
		key := string(s.value)
		s.keys[key] = group
		b.Groups = append(b.Groups, key)
	}
	return group, nil
}

// object is memory for one.
type object struct{ data, packed []byte }

// build returns the content of the object of a group, nil if there is none.
func (o *object) build(b *out.Batch, group int, pack bool) ([]byte, error) {
	data := b.Body
	if len(b.Groups) > 1 {
		o.data = o.data[:0]
		for i := range b.Items {
			if it := &b.Items[i]; int(it.Group) == group {
				o.data = append(o.data, b.Body[it.Start:it.End]...)
			}
		}
		data = o.data
	}
	if !pack || len(data) == 0 {
		return data, nil
	}
	var err error
	o.packed, err = gz.Append(o.packed[:0], data)
	return o.packed, err
}

// Send implements out.Sink: one object for each key, one after the other.
func (s *Sink) Send(ctx context.Context, b *out.Batch) error {
	for i := range b.Items {
		b.Items[i].Verdict = out.Again
	}
	o, _ := s.bodies.Get().(*object)
	defer s.bodies.Put(o)
	for group := range b.Groups {
		data, err := o.build(b, group, s.o.Gzip)
		if err != nil {
			return err
		}
		if len(data) == 0 {
			continue
		}
		if err := s.put(ctx, b, group, data); err != nil {
			return err
		}
		for i := range b.Items {
			if int(b.Items[i].Group) == group {
				b.Items[i].Verdict = out.Done
			}
		}
	}
	return nil
}

func (s *Sink) put(ctx context.Context, b *out.Batch, group int, data []byte) error {
	key, _ := b.Groups[group].(string)
	suffix, kind := ".ndjson", "application/x-ndjson"
	if s.o.Format != plain.JSON {
		suffix, kind = ".log", "text/plain"
	}
	r := web.Request{Method: http.MethodPut, Type: kind, Body: data, Raw: true}
	if s.o.Gzip {
		suffix, r.Encoding = suffix+".gz", "gzip"
	}
	if key != "" && !strings.HasSuffix(key, "/") {
		key += "-"
	}
	r.Path = s.prefix + key + b.ID + suffix
	r.RawPath = escape(r.Path)
	err := s.web.Do(ctx, r, func(resp *http.Response) error {
		_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
		return nil
	})
	var status *web.Status
	if f := out.AsFailure(err); err != nil && f.How == out.TooLarge && errors.As(err, &status) && status.Code != http.StatusRequestEntityTooLarge {
		return &out.Failure{How: out.Pause, After: f.After, Err: err} // no event is to blame: whatever is in an object is right
	}
	return err
}

// Run implements out.Sink.
func (s *Sink) Run(ctx context.Context) error { return s.web.Run(ctx) }

// Close implements out.Sink.
func (s *Sink) Close() error { return s.web.Close() }

// Traffic implements out.Counted.
func (s *Sink) Traffic() *out.Traffic { return s.web.Traffic() }
