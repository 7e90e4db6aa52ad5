package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/roles/proxy/listen"
	"github.com/sidecar-kit/sidecar/roles/proxy/stream"
	"github.com/sidecar-kit/sidecar/roles/proxy/web"
)

// accessLog writes a line of JSON for each request and connection to stdout. Requests never wait for it: lines gather in memory
// and a goroutine writes them. When nobody reads stdout, what has no room is dropped and counted.
type accessLog struct {
	out     io.Writer
	log     zerolog.Logger
	dropped atomic.Int64

	mu    sync.Mutex
	lines []byte
	spare []byte
	kick  chan struct{}
}

const (
	logRoom  = 1 << 20 // bytes that may wait
	logSoon  = 32 << 10
	logDelay = 50 * time.Millisecond // lines wait for others that long

	logPatience = time.Second // at the end, for somebody who reads
)

func newAccessLog(out io.Writer) *accessLog {
	a := &accessLog{out: out, kick: make(chan struct{}, 1)}
	a.log = zerolog.New(a).With().Str("role", "proxy").Logger()
	return a
}

// Write takes a line.
func (a *accessLog) Write(line []byte) (int, error) {
	a.mu.Lock()
	first := len(a.lines) == 0
	if len(a.lines)+len(line) > logRoom {
		a.mu.Unlock()
		a.dropped.Add(1)
		return len(line), nil
	}
	a.lines = append(a.lines, line...)
	full := len(a.lines) >= logSoon
	a.mu.Unlock()
	if first || full {
		select {
		case a.kick <- struct{}{}:
		default:
		}
	}
	return len(line), nil
}

// run writes until ctx ends, and then what is left.
func (a *accessLog) run(ctx context.Context) {
	delay := time.NewTimer(logDelay)
	defer delay.Stop()
	for {
		select {
		case <-a.kick:
		case <-ctx.Done():
			a.flush()
			return
		}
		delay.Reset(logDelay)
		select {
		case <-delay.C:
		case <-a.kick: // there is much, or more
		case <-ctx.Done():
		}
		a.flush()
	}
}

func (a *accessLog) flush() {
	a.mu.Lock()
	lines := a.lines
	a.lines, a.spare = a.spare[:0], nil
	a.mu.Unlock()
	if len(lines) > 0 {
		if _, err := a.out.Write(lines); err != nil {
			a.dropped.Add(int64(bytes.Count(lines, []byte("\n"))))
		}
	}
	a.mu.Lock()
	if cap(lines) <= 4*logSoon {
		a.spare = lines[:0]
	}
	a.mu.Unlock()
}

// wanted tells whether a line is written.
func (l *lane) wanted(failed bool) bool {
	switch {
	case l.r.Log == "off":
		return false
	case failed:
		return true
	case l.r.Log == "errors":
		return false
	}
	return l.r.Sample >= 1 || rand.Float64() < l.r.Sample //nolint:gosec // a sample
}

// stamped begins a line.
func (a *accessLog) stamped(now time.Time) *zerolog.Event {
	var room [32]byte
	return a.log.Log().Bytes("time", now.UTC().AppendFormat(room[:0], "2006-01-02T15:04:05.000Z07:00"))
}

// stream writes the line of a connection.
func (a *accessLog) stream(l *lane, info *listen.Info, got stream.Result, connected time.Duration, ended string) {
	// Python, redis-cli and others close TLS so each time: the line says it, but it is no failure.
	usual := got.Ended == stream.ByClient && errors.Is(got.Err, stream.ErrTruncated)
	if !l.wanted(got.Err != nil && !usual) {
		return
	}
	now := time.Now()
	e := a.stamped(now).Str("kind", "stream").Str("route", l.r.Name).Str("upstream", l.cluster.c.Name)
	if info.Remote.IsValid() {
		e.Stringer("client", info.Remote)
	}
	if info.TLS != nil {
		e.Str("sni", info.TLS.ServerName)
		if len(info.TLS.PeerCertificates) > 0 {
			e.Str("client_cert", info.TLS.PeerCertificates[0].Subject.String())
		}
	}
	e.Int64("bytes_in", got.Up).Int64("bytes_out", got.Down).Float64("connect_ms", millis(connected)).Float64("took_ms", millis(now.Sub(info.Accepted))).Str("ended", ended)
	if got.Err != nil {
		e.Str("error", got.Err.Error())
	}
	e.Send()
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// request writes the line of a request. The query is left out: it is where tokens are.
func (a *accessLog) request(l *lane, r *web.Record) {
	failed := r.Status >= 500 || r.Status == 0 || r.Cause > web.Answered
	if l != nil && !l.wanted(failed) {
		return
	}
	e := a.stamped(r.Start.Add(r.Total)).Str("kind", "request")
	if l != nil {
		e.Str("route", l.r.Name)
	}
	if r.Backend != nil {
		e.Str("upstream", r.Backend.Name)
	}
	if c := r.Client; c != nil {
		if c.Addr.IsValid() {
			var room [64]byte
			e.Bytes("client", c.Addr.AppendTo(room[:0]))
		}
		if len(c.ID) > 0 {
			e.Bytes("request_id", c.ID)
		}
		if c.TLS != nil && len(c.TLS.PeerCertificates) > 0 {
			e.Str("client_cert", c.TLS.PeerCertificates[0].Subject.String())
		}
	}
	if r.Method != nil {
		path, _, _ := bytes.Cut(r.Target, []byte("?"))
		e.Bytes("method", r.Method).Bytes("host", r.Host).Bytes("path", path)
	}
	e.Int("status", r.Status).Int64("bytes_in", r.In).Int64("bytes_out", r.Out).Uint8("http", r.Major).Float64("took_ms", millis(r.Total))
	if r.Backend != nil {
		e.Float64("connect_ms", millis(r.Connect)).Float64("first_byte_ms", millis(r.First))
		if r.Reused {
			e.Bool("reused", true)
		}
		if r.Retried {
			e.Bool("retried", true)
		}
	}
	if r.Upgrade {
		e.Bool("upgrade", true)
	}
	if r.Cause > web.Answered {
		e.Stringer("cause", r.Cause)
		if r.Cause == web.BadRequest || r.Cause == web.BadAnswer {
			e.Stringer("class", r.Class)
		}
		if r.Err != nil {
			e.Str("error", r.Err.Error())
		}
	}
	e.Send()
}
