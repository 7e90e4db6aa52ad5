package emit

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/internal/backoff"
	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/internal/tlsconf"
	"github.com/sidecar-kit/sidecar/roles/adapter/graphite"
	"github.com/sidecar-kit/sidecar/roles/adapter/influx"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
	"github.com/sidecar-kit/sidecar/roles/adapter/otlp"
	"github.com/sidecar-kit/sidecar/roles/adapter/statsd"
)

// Encode appends a page in the format that is sent. It is called by one goroutine at a time.
type Encode func(dst []byte, p *model.Page) ([]byte, model.Drops)

// Options say what is sent where. Zero values are the defaults.
type Options struct {
	URL    string // udp://HOST:PORT, tcp://HOST:PORT, unixgram:///PATH, unix:///PATH, http://, https://
	Format string // statsd, graphite, influx or otlp; "" is found by the address

	Headers [][2]string // added to each request; HTTP only, as the following
	Files   [][2]string // name of a header and the file that has its content; read again each time
	Token   string      // file of the content of Authorization, after Token for influx and after Bearer for otlp
	Gzip    bool
	TLS     tlsconf.ClientOptions

	Interval time.Duration // 0: 10 s
	Jitter   float64       // 0.1 starts each collection up to a tenth of Interval later
	Timeout  time.Duration // of collecting and of one attempt to send; 0: Interval, up to 10 s
	Queue    int           // payloads that wait; 0: 60
	Bytes    int64         // of them together; 0: 16 MiB
	Packet   int           // bytes of a datagram; 0: 1,432, which fits into an Ethernet frame
	Retry    backoff.Policy
	Grace    time.Duration // for what is left at the end; 0: 5 s

	StatsD   statsd.Encoder
	Influx   influx.Options
	Graphite graphite.Options
	OTLP     otlp.Options

	encode Encode
	lines  bool                     // a payload may be cut between lines
	kind   string                   // Content-Type
	front  string                   // of Authorization
	part   func(body []byte) uint64 // how many samples an answer of success says were refused
}

const (
	statsdFormat   = "statsd"
	graphiteFormat = "graphite"
	influxFormat   = "influx"
	otlpFormat     = "otlp"
)

// Keys are what Parse reads for every format.
func Keys() []string {
	return []string{
		"to", "format", "every", "jitter", "timeout", "queue", "queue-bytes", "packet", "retry-min", "retry-max", "headers", "header-files", "token-file", "gzip", "tls",
	}
}

// formatKeys are those of a format.
func formatKeys(format string) []string {
	switch format {
	case statsdFormat:
		return []string{"prefix", "tags"}
	case graphiteFormat:
		return graphite.Keys()
	case influxFormat:
		return influx.Keys()
	case otlpFormat:
		return []string{"resource", "scope"}
	}
	return nil
}

// Parse reads the mapping under push of a view, or its address alone.
func Parse(v draft.Value) (*Options, error) {
	o := &Options{}
	if v.Shape == draft.Word {
		v = draft.Value{Place: v.Place, Shape: draft.Map, Pairs: []draft.Pair{{Key: "to", Place: v.Place, Value: v}}}
	}
	for _, p := range v.Pairs {
		switch p.Key {
		case "to":
			o.URL = p.Value.Text
		case "format":
			if err := p.Value.OneOf(&o.Format, statsdFormat, graphiteFormat, influxFormat, otlpFormat); err != nil {
				return nil, err
			}
		}
	}
	if o.Format == "" {
		o.Format = guess(o.URL)
	}
	rest := draft.Value{Place: v.Place, Shape: draft.Map}
	err := v.Each(append(Keys(), formatKeys(o.Format)...), func(key string, v draft.Value) error {
		if !slices.Contains(Keys(), key) {
			rest.Pairs = append(rest.Pairs, draft.Pair{Key: key, Place: v.Place, Value: v})
			return nil
		}
		return o.parse(key, v)
	})
	err = errors.Join(err, o.parseFormat(rest))
	if err == nil {
		if _, err = New(o, nil); err != nil {
			err = v.Errorf("%w", err)
		}
	}
	return o, err
}

// guess is the format that an address is usually for.
func guess(to string) string {
	u, err := url.Parse(to)
	switch {
	case err != nil:
	case u.Scheme != "http" && u.Scheme != "https":
		if u.Port() == "2003" {
			return graphiteFormat
		}
		return statsdFormat
	case strings.HasSuffix(u.Path, "/write"):
		return influxFormat
	case strings.HasSuffix(u.Path, "/v1/metrics") || u.Port() == "4318":
		return otlpFormat
	}
	return ""
}

func (o *Options) parse(key string, v draft.Value) error {
	switch key {
	case "to":
		return v.Word(&o.URL)
	case "every":
		return v.Duration(&o.Interval, 100*time.Millisecond, 24*time.Hour)
	case "jitter":
		return v.Float(&o.Jitter, 0, 1)
	case "timeout":
		return v.Duration(&o.Timeout, 10*time.Millisecond, time.Hour)
	case "queue":
		return v.Int(&o.Queue, 1, 100_000)
	case "queue-bytes":
		return v.Size(&o.Bytes, 1<<10, 1<<40)
	case "packet":
		return v.Int(&o.Packet, 64, 65_507)
	case "retry-min":
		return v.Duration(&o.Retry.Min, time.Millisecond, time.Hour)
	case "retry-max":
		return v.Duration(&o.Retry.Max, time.Millisecond, 24*time.Hour)
	case "headers":
		return headers(v, &o.Headers)
	case "header-files":
		return headers(v, &o.Files)
	case "token-file":
		return v.Word(&o.Token)
	case "gzip":
		return v.Bool(&o.Gzip)
	case "tls":
		return o.parseTLS(v)
	}
	return nil
}

func headers(v draft.Value, dst *[][2]string) error {
	return v.All(func(key string, v draft.Value) error {
		var text string
		err := v.Word(&text)
		if key == "" || strings.ContainsAny(key, " :\r\n") || strings.ContainsAny(text, "\r\n") {
			return v.Errorf("header %q: want a name and a value of one line", key)
		}
		*dst = append(*dst, [2]string{key, text})
		return err
	})
}

func (o *Options) parseTLS(v draft.Value) error {
	return v.Each([]string{"ca", "cert", "key", "server-name", "insecure", "pins"}, func(key string, v draft.Value) error {
		switch key {
		case "ca":
			return v.Words(&o.TLS.CA)
		case "cert":
			return v.Words(&o.TLS.Cert)
		case "key":
			return v.Words(&o.TLS.Key)
		case "server-name":
			return v.Word(&o.TLS.ServerName)
		case "pins":
			return v.Words(&o.TLS.Pins)
		}
		return v.Bool(&o.TLS.Insecure)
	})
}

func (o *Options) parseFormat(v draft.Value) (err error) {
	switch o.Format {
	case graphiteFormat:
		o.Graphite, err = graphite.Parse(v)
	case influxFormat:
		o.Influx, err = influx.Parse(v)
	default:
		err = v.Each(formatKeys(o.Format), func(key string, v draft.Value) error {
			switch key {
			case "prefix":
				return v.Word(&o.StatsD.Prefix)
			case "tags":
				var word string
				styles := []string{"dogstatsd", "influxdb", "librato", "signalfx", "none"}
				err := v.OneOf(&word, styles...)
				o.StatsD.Style = statsd.Style(max(0, slices.Index(styles, word))) //nolint:gosec // five
				return err
			case "scope":
				return v.Word(&o.OTLP.Scope)
			}
			return v.All(func(key string, v draft.Value) error {
				l := model.Label{Name: key}
				err := v.Word(&l.Value)
				o.OTLP.Resource = append(o.OTLP.Resource, l)
				return err
			})
		})
	}
	return err
}

// Target is where to, without what is secret in it.
func (o *Options) Target() string {
	u, err := url.Parse(o.URL)
	if err != nil {
		return "?"
	}
	u.RawQuery = ""
	return u.Redacted()
}

// prepared is o with its defaults and its encoder.
func (o Options) prepared() (Options, error) {
	orDefault(&o.Interval, 10*time.Second)
	orDefault(&o.Timeout, min(o.Interval, 10*time.Second))
	orDefault(&o.Grace, 5*time.Second)
	orDefault(&o.Retry.Min, 500*time.Millisecond)
	orDefault(&o.Retry.Max, time.Minute)
	if o.Retry.Jitter == 0 {
		o.Retry.Jitter = 0.2
	}
	if o.Queue == 0 {
		o.Queue = 60
	}
	if o.Bytes == 0 {
		o.Bytes = 16 << 20
	}
	if o.Packet == 0 {
		o.Packet = 1432
	}
	if o.Format == "" {
		o.Format = guess(o.URL)
	}
	err := o.choose()
	return o, err
}

func orDefault(d *time.Duration, value time.Duration) {
	if *d == 0 {
		*d = value
	}
}

// choose sets what follows from the format.
func (o *Options) choose() error {
	begin := time.Now()
	o.kind, o.front, o.lines = "text/plain; charset=utf-8", "Bearer ", true
	switch o.Format {
	case statsdFormat:
		encoder := o.StatsD
		o.encode = encoder.Encode
	case graphiteFormat:
		o.encode = func(dst []byte, p *model.Page) ([]byte, model.Drops) {
			now := o.Graphite
			now.Now = time.Now().UnixMilli()
			return graphite.Encode(dst, p, now)
		}
	case influxFormat:
		o.front = "Token "
		o.encode = func(dst []byte, p *model.Page) ([]byte, model.Drops) {
			now := o.Influx
			now.Now = time.Now().UnixMilli()
			return influx.Encode(dst, p, now)
		}
	case otlpFormat:
		o.kind, o.lines, o.part = "application/x-protobuf", false, otlp.Rejected
		resource := o.OTLP.Resource
		if !slices.ContainsFunc(resource, func(l model.Label) bool { return l.Name == "service.name" }) {
			name, _ := os.Hostname()
			resource = append([]model.Label{{Name: "service.name", Value: "sidecar"}, {Name: "service.instance.id", Value: name}}, resource...)
		}
		o.encode = func(dst []byte, p *model.Page) ([]byte, model.Drops) {
			now := o.OTLP
			now.Now, now.Start, now.Resource = time.Now(), begin, resource
			return otlp.Encode(dst, p, now)
		}
	default:
		return fmt.Errorf("to %q: no format is given\nhint: one of statsd, graphite, influx, otlp", o.Target())
	}
	return nil
}
