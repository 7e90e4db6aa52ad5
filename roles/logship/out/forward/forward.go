// Package forward sends events to fluentd, fluent-bit and what speaks their forward protocol. Every message asks for an
// acknowledgement; its chunk id is made of the id of the batch, so that a server that has it already can tell.
package forward

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/internal/gz"
	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/roles/logship/out"
	"github.com/sidecar-kit/sidecar/roles/logship/out/link"
	"github.com/sidecar-kit/sidecar/roles/logship/out/pattern"
	"github.com/sidecar-kit/sidecar/roles/logship/out/plain"
	"github.com/sidecar-kit/sidecar/roles/logship/record"
)

// Config says where events go.
type Config struct {
	Hosts    []string // host:port
	TLS      link.TLS
	Tag      string // pattern; empty: the input
	Shared   *link.Secret
	User     string
	Password *link.Secret
	PlainOK  bool   // a password may travel unencrypted
	Hostname string // who we are, in the greeting
	Gzip     bool
	Log      zerolog.Logger
}

// Sink is the output.
type Sink struct {
	o       Config
	dialer  *link.Dialer
	hosts   *link.Hosts
	pool    link.Pool[net.Conn]
	scrub   *secret.Scrubber
	traffic out.Traffic
	tag     *pattern.Pattern
	bodies  sync.Pool

	// Of Append.
	tags  map[string]int32
	value []byte
}

// New checks the configuration and reads certificates. It connects to nobody.
func New(o Config) (*Sink, error) {
	if len(o.Hosts) == 0 {
		return nil, errors.New("no address to send to")
	}
	host, _, _ := net.SplitHostPort(o.Hosts[0])
	if o.Password.Set() && !o.Shared.Set() {
		return nil, errors.New("a password is asked for only by servers with a shared key\nhint: shared-key-file=FILE")
	}
	for _, address := range o.Hosts {
		if h, _, _ := net.SplitHostPort(address); o.Password.Set() && !o.TLS.On && !o.PlainOK && !link.Loopback(h) {
			return nil, fmt.Errorf("credentials for %s would travel unencrypted\nhint: use forward+tls://, or say insecure=true", address)
		}
	}
	if o.Tag == "" {
		o.Tag = "%{input}"
	}
	s := &Sink{o: o, hosts: link.NewHosts(len(o.Hosts)), tags: map[string]int32{}, scrub: &secret.Scrubber{}, bodies: sync.Pool{New: func() any { return &message{} }}}
	o.Shared.Scrub(s.scrub)
	o.Password.Scrub(s.scrub)
	var errs [2]error
	s.tag, errs[0] = pattern.Parse(o.Tag, nil)
	s.dialer, errs[1] = link.NewDialer(o.TLS, host, &s.traffic, o.Log)
	return s, errors.Join(errs[:]...)
}

// Append implements out.Sink. The body has entries, Group is the tag.
func (s *Sink) Append(b *out.Batch, r *record.Record) (int32, error) {
	d := append(b.Body, 0x92)
	d = appendTime(d, r.Stamp())
	n := len(r.Fields) + 3
	for _, has := range []bool{r.Message != nil || len(r.Fields) == 0, r.Level != record.Unknown} {
		if has {
			n++
		}
	}
	d = mapHead(d, n)
	if r.Message != nil || len(r.Fields) == 0 {
		d = s.text(appendStr(d, "message"), r.Message, r.Kind)
	}
	d = appendStr(appendStr(d, "path"), r.File.Path)
	d = appendInt(appendStr(d, "offset"), r.Offset)
	s.value = r.AppendID(s.value[:0])
	d = append(strHead(appendStr(d, "id"), len(s.value)), s.value...)
	if r.Level != record.Unknown {
		d = appendStr(appendStr(d, "level"), r.Level.String())
	}
	for i := range r.Fields {
		f := &r.Fields[i]
		d = appendStr(d, f.Key)
		if f.Kind == record.Literal || f.Kind == record.Nested {
			d = appendJSON(d, f.Value)
		} else {
			d = s.text(d, f.Value, f.Kind)
		}
	}
	b.Body = d
	return s.group(b, r), nil
}

// text appends a string: any bytes, as fluentd takes them.
func (s *Sink) text(dst, text []byte, kind record.Kind) []byte {
	if kind == record.Escaped {
		s.value = plain.Value(s.value[:0], text, kind)
		text = s.value
	}
	return append(strHead(dst, len(text)), text...)
}

func (s *Sink) group(b *out.Batch, r *record.Record) int32 {
	s.value = s.tag.Append(s.value[:0], r)
	if len(b.Groups) == 0 {
		clear(s.tags)
	}
	group, ok := s.tags[string(s.value)]
	if !ok {
		group = int32(len(b.Groups)) //nolint:gosec // no more than events
		tag := string(s.value)
		s.tags[tag] = group
		b.Groups = append(b.Groups, tag)
	}
	return group
}

// message is memory for what goes over the wire.
type message struct{ entries, packed, wire []byte }

// build makes the message of one tag, and says how many events are in it.
func (m *message) build(b *out.Batch, group int, pack bool, chunk string) (int, error) {
	count := 0
	m.entries = m.entries[:0]
	for i := range b.Items {
		if it := &b.Items[i]; int(it.Group) == group {
			m.entries = append(m.entries, b.Body[it.Start:it.End]...)
			count++
		}
	}
	entries := m.entries
	if pack && count > 0 {
		var err error
		if m.packed, err = gz.Append(m.packed[:0], entries); err != nil {
			return 0, err
		}
		entries = m.packed
	}
	tag, _ := b.Groups[group].(string)
	m.wire = appendStr(append(m.wire[:0], 0x93), tag)
	m.wire = append(binHead(m.wire, len(entries)), entries...)
	if pack {
		m.wire = appendStr(appendStr(mapHead(m.wire, 3), "compressed"), "gzip")
	} else {
		m.wire = mapHead(m.wire, 2)
	}
	m.wire = appendInt(appendStr(m.wire, "size"), int64(count))
	m.wire = appendStr(appendStr(m.wire, "chunk"), chunk)
	return count, nil
}

// Send implements out.Sink: a message for each tag, and its acknowledgement before the next.
func (s *Sink) Send(ctx context.Context, b *out.Batch) error {
	for i := range b.Items {
		b.Items[i].Verdict = out.Again
	}
	c, address, err := s.connect(ctx)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	m, _ := s.bodies.Get().(*message)
	defer s.bodies.Put(m)
	for group := range b.Groups {
		chunk := b.ID + "-" + strconv.Itoa(group)
		count, err := m.build(b, group, s.o.Gzip, chunk)
		if err != nil {
			return errors.Join(err, c.Close())
		}
		if count == 0 {
			continue
		}
		if err := s.exchange(c, m.wire, chunk); err != nil {
			_ = c.Close()
			if ctx.Err() != nil && errors.Is(err, os.ErrDeadlineExceeded) {
				err = ctx.Err()
			}
			return &out.Failure{Err: fmt.Errorf("send to %s: %w", address, err)}
		}
		for i := range b.Items {
			if int(b.Items[i].Group) == group {
				b.Items[i].Verdict = out.Done
			}
		}
	}
	if stop() {
		s.pool.Put(c)
	} else {
		_ = c.Close() // its deadline may be over by now
	}
	return nil
}

func (s *Sink) exchange(c net.Conn, wire []byte, chunk string) error {
	s.traffic.Requests.Add(1)
	n, err := c.Write(wire)
	s.traffic.Bytes.Add(int64(n))
	if err != nil {
		return err
	}
	answer, err := unpack(c)
	if err != nil {
		return fmt.Errorf("acknowledgement: %w", err)
	}
	if got, _ := answer.(map[string]any); got["ack"] != chunk {
		return fmt.Errorf("the server acknowledges %.100q; want %s", fmt.Sprint(got["ack"]), chunk)
	}
	return nil
}

func (s *Sink) connect(ctx context.Context) (net.Conn, string, error) {
	if c, ok := s.pool.Get(); ok {
		return c, c.RemoteAddr().String(), nil
	}
	now := time.Now()
	n := s.hosts.Pick(now)
	address := s.o.Hosts[n]
	c, err := s.dialer.Dial(ctx, address)
	if err == nil && s.o.Shared.Set() {
		stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
		err = s.greet(c, address)
		if !stop() && err == nil {
			err = ctx.Err()
		}
		if err != nil {
			_ = c.Close()
		}
	}
	s.hosts.Tell(n, err == nil, now)
	if err != nil {
		f := out.AsFailure(err)
		return nil, "", &out.Failure{How: f.How, Err: errors.New(s.scrub.Clean(f.Err.Error()))}
	}
	return c, address, nil
}

// Run implements out.Sink.
func (s *Sink) Run(ctx context.Context) error { return s.dialer.Run(ctx) }

// Close implements out.Sink.
func (s *Sink) Close() error { return s.pool.Close() }

// Traffic implements out.Counted.
func (s *Sink) Traffic() *out.Traffic { return &s.traffic }
