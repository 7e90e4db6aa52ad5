package adapter

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/internal/suggest"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
	"github.com/sidecar-kit/sidecar/roles/adapter/push"
	"github.com/sidecar-kit/sidecar/roles/adapter/redis"
	"github.com/sidecar-kit/sidecar/roles/adapter/relabel"
	"github.com/sidecar-kit/sidecar/roles/adapter/source"
	"github.com/sidecar-kit/sidecar/roles/adapter/statsmap"
	"github.com/sidecar-kit/sidecar/roles/adapter/web"
)

// sourcePlan is a source, understood.
type sourcePlan struct {
	name    string
	value   draft.Value // what it was made of: a reload keeps a source whose value is the same
	modules string      // the file of --compat, where it is read by one of its modules
	format  string
	pull    source.Options
	push    *pushPlan // nil: it is pulled
	redis   *redis.Options
	read    reading
	program *relabel.Program
	limits  model.Limits
}

// pushPlan is a source that is sent to.
type pushPlan struct {
	listen  []string
	http    bool
	allow   []netip.Prefix
	ttl     time.Duration
	mapping string // a file
	rules   *statsmap.Mapping
	buffer  int64
}

// defaultLimits hold where a source says nothing.
func defaultLimits() model.Limits {
	return model.Limits{Series: 100_000, Labels: 64, Name: 512, Value: 4096}
}

func pushKeys() []string {
	return []string{"listen", "allow", "ttl", "mapping-file", "mapping", "receive-buffer"}
}

// sourceKeys are all keys of a source.
func sourceKeys() []string {
	return slices.Concat(source.Keys(), readingKeys(), relabel.Keys(), pushKeys(), []string{"module", "redis"})
}

// parseSource reads an entry of sources.
func parseSource(name string, v draft.Value, c *compat, module string) (sourcePlan, error) {
	s := sourcePlan{name: name, value: v, limits: defaultLimits()}
	known := sourceKeys()
	errs := []error{v.All(func(key string, v draft.Value) error {
		if slices.Contains(known, key) || slices.Contains(known, strings.ReplaceAll(key, "_", "-")) {
			return nil
		}
		return v.Errorf("unknown key%s", suggest.DidYouMean("", key, known))
	})}
	if !isName(name) {
		errs = append(errs, v.Errorf("source %q: want a name of letters, digits, - and _", name))
	}
	var err error
	if has(v, "listen") {
		s.push, err = parsePush(only(v, pushKeys()))
		errs = append(errs, err)
		for _, p := range only(v, slices.DeleteFunc(source.Keys(), func(k string) bool { return k == "format" })).Pairs {
			errs = append(errs, fmt.Errorf("%s: %s: a source that listens has none", p.Place, p.Key))
		}
		s.format = "statsd"
		errs = append(errs, only(v, []string{"format"}).All(func(_ string, v draft.Value) error { return v.Word(&s.format) }))
		if !slices.Contains(pushFormats(), s.format) {
			errs = append(errs, v.Errorf("format %s: a source that listens takes %s", s.format, strings.Join(pushFormats(), ", ")))
		} else if s.push != nil && s.push.http && s.format != "influx" && s.format != "otlp" {
			errs = append(errs, v.Errorf("listen http: want format: influx or otlp"))
		}
	} else {
		s.pull, err = s.parsePull(v)
		s.format = s.pull.Format
		errs = append(errs, err)
		for _, p := range only(v, pushKeys()).Pairs {
			errs = append(errs, fmt.Errorf("%s: %s: only a source with listen has it", p.Place, p.Key))
		}
	}
	s.read, err = parseReading(&s, only(v, slices.Concat(readingKeys(), []string{"module"})), c, module)
	errs = append(errs, err)
	s.program, err = relabel.Parse(only(v, relabel.Keys()))
	errs = append(errs, err)
	errs = append(errs, only(v, []string{"limits"}).All(func(_ string, v draft.Value) error { return relabel.ParseLimits(v, &s.limits) }))
	return s, errors.Join(errs...)
}

// parsePull reads how a source is asked.
func (s *sourcePlan) parsePull(v draft.Value) (source.Options, error) {
	if !has(v, "redis") {
		return source.Parse(s.name, only(v, source.Keys()))
	}
	o, err := source.ParseOther(s.name, only(v, source.Keys()))
	if o.Format == auto {
		o.Format = "redis-info"
	}
	return o, errors.Join(err, only(v, []string{"redis"}).All(func(_ string, v draft.Value) error {
		r, err := redis.Parse(v)
		s.redis = &r
		return err
	}))
}

func has(v draft.Value, key string) bool {
	return slices.ContainsFunc(v.Pairs, func(p draft.Pair) bool { return p.Key == key })
}

// only is a mapping with those of v's keys that are in keys.
func only(v draft.Value, keys []string) draft.Value {
	if v.Shape != draft.Map {
		return draft.Value{Place: v.Place, Shape: draft.Empty}
	}
	part := v
	part.Pairs = slices.DeleteFunc(slices.Clone(v.Pairs), func(p draft.Pair) bool {
		return !slices.Contains(keys, p.Key) && !slices.Contains(keys, strings.ReplaceAll(p.Key, "_", "-"))
	})
	return part
}

func parsePush(v draft.Value) (*pushPlan, error) {
	p := &pushPlan{ttl: 0}
	err := v.Each(pushKeys(), func(key string, v draft.Value) error {
		switch key {
		case "listen":
			return p.setListen(v)
		case "allow":
			return v.Each1(func(v draft.Value) error {
				prefix, err := web.ParsePrefix(v.Text)
				if err != nil {
					return v.Errorf("%w", err)
				}
				p.allow = append(p.allow, prefix)
				return nil
			})
		case "ttl":
			return v.Duration(&p.ttl, 0, 365*24*time.Hour)
		case "mapping-file":
			return p.loadMapping(v)
		case "mapping":
			var err error
			p.rules, err = statsmap.Parse(v)
			return err
		}
		return v.Size(&p.buffer, 4096, 1<<30)
	})
	return p, err
}

func (p *pushPlan) setListen(v draft.Value) error {
	return v.Each1(func(v draft.Value) error {
		var text string
		if err := v.Word(&text); err != nil {
			return err
		}
		scheme, rest, ok := strings.Cut(text, "://")
		switch {
		case text == "http":
			p.http = true
			return nil
		case !ok || !slices.Contains([]string{"udp", "tcp", "unix", "unixgram"}, scheme) || rest == "":
			return v.Errorf("%s: want udp://127.0.0.1:8125, tcp://HOST:PORT, unixgram:///PATH, unix:///PATH, or http for /write and /v1/metrics at --listen", text)
		}
		p.listen = append(p.listen, text)
		if err := push.CheckAddress(text); err != nil {
			last := text[strings.LastIndexByte(text, ':')+1:]
			return v.Errorf("%w%s", err, suggest.DidYouMean(":", last, formats()))
		}
		return nil
	})
}

// loadMapping reads a file now, so that what is wrong with it is known before it is used.
func (p *pushPlan) loadMapping(v draft.Value) error {
	if err := v.Word(&p.mapping); err != nil {
		return err
	}
	text, err := os.ReadFile(p.mapping)
	if err != nil {
		return v.Errorf("%w", err)
	}
	p.rules, err = statsmap.Load(p.mapping, text)
	return err
}
