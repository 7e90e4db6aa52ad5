package adapter

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/internal/tlsconf"
	"github.com/sidecar-kit/sidecar/roles/adapter/emit"
	"github.com/sidecar-kit/sidecar/roles/adapter/expo"
	"github.com/sidecar-kit/sidecar/roles/adapter/graphite"
	"github.com/sidecar-kit/sidecar/roles/adapter/influx"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
	"github.com/sidecar-kit/sidecar/roles/adapter/otlp"
	"github.com/sidecar-kit/sidecar/roles/adapter/statsd"
)

// emitPlan is where a view is pushed to.
type emitPlan struct {
	to       string
	format   string
	o        emit.Options
	tls      tlsconf.ClientOptions
	style    statsd.Style
	prefix   string
	influx   influx.Options
	graphite graphite.Options
}

func emitKeys() []string {
	return []string{"to", "format", "every", "jitter", "timeout", "queue", "queue-bytes", "packet", "headers", "header-files", "token-file", "gzip", "tls", "style", "prefix"}
}

// parseEmit reads the mapping under push.
func parseEmit(v draft.Value) (*emitPlan, error) {
	e := &emitPlan{}
	known := emitKeys()
	for _, keys := range [][]string{influx.Keys(), graphite.Keys()} {
		for _, k := range keys {
			if !slices.Contains(known, k) {
				known = append(known, k)
			}
		}
	}
	err := v.Each(known, func(key string, v draft.Value) error { return e.set(key, v) })
	if e.format == "" && e.to != "" {
		err = errors.Join(err, v.Errorf("want format: statsd, graphite, influx or otlp"))
	}
	if e.to == "" {
		err = errors.Join(err, v.Errorf("want to: udp://HOST:PORT, tcp://, unixgram:///PATH, unix://, http:// or https://"))
	}
	return e, errors.Join(err, e.finish(v))
}

func (e *emitPlan) set(key string, v draft.Value) error {
	switch key {
	case "to":
		err := v.Word(&e.to)
		if u, bad := url.Parse(e.to); bad == nil && u.User != nil {
			err = errors.Join(err, v.Errorf("no user and password in an address, give token-file or header-files"))
		}
		return err
	case "format":
		return v.OneOf(&e.format, pushFormats()...)
	case "every":
		return v.Duration(&e.o.Interval, 100*time.Millisecond, 24*time.Hour)
	case "jitter":
		return v.Float(&e.o.Jitter, 0, 1)
	case "timeout":
		return v.Duration(&e.o.Timeout, time.Millisecond, time.Hour)
	case "queue":
		return v.Int(&e.o.Queue, 1, 1_000_000)
	case "queue-bytes":
		var n int64
		err := v.Size(&n, 1, 1<<32)
		e.o.Bytes = int(n)
		return err
	case "packet":
		return v.Int(&e.o.Packet, 64, 65_507)
	case "gzip":
		return v.Bool(&e.o.Gzip)
	case "style":
		return e.setStyle(v)
	case "prefix":
		return v.Word(&e.prefix)
	case "headers", "header-files", "token-file", "tls":
		return e.setWeb(key, v)
	}
	return nil // influx and graphite read their own
}

func (e *emitPlan) setStyle(v draft.Value) error {
	styles := []string{"dogstatsd", "influxdb", "librato", "signalfx", "none"}
	var text string
	err := v.OneOf(&text, styles...)
	if at := slices.Index(styles, text); at >= 0 {
		e.style = statsd.Style(at) //nolint:gosec // one of five
	}
	return err
}

func (e *emitPlan) setWeb(key string, v draft.Value) error {
	switch key {
	case "headers":
		return v.All(func(name string, v draft.Value) error {
			e.o.Headers = append(e.o.Headers, [2]string{name, v.Text})
			return nil
		})
	case "header-files":
		return v.All(func(name string, v draft.Value) error {
			e.o.Files = append(e.o.Files, [3]string{name, "", v.Text})
			return nil
		})
	case "token-file":
		var file string
		err := v.Word(&file)
		e.o.Files = append(e.o.Files, [3]string{"Authorization", "Bearer ", file})
		return err
	}
	return v.Each([]string{"ca", "cert", "key", "server-name", "insecure"}, func(key string, v draft.Value) error {
		var text string
		if key == "insecure" {
			return v.Bool(&e.tls.Insecure)
		}
		err := v.Word(&text)
		switch key {
		case "ca":
			e.tls.CA = []string{text}
		case "cert":
			e.tls.Cert = []string{text}
		case "key":
			e.tls.Key = []string{text}
		case "server-name":
			e.tls.ServerName = text
		}
		return err
	})
}

// finish fills in what depends on the format.
func (e *emitPlan) finish(v draft.Value) error {
	var err error
	e.o.URL = e.to
	e.o.Lines = e.format != otlpWord
	switch e.format {
	case influxWord:
		e.influx, err = influx.Parse(only(v, influx.Keys()))
		e.o.Type = "text/plain; charset=utf-8"
		for i, f := range e.o.Files {
			if f[0] == "Authorization" && strings.Contains(e.to, "/api/v2/") {
				e.o.Files[i][1] = "Token " // what version 2 calls it
			}
		}
	case graphiteWd:
		e.graphite, err = graphite.Parse(only(v, graphite.Keys()))
		if e.prefix != "" && e.graphite.Prefix == "" {
			e.graphite.Prefix = e.prefix
		}
	case otlpWord:
		e.o.Type, e.o.Partial = "application/x-protobuf", otlp.Rejected
	}
	if err == nil && e.to != "" && e.format != "" {
		trial := e.o
		trial.Encode = func(dst []byte, _ *model.Page) ([]byte, model.Drops) { return dst, model.Drops{} }
		if _, bad := emit.New(trial, nil); bad != nil {
			err = v.Errorf("%w", bad)
		}
	}
	return err
}

// encoder makes what writes the pages of one emitter; it remembers counters.
func (e *emitPlan) encoder() emit.Encode {
	switch e.format {
	case influxWord:
		return func(dst []byte, p *model.Page) ([]byte, model.Drops) { return influx.Encode(dst, p, e.influx) }
	case graphiteWd:
		return func(dst []byte, p *model.Page) ([]byte, model.Drops) { return graphite.Encode(dst, p, e.graphite) }
	case otlpWord:
		started := time.Now()
		return func(dst []byte, p *model.Page) ([]byte, model.Drops) {
			return otlp.Encode(dst, p, otlp.Options{Start: started, Now: time.Now(), Expand: expo.Expand, Scope: "sidecar adapter"})
		}
	}
	s := &statsd.Encoder{Style: e.style, Prefix: e.prefix, Expand: expo.Expand}
	return s.Encode
}

// make makes the emitter.
func (e *emitPlan) make(grace time.Duration, said func(error), collect func(ctx context.Context) model.Page) (*emit.Emitter, *tlsconf.Client, error) {
	o := e.o
	o.Encode, o.Grace, o.Said = e.encoder(), grace, said
	var client *tlsconf.Client
	if u, err := url.Parse(e.to); err == nil && u.Scheme == "https" {
		conf := e.tls
		if conf.ServerName == "" {
			conf.ServerName = u.Hostname()
		}
		if client, err = tlsconf.NewClient(conf); err != nil {
			return nil, nil, fmt.Errorf("push: tls: %w", err)
		}
		o.TLS = client
	}
	m, err := emit.New(o, collect)
	return m, client, err
}
