// Package kafka produces events to a topic of Kafka, idempotently: what is sent again after an answer was lost is stored once, as
// long as the process lives. Each record has the header id, by which consumers can tell what a kill made them see twice.
//
// It speaks just what that needs. Files keep their order: without a key all events of one file go to one partition.
package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/roles/logship/out"
	"github.com/sidecar-kit/sidecar/roles/logship/out/link"
	"github.com/sidecar-kit/sidecar/roles/logship/out/pattern"
	"github.com/sidecar-kit/sidecar/roles/logship/out/plain"
	"github.com/sidecar-kit/sidecar/roles/logship/record"
)

// Config says where events go.
type Config struct {
	Hosts     []string // host:port of some brokers
	TLS       link.TLS
	Topic     string
	Key       string // pattern; empty: no key, and the file decides on the partition
	Codec     string // none (also ""), gzip or snappy
	Mechanism string // PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; empty: no login
	User      string
	Password  *link.Secret
	PlainOK   bool // PLAIN may be sent unencrypted
	Format    plain.Format
	ClientID  string
	Log       zerolog.Logger
}

// Sink is the output.
type Sink struct {
	o       Config
	dialer  *link.Dialer
	hosts   *link.Hosts
	scrub   *secret.Scrubber
	traffic out.Traffic
	key     *pattern.Pattern
	turn    chan *producer // one batch at a time: its numbers have to rise

	// Of Append.
	keyed []byte
}

// New checks the configuration and reads certificates. It connects to nobody.
func New(o Config) (*Sink, error) {
	if len(o.Hosts) == 0 {
		return nil, errors.New("no address to send to")
	}
	if o.Topic == "" || len(o.Topic) > 249 || strings.Trim(o.Topic, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != "" {
		return nil, fmt.Errorf("topic %q is no name\nhint: kafka://HOST:9092/TOPIC", o.Topic)
	}
	if o.Mechanism == "" && o.Password.Set() {
		o.Mechanism = "PLAIN"
	}
	for _, address := range o.Hosts {
		if h, _, _ := net.SplitHostPort(address); o.Mechanism == "PLAIN" && !o.TLS.On && !o.PlainOK && !link.Loopback(h) {
			return nil, fmt.Errorf("credentials for %s would travel unencrypted\nhint: use kafka+tls:// or sasl=SCRAM-SHA-512, or say insecure=true", address)
		}
	}
	codec, ok := map[string]int16{"": codecNone, "none": codecNone, "gzip": codecGzip, "snappy": codecSnappy}[o.Codec]
	if !ok {
		return nil, fmt.Errorf("compression %q is none of none, gzip, snappy", o.Codec)
	}
	s := &Sink{o: o, hosts: link.NewHosts(len(o.Hosts)), scrub: &secret.Scrubber{}, turn: make(chan *producer, 1)}
	o.Password.Scrub(s.scrub)
	var errs [2]error
	s.key, errs[0] = pattern.Parse(o.Key, nil)
	host, _, _ := net.SplitHostPort(o.Hosts[0])
	s.dialer, errs[1] = link.NewDialer(o.TLS, host, &s.traffic, o.Log)
	s.turn <- &producer{s: s, enc: encoder{codec: codec, table: crc32.MakeTable(crc32.Castagnoli)}, conns: map[int]*conn{}, partial: map[string]half{}}
	return s, errors.Join(errs[:]...)
}

// Append implements out.Sink. Group is the hash that decides on the partition.
func (s *Sink) Append(b *out.Batch, r *record.Record) (int32, error) {
	if s.o.Key == "" {
		b.Body = append(b.Body, 0)
	} else {
		s.keyed = s.key.Append(s.keyed[:0], r)
		b.Body = binary.AppendUvarint(b.Body, uint64(len(s.keyed))+1)
		b.Body = append(b.Body, s.keyed...)
	}
	b.Body = s.o.Format.Append(b.Body, r)
	b.Body = b.Body[:len(b.Body)-1] // without a line end
	if s.o.Key == "" {
		s.keyed = strconv.AppendUint(s.keyed[:0], r.File.Gen, 36)
	}
	return murmur2(s.keyed), nil
}

// Send implements out.Sink.
func (s *Sink) Send(ctx context.Context, b *out.Batch) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case p := <-s.turn:
		defer func() { s.turn <- p }()
		err := p.send(ctx, b)
		var f *out.Failure
		if err != nil && !errors.As(err, &f) {
			return &out.Failure{Err: fmt.Errorf("topic %s: %w", s.o.Topic, err)}
		}
		return err
	}
}

func (s *Sink) connect(ctx context.Context, address string) (*conn, error) {
	raw, err := s.dialer.Dial(ctx, address)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: raw, address: address, client: s.o.ClientID}
	if s.o.Mechanism == "" {
		return c, nil
	}
	if err := s.login(ctx, c); err != nil {
		return nil, errors.Join(err, ignore(c.Close()))
	}
	return c, nil
}

func ignore(error) error { return nil } // of closing what failed already

// Run implements out.Sink.
func (s *Sink) Run(ctx context.Context) error { return s.dialer.Run(ctx) }

// Close implements out.Sink.
func (s *Sink) Close() error {
	p := <-s.turn
	p.hangUp()
	s.turn <- p
	return nil
}

// Traffic implements out.Counted.
func (s *Sink) Traffic() *out.Traffic { return &s.traffic }

// timeout is what a broker is told about our patience, in milliseconds.
func timeout(ctx context.Context) int {
	if at, ok := ctx.Deadline(); ok {
		return int(min(max(time.Until(at).Milliseconds(), 1), math.MaxInt32))
	}
	return 30_000
}
