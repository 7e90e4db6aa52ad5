// Package syslog sends events as RFC 5424 messages over TCP or TLS, counted by octets (RFC 6587, RFC 5425).
//
// The protocol has no acknowledgement. By default a batch is done when the kernel has taken it, so that what is on its way when the
// other side dies is lost; the id of an event goes along, for those who look for duplicates and gaps. With Confirm each batch gets a
// connection of its own that we end and the other side ends thereafter: it has read everything then.
package syslog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/rs/zerolog"

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
	Facility int    // 0 to 23
	Hostname string // of the messages
	App      string // pattern; empty: the input
	MsgID    string // pattern; empty: none
	SD       string // id of the structured data; empty: sidecar@32473
	Document bool   // the message is the document
	Confirm  bool
	Log      zerolog.Logger
}

// Sink is the output.
type Sink struct {
	o       Config
	dialer  *link.Dialer
	hosts   *link.Hosts
	pool    link.Pool[*conn]
	traffic out.Traffic
	app, id *pattern.Pattern
	front   [record.Emergency + 1]string // "<PRI>1 " by level
	middle  string                       // " HOST "

	// Of Append.
	msg, value []byte
	stamp      int64
	time       []byte
}

// New checks the configuration and reads certificates. It connects to nobody.
func New(o Config) (*Sink, error) {
	s := &Sink{o: o, hosts: link.NewHosts(len(o.Hosts))}
	if len(o.Hosts) == 0 {
		return nil, errors.New("no address to send to")
	}
	if s.o.SD == "" {
		s.o.SD = "sidecar@32473"
	}
	if o.App == "" {
		o.App = "%{input}"
	}
	if o.MsgID == "" {
		o.MsgID = "-"
	}
	var errs [3]error
	s.app, errs[0] = pattern.Parse(o.App, nil)
	s.id, errs[1] = pattern.Parse(o.MsgID, nil)
	for l, severity := range [...]int{6, 7, 7, 6, 5, 4, 3, 2, 1, 0} {
		s.front[l] = fmt.Sprintf("<%d>1 ", o.Facility*8+severity)
	}
	s.middle = " " + string(name(nil, []byte(o.Hostname), 255)) + " "
	host, _, _ := net.SplitHostPort(o.Hosts[0])
	s.dialer, errs[2] = link.NewDialer(o.TLS, host, &s.traffic, o.Log)
	return s, errors.Join(errs[:]...)
}

// name appends a word of the header: visible ASCII, no longer than max, a dash if there is nothing.
func name(dst, text []byte, limit int) []byte {
	if len(text) == 0 {
		return append(dst, '-')
	}
	for _, c := range text[:min(len(text), limit)] {
		if c <= ' ' || c > '~' {
			c = '_'
		}
		dst = append(dst, c)
	}
	return dst
}

// Append implements out.Sink.
func (s *Sink) Append(b *out.Batch, r *record.Record) (int32, error) {
	m := append(s.msg[:0], s.front[r.Level]...)
	if stamp := r.Stamp() / 1e3; stamp != s.stamp || len(s.time) == 0 {
		s.stamp = stamp
		s.time = time.UnixMicro(stamp).UTC().AppendFormat(s.time[:0], "2006-01-02T15:04:05.000000Z") // no more digits are allowed
	}
	m = append(m, s.time...)
	m = append(m, s.middle...)
	s.value = s.app.Append(s.value[:0], r)
	m = append(name(m, s.value, 48), " - "...)
	s.value = s.id.Append(s.value[:0], r)
	m = append(name(m, s.value, 32), " ["...)
	m = append(append(m, s.o.SD...), ` id="`...)
	m = append(r.AppendID(m), `" path="`...)
	m = append(param(m, r.File.Path), `"] `...)
	switch {
	case s.o.Document:
		m = record.AppendJSON(m, r)
	case r.Kind == record.Text && r.Message != nil:
		m = plain.Line(m, r.Message)
	default:
		s.value = plain.Message(s.value[:0], r)
		m = plain.Line(m, s.value)
	}
	s.msg = m
	b.Body = strconv.AppendInt(b.Body, int64(len(m)), 10)
	b.Body = append(append(b.Body, ' '), m...)
	return 0, nil
}

// param appends the value of a parameter of structured data.
func param(dst []byte, text string) []byte {
	for _, r := range text {
		switch {
		case r == '"' || r == '\\' || r == ']':
			dst = append(dst, '\\', byte(r))
		case r < ' ' || r == 0x7f:
			dst = append(dst, '_')
		default:
			dst = utf8.AppendRune(dst, r) // also for what is no text: U+FFFD
		}
	}
	return dst
}

// conn is a connection on which the other side says nothing: when reading ends, it is gone.
type conn struct {
	net.Conn
	gone chan struct{}
	err  error // why, when gone is closed
}

func watch(c net.Conn) *conn {
	w := &conn{Conn: c, gone: make(chan struct{})}
	go func() { // ends with the connection, which is closed whatever happens
		defer close(w.gone)
		_, w.err = io.Copy(io.Discard, c)
	}()
	return w
}

func (c *conn) Close() error {
	err := c.Conn.Close()
	<-c.gone
	return err
}

func (s *Sink) connect(ctx context.Context) (*conn, error) {
	for !s.o.Confirm {
		c, ok := s.pool.Get()
		if !ok {
			break
		}
		select {
		case <-c.gone:
			_ = c.Close()
			continue
		default:
		}
		return c, nil
	}
	now := time.Now()
	n := s.hosts.Pick(now)
	raw, err := s.dialer.Dial(ctx, s.o.Hosts[n])
	s.hosts.Tell(n, err == nil, now)
	if err != nil {
		return nil, err
	}
	return watch(raw), nil
}

// Send implements out.Sink.
func (s *Sink) Send(ctx context.Context, b *out.Batch) error {
	c, err := s.connect(ctx)
	if err != nil {
		return &out.Failure{Err: err}
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	s.traffic.Requests.Add(1)
	n, err := c.Write(b.Body)
	s.traffic.Bytes.Add(int64(n))
	if err == nil && s.o.Confirm {
		err = confirm(c)
	}
	if err == nil && !stop() {
		err = ctx.Err() // the deadline may be set already
	}
	if err != nil {
		address := c.RemoteAddr()
		_ = c.Close()
		if ctx.Err() != nil && errors.Is(err, os.ErrDeadlineExceeded) {
			err = ctx.Err()
		}
		return &out.Failure{Err: fmt.Errorf("send to %s: %w", address, err)}
	}
	if s.o.Confirm {
		_ = c.Close()
	} else {
		s.pool.Put(c)
	}
	for i := range b.Items {
		b.Items[i].Verdict = out.Done
	}
	return nil
}

// confirm ends our side and waits until the other one has ended its own.
func confirm(c *conn) error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.New("the connection cannot be ended on one side")
	}
	if err := half.CloseWrite(); err != nil {
		return err
	}
	<-c.gone // the deadline ends it, too
	return c.err
}

// Run implements out.Sink.
func (s *Sink) Run(ctx context.Context) error { return s.dialer.Run(ctx) }

// Close implements out.Sink.
func (s *Sink) Close() error { return s.pool.Close() }

// Traffic implements out.Counted.
func (s *Sink) Traffic() *out.Traffic { return &s.traffic }
