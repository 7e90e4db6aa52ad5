// Package otlp reads and writes metrics of OpenTelemetry: the body of a request to /v1/metrics, in protocol buffers and, to read, in JSON. Names, units, resources
// and types follow the OpenTelemetry specification of compatibility with Prometheus. Used by the receiver of pushed metrics and by emit.
//
// What is lost on the way in: the start times of points, minimum and maximum of histograms, flags, and what a scope has besides its name and version. Exponential
// histograms become ones with fixed buckets, because buckets that move cannot be added up. On the way out: infos and statesets become gauges, gauge histograms
// cannot be told and are counted as unstorable.
package otlp

import (
	"slices"
	"time"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/internal/proto"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// Options say how bodies are read and written. The zero value is what Prometheus does.
type Options struct {
	JSON bool // the body to read is JSON

	NoSuffixes bool      // names do not get units and _total
	NoTarget   bool      // resources give job and instance, but no target_info
	Scopes     bool      // series get otel_scope_name and otel_scope_version
	Promote    []string  // attributes of resources that become labels of every series
	Bounds     []float64 // buckets of exponential histograms, ascending; none: the powers of two from 2^-20 to 2^20

	Resource []model.Label             // of what is written
	Scope    string                    // likewise
	Start    time.Time                 // of counters that are written
	Now      time.Time                 // of samples that are written and have no time
	Expand   func(*model.Family) error // reads blocks of text; needed to write pages that have any
}

// Keys are what Parse knows.
func Keys() []string {
	return []string{"suffixes", "target-info", "scope-labels", "promote", "exponential-buckets"}
}

// Parse reads the options of a source.
func Parse(v draft.Value) (Options, error) {
	o := Options{}
	return o, v.Each(Keys(), func(key string, v draft.Value) error {
		on := true
		switch key {
		case "suffixes":
			err := v.Bool(&on)
			o.NoSuffixes = !on
			return err
		case "target-info":
			err := v.Bool(&on)
			o.NoTarget = !on
			return err
		case "scope-labels":
			return v.Bool(&o.Scopes)
		case "promote":
			return v.Words(&o.Promote)
		}
		return v.Each1(func(v draft.Value) error {
			var b float64
			if err := v.Float(&b, -1e300, 1e300); err != nil {
				return err
			}
			if n := len(o.Bounds); n > 0 && b <= o.Bounds[n-1] {
				return v.Errorf("bucket %s is not above the one before it", v.Text)
			}
			o.Bounds = append(o.Bounds, b)
			return nil
		})
	})
}

// Decode reads a body whose counters and histograms are all cumulative. Points of delta temporality are counted as unstorable, and of two points of a series the last counts.
func Decode(body []byte, o Options, lim model.Limits) (model.Page, model.Drops, error) {
	absolute, delta, drops, err := Split(body, o, lim)
	if err != nil {
		return model.Page{}, drops, err
	}
	drops[model.Unstorable] += uint64(delta.Len()) //nolint:gosec // a length
	unique(&absolute, &drops)
	return absolute, drops, nil
}

// Split reads a body, and keeps apart what takes the place of what was before and what has to be added to it. Samples are stamped with their times, by which a delta that is
// sent twice can be known. A series may be in a page more than once; the last one counts. The error refuses all of the body.
func Split(body []byte, o Options, lim model.Limits) (absolute, delta model.Page, drops model.Drops, err error) {
	if o.JSON {
		if body, err = fromJSON(body); err != nil {
			return absolute, delta, drops, err
		}
	}
	d := newDecoder(o, lim)
	if err = d.request(body); err != nil {
		return absolute, delta, d.drops, err
	}
	for i := range d.pages {
		p := &d.pages[i].page
		p.Families = slices.DeleteFunc(p.Families, func(f model.Family) bool { return len(f.Samples) == 0 })
	}
	return d.pages[0].page, d.pages[1].page, d.drops, nil
}

// unique keeps the last sample of each series.
func unique(p *model.Page, drops *model.Drops) {
	var key []byte
	for i := range p.Families {
		f := &p.Families[i]
		last := make(map[string]int, len(f.Samples))
		kept := f.Samples[:0]
		for _, s := range f.Samples {
			key = appendKey(append(key[:0], s.Suffix...), s.Labels, "")
			if at, ok := last[string(key)]; ok {
				kept[at] = s
				drops[model.Repeated]++
				continue
			}
			last[string(key)] = len(kept)
			kept = append(kept, s)
		}
		f.Samples = kept
	}
}

// appendKey appends labels, but the one that is named without.
func appendKey(dst []byte, labels []model.Label, without string) []byte {
	for _, l := range labels {
		if l.Name != without || without == "" {
			dst = append(append(append(append(dst, 0xff), l.Name...), 0xff), l.Value...)
		}
	}
	return dst
}

// Answer is the body of the answer to a request of which rejected points were not taken; 0 is full success, which is an empty message.
func Answer(rejected uint64, why string, asJSON bool) []byte {
	if asJSON {
		return answerJSON(rejected, why)
	}
	if rejected == 0 {
		return nil
	}
	partial := proto.Uint(nil, 1, rejected)
	return proto.Bytes(nil, 1, proto.Bytes(partial, 2, why))
}

// Rejected is how many points the body of an answer in protocol buffers says were not taken: the other end of Answer.
func Rejected(answer []byte) uint64 {
	var n uint64
	_ = each(answer, func(field int, value []byte) error {
		if field != 1 {
			return nil
		}
		return proto.Each(value, func(field int, number uint64, _ []byte) error {
			if field == 1 {
				n = number
			}
			return nil
		})
	})
	return n
}
