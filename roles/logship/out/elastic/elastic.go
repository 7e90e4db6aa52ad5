// Package elastic sends events to Elasticsearch, OpenSearch and others that speak their bulk protocol. Every event has an id made
// of its file and its place there, so that one that is sent twice is stored once.
package elastic

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/sidecar-kit/sidecar/roles/logship/out"
	"github.com/sidecar-kit/sidecar/roles/logship/out/pattern"
	"github.com/sidecar-kit/sidecar/roles/logship/out/web"
	"github.com/sidecar-kit/sidecar/roles/logship/record"
)

// Config says where events go.
type Config struct {
	Web      web.Config
	Index    string // a name or a pattern
	Op       string // "create" (also ""), or "index", which writes over what has the same id
	Pipeline string // ingest pipeline
	Setup    *Setup // nil: the index or a template for it is there
}

// Sink is the output.
type Sink struct {
	o       Config
	web     *web.Client
	request web.Request
	index   *pattern.Pattern // nil: the index is in the URL
	begin   string           // `{"create":{` up to the id or the index
	idAt    int              // where the id begins in an item; 0: it depends on the item
	answers sync.Pool
	setup   setup

	// Of Append.
	gen  uint64
	head []byte // begin and the generation of the last event
}

const (
	idKey = `"_id":"`
	end   = "\"}}\n"
)

// New checks the configuration. It connects to nobody.
func New(o Config) (*Sink, error) {
	index, err := parseIndex(o.Index)
	if err != nil {
		return nil, err
	}
	if o.Op == "" {
		o.Op = "create"
	}
	s := &Sink{o: o, answers: sync.Pool{New: func() any { return newAnswer() }}}
	path := "/_bulk"
	if name, ok := index.Constant(); ok {
		path = "/" + name + path
	} else {
		s.index = index
	}
	s.begin = `{"` + o.Op + `":{`
	if s.index == nil {
		s.idAt = len(s.begin) + len(idKey)
	}
	// The server need not send, and we need not read, what nobody asks for.
	query := "filter_path=errors,items.*.status,items.*.error"
	if o.Pipeline != "" {
		query += "&pipeline=" + url.QueryEscape(o.Pipeline)
	}
	s.request = web.Request{Path: path, Query: query, Type: "application/x-ndjson"}
	if s.setup, err = o.Setup.plan(index); err != nil {
		return nil, err
	}
	s.web, err = web.New(o.Web)
	return s, err
}

// Append implements out.Sink.
func (s *Sink) Append(b *out.Batch, r *record.Record) (int32, error) {
	dst := b.Body
	if s.index != nil {
		dst = append(dst, s.begin...)
		dst = append(dst, `"_index":"`...)
		at := len(dst)
		dst = finishName(s.index.Append(dst, r), at)
		dst = append(dst, `",`+idKey...)
		dst = r.AppendID(dst)
	} else {
		if r.File.Gen != s.gen || s.head == nil {
			s.gen = r.File.Gen
			s.head = record.AppendID(append(append(s.head[:0], s.begin...), idKey...), s.gen, 0)
			s.head = s.head[:len(s.head)-1]
		}
		dst = append(dst, s.head...)
		dst = appendBase36(dst, r.Offset)
	}
	dst = append(dst, end...)
	dst = record.AppendJSON(dst, r)
	b.Body = append(dst, '\n')
	return 0, nil
}

// appendBase36 is strconv.AppendInt to the base 36 for what is not negative, at a third of its time.
func appendBase36(dst []byte, n int64) []byte {
	var digits [13]byte
	i := len(digits)
	for u := uint64(max(0, n)); ; u /= 36 { //nolint:gosec // not negative
		i--
		digits[i] = "0123456789abcdefghijklmnopqrstuvwxyz"[u%36]
		if u < 36 {
			return append(dst, digits[i:]...)
		}
	}
}

// Send implements out.Sink.
func (s *Sink) Send(ctx context.Context, b *out.Batch) error {
	if err := s.setup.once(ctx, s.web); err != nil {
		return err
	}
	r := s.request
	r.Body = b.Body
	err := s.web.Do(ctx, r, func(resp *http.Response) error { return s.read(resp.Body, b) })
	var status *web.Status
	if errors.As(err, &status) && status.Code == http.StatusForbidden && strings.Contains(status.Text, "cluster_block_exception") {
		return &out.Failure{How: out.Retry, Slow: true, Err: err}
	}
	return err
}

func (s *Sink) read(body io.Reader, b *out.Batch) error {
	a, _ := s.answers.Get().(*answer)
	defer s.answers.Put(a)
	pause, err := a.read(body, b, s.idAt, s.judge)
	if err != nil {
		return fmt.Errorf("answer to %d events: %w", len(b.Items), err)
	}
	if pause != "" {
		return out.Fail(out.Pause, "%s", pause)
	}
	_, _ = io.CopyN(io.Discard, body, 4<<10) // the connection can be used again when nothing is left
	return nil
}

// judge says what the result of one event means, and whether a person is needed: then the same would happen to all others, and
// none of them is thrown away.
func (s *Sink) judge(status int, kind, reason []byte) (v out.Verdict, person bool) {
	switch {
	case status/100 == 2:
		return out.Done, false
	case status == http.StatusConflict && s.o.Op == "create":
		return out.Done, false // its id is there: it was stored before
	case status == http.StatusForbidden && string(kind) == "cluster_block_exception":
		return out.Again, false // no room on the server's disk, for one
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return out.Again, true
	case string(kind) == "index_not_found_exception":
		return out.Again, true
	case status == http.StatusBadRequest && bytes.HasPrefix(reason, []byte("pipeline with id [")):
		return out.Again, true // it does not exist
	case status == http.StatusBadRequest && bytes.Contains(reason, []byte("only write ops with an op_type of create are allowed in data streams")):
		return out.Again, true
	case status < 400 || status == http.StatusNotFound || status == http.StatusRequestTimeout || status == http.StatusConflict ||
		status == http.StatusTooManyRequests || status >= 500:
		return out.Again, false
	}
	return out.Reject, false
}

// Run implements out.Sink.
func (s *Sink) Run(ctx context.Context) error { return s.web.Run(ctx) }

// Close implements out.Sink.
func (s *Sink) Close() error { return s.web.Close() }

// Traffic implements out.Counted.
func (s *Sink) Traffic() *out.Traffic { return s.web.Traffic() }
