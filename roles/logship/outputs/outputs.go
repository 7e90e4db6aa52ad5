// Package outputs reads what the configuration says about outputs, and makes them. There is one table of options for all kinds; the
// documentation is made from it.
package outputs

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/internal/backoff"
	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/internal/suggest"
	"github.com/sidecar-kit/sidecar/roles/logship/out"
)

// Spec is one output as the configuration describes it. It holds no secret, only where secrets are.
type Spec struct {
	Place      string // where it was written
	Name       string // in metrics, in the state and in logs; the kind if none is given
	Kind       string
	Inputs     []string   // names of inputs that go there; empty: all
	Batch      out.Limits // when a batch is full
	InFlight   int        // batches that are sent at the same time
	Timeout    time.Duration
	Backoff    backoff.Policy
	DeadLetter string // path of the file for events that the other side will never take; empty: the role's choice

	o settings
}

// Env is what an output takes from the role.
type Env struct {
	Log       zerolog.Logger
	UserAgent string
	Host      string // name of this machine or pod
	Lookup    func(name string) (string, bool)
	Stdout    io.Writer
}

// Option is one entry of the table.
type Option struct {
	Name    string
	Kinds   []string // empty: all
	Default string   // as a user writes it; empty: none
	Usage   string
}

// Parse reads one output: an address with options, or a mapping with the keys name, kind, to and the options. All complaints are
// in the error.
func Parse(v draft.Value) (Spec, error) {
	s := Spec{Place: v.Place}
	if v.Shape == draft.Word {
		return s, s.fromAddresses(v, "", []draft.Value{v}, nil)
	}
	if v.Shape != draft.Map {
		return s, v.Errorf("want an output: an address such as elasticsearch://es:9200/logs-app-default, or name, to and options")
	}
	var errs []error
	var given string
	var to []draft.Value
	var rest []draft.Pair
	errs = append(errs, v.All(func(key string, v draft.Value) error {
		switch key {
		case "name":
			return v.Word(&s.Name)
		case "kind":
			return v.OneOf(&given, kindNames()...)
		case "to":
			return v.Each1(func(v draft.Value) error { to = append(to, v); return nil })
		}
		rest = append(rest, draft.Pair{Key: key, Place: v.Place, Value: v})
		return nil
	}))
	if len(to) == 0 && given == "stdout" {
		to = []draft.Value{draft.Of(v.Place, "stdout")}
	}
	if len(to) == 0 {
		return s, errors.Join(append(errs, v.Errorf("to: is missing: the address that events are sent to"))...)
	}
	return s, errors.Join(append(errs, s.fromAddresses(v, given, to, rest))...)
}

func (s *Spec) fromAddresses(v draft.Value, given string, to []draft.Value, rest []draft.Pair) error {
	var first address
	for i, one := range to {
		var text string
		if err := one.Word(&text); err != nil {
			return err
		}
		a, err := parseAddress(text, given)
		switch {
		case err != nil:
			return one.Errorf("%w", err)
		case i == 0:
			first = a
		case a.kind != first.kind || a.secure != first.secure || a.path != first.path || a.user != first.user || a.query != first.query || len(a.hosts) == 0:
			return one.Errorf("addresses of one output may differ only in their hosts")
		default:
			first.hosts = append(first.hosts, a.hosts...)
		}
		for _, e := range a.extra {
			rest = append(rest, draft.Pair{Key: e[0], Place: one.Place, Value: draft.Of(one.Place, e[1])})
		}
	}
	s.Kind = first.kind
	if s.Name == "" {
		s.Name = s.Kind
	}
	s.o.address = first
	s.defaults()
	s.o.batchBytes = int64(s.Batch.Bytes)
	errs := []error{s.apply(rest)}
	s.Batch.Bytes = int(s.o.batchBytes)
	s.o.address.ports()
	if !nameOK(s.Name) {
		errs = append(errs, v.Errorf("name %q: want letters, digits, - and _, no more than 63", s.Name))
	}
	if err := s.check(); err != nil {
		errs = append(errs, v.Errorf("%w", err))
	}
	return errors.Join(errs...)
}

func nameOK(name string) bool {
	return len(name) <= 63 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == ""
}

// firstPause is behind the first attempt that failed.
const firstPause = 500 * time.Millisecond

func (s *Spec) defaults() {
	s.Batch = out.Limits{Bytes: 1 << 20, Events: 5000, Age: 200 * time.Millisecond}
	s.InFlight, s.Timeout = 2, time.Minute
	s.Backoff = backoff.Policy{Min: firstPause, Max: 30 * time.Second, Factor: 2, Jitter: 0.3}
	s.o.replicas, s.o.setupKind, s.o.keep = -1, "stream", 5
	switch s.Kind {
	case "stdout", "file", "syslog", "kafka": // one after the other, in the order of the files
		s.InFlight = 1
	case "s3": // few objects, not too small
		s.InFlight, s.o.gzip, s.o.address.secure = 1, true, true
		s.Batch = out.Limits{Bytes: 8 << 20, Events: 100_000, Age: time.Minute}
	}
	s.o.facility, s.o.text = 16, s.Kind == "loki" || s.Kind == "syslog"
}

// apply reads options. Unknown ones, and those of other kinds, are complaints.
func (s *Spec) apply(rest []draft.Pair) error {
	table := map[string]row{}
	var mine []string
	for _, o := range rows() {
		table[o.name] = o
		if o.takes(s.Kind) {
			mine = append(mine, o.name)
		}
	}
	seen := map[string]bool{}
	var errs []error
	for _, p := range rest {
		o, known := table[p.Key]
		switch {
		case seen[p.Key]:
			errs = append(errs, fmt.Errorf("%s: %s is given twice", p.Place, p.Key))
		case !known && table[p.Key+"-file"].takes(s.Kind) && table[p.Key+"-file"].name != "":
			errs = append(errs, fmt.Errorf("%s: %s is no option of %s: secrets are not written here\nhint: %s-file=FILE or %s-env=NAME", p.Place, p.Key, s.Kind, p.Key, p.Key))
		case !known:
			errs = append(errs, fmt.Errorf("%s: %q is no option of %s%s", p.Place, p.Key, s.Kind, suggest.DidYouMean("", p.Key, mine)))
		case !o.takes(s.Kind):
			errs = append(errs, fmt.Errorf("%s: %s is an option of %s, not of %s", p.Place, p.Key, strings.ReplaceAll(o.kinds, " ", ", "), s.Kind))
		default:
			p.Value.Key = p.Key
			errs = append(errs, o.read(s, p.Value))
		}
		seen[p.Key] = true
	}
	return errors.Join(errs...)
}

// String is the output for people: its name and where it sends to, without options.
func (s Spec) String() string {
	a := s.o.address
	switch s.Kind {
	case "stdout":
		return s.Name + " (stdout)"
	case "file":
		return s.Name + " (" + a.path + ")"
	}
	return fmt.Sprintf("%s (%s at %s)", s.Name, s.Kind, strings.Join(a.hosts, ","))
}

// File is the path of the file that the output writes; empty: it writes none.
func (s Spec) File() string {
	if s.Kind != "file" {
		return ""
	}
	return s.o.address.path
}
