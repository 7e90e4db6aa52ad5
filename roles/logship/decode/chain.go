// Package decode finds out what a line says: its message, time, level and fields. A decoder works in place and allocates nothing; a line it does
// not understand stays as it is. Keys that are ours, such as @timestamp, kubernetes or _id, cannot be set by an application: they go under a
// prefix. Used by content.
package decode

import (
	"math"
	"strings"

	"github.com/sidecar-kit/sidecar/roles/logship/decode/stamp"
	"github.com/sidecar-kit/sidecar/roles/logship/record"
)

// Chain decodes the records of one input. It is used by one goroutine.
type Chain struct {
	steps  []decoder
	state  state
	text   *stamp.Layout // read from the start of the message
	detect bool
	within int64
}

type decoder interface {
	// decode changes r only if it returns true.
	decode(r *record.Record, s *state) bool
}

// Result says what became of a line.
type Result uint8

// The results.
const (
	Good    Result = iota
	Failed         // a decoder did not understand it
	BadTime        // a time could not be read, or was not believed
)

// New makes the decoders. taken are more keys that applications may not set.
func (c Config) New(taken []string) (*Chain, error) {
	ch := &Chain{detect: c.Level.Detect, within: int64(c.Time.Within)}
	ch.state.prefix, ch.state.levels = c.Prefix, c.Level.Words
	if c.Prefix == "" {
		ch.state.prefix = "app_"
	}
	for _, step := range c.Steps {
		d, err := c.decoder(step, taken)
		if err != nil {
			return nil, err
		}
		ch.steps = append(ch.steps, d)
	}
	if !c.Time.Off && c.Time.Key == "" && c.Time.Layout != "" && !c.knowsTime() {
		layout, err := stamp.Compile(c.Time.Layout, c.Time.Zone)
		if err != nil {
			return nil, err
		}
		ch.text = layout
	}
	return ch, nil
}

// knowsTime tells if a step finds the time without being told where.
func (c Config) knowsTime() bool {
	for i := range c.Steps {
		switch s := &c.Steps[i]; s.Kind {
		case "raw":
		case "json", "auto", "logfmt", "regex", "csv":
			if len(c.timeKeys(s)) > 0 {
				return true
			}
		default:
			return true
		}
	}
	return false
}

// timeKeys are the keys in which a step looks for the time.
func (c Config) timeKeys(s *Step) []string {
	switch {
	case c.Time.Off:
		return nil
	case c.Time.Key != "":
		return []string{c.Time.Key}
	case len(s.Time) > 0:
		return s.Time
	case c.Time.Layout != "" && s.Kind != "regex" && s.Kind != "csv":
		return []string{"@timestamp", "timestamp", "time", "ts"}
	case s.Kind == "regex" || s.Kind == "csv":
		return []string{"@timestamp", "timestamp", "time"}
	}
	return nil
}

func (c Config) names(s *Step, taken []string) *names {
	n := &names{}
	for _, list := range [][]string{Reserved(), taken} {
		for _, key := range list {
			first, _, _ := strings.Cut(key, ".")
			n.add(first, reserved)
		}
	}
	for _, key := range s.Message {
		n.add(key, message)
	}
	levels := s.Level
	if c.Level.Key != "" {
		levels = []string{c.Level.Key}
	}
	for _, key := range levels {
		n.add(key, level)
	}
	for _, key := range c.timeKeys(s) {
		n.add(key, stampKey)
	}
	return n
}

// layout compiles the configured layout, or else the one a decoder knows; nil if times are not wanted.
func (c Config) layout(known string) (*stamp.Layout, error) {
	if c.Time.Off {
		return nil, nil
	}
	if c.Time.Layout != "" {
		known = c.Time.Layout
	}
	return stamp.Compile(known, c.Time.Zone)
}

func (c Config) decoder(s Step, taken []string) (decoder, error) {
	known := map[string]string{
		"nginx": "http", "apache": "http", "common": "http", "combined": "http", "nginx_error": "2006/01/02 15:04:05", "cri": "rfc3339",
		"klog": "0102 15:04:05.000000", "syslog": "syslog",
	}[s.Kind]
	if known == "" {
		known = "auto"
	}
	times, err := c.layout(known)
	if err != nil {
		return nil, err
	}
	if s.json() {
		d := &jsonLines{names: c.names(&s, taken), times: times, depth: s.Depth, limit: s.Fields, chomp: s.Kind == "docker", loose: s.Kind == "auto"}
		if s.Target != "" {
			d.target = s.Target + "."
		}
		return d, nil
	}
	shared := common{names: c.names(&s, taken), times: times, limit: s.Fields, numbers: map[string]bool{}}
	for _, key := range s.Numbers {
		shared.numbers[key] = true
	}
	switch s.Kind {
	case "logfmt":
		return &logfmt{shared}, nil
	case "regex":
		d := &pattern{common: shared, re: s.Pattern}
		for _, name := range s.Pattern.SubexpNames() {
			d.keys = append(d.keys, strings.ReplaceAll(name, "__", "."))
		}
		return d, nil
	case "csv":
		return &csv{shared, s.Columns, s.Separator}, nil
	case "nginx_error":
		return &nginxError{times}, nil
	case "cri":
		return &cri{times}, nil
	case "klog":
		return &klog{times}, nil
	case "syslog":
		d := &syslog{old: times, limit: s.Fields}
		if times != nil {
			d.iso, err = stamp.Compile("rfc3339", c.Time.Zone)
		}
		return d, err
	default:
		return &access{times}, nil
	}
}

// Decode decodes the message of r. What cannot be understood stays as it is.
func (c *Chain) Decode(r *record.Record) Result {
	s := &c.state
	s.begin(r)
	s.badTime = 0
	for _, d := range c.steps {
		if r.Kind == record.Escaped {
			s.text(r)
		}
		if !d.decode(r, s) {
			if j, ok := d.(*jsonLines); ok && j.loose && !looksJSON(r.Message) {
				break
			}
			return Failed
		}
	}
	if c.text != nil && r.Time == 0 {
		m := r.Message
		if len(m) > 0 && m[0] == '[' {
			m = m[1:]
		}
		ns, _, ok := c.text.Parse(m, r.Read)
		if ok {
			r.Time = ns
		} else {
			s.badTime++
		}
	}
	if c.within > 0 && r.Time != 0 && math.Abs(float64(r.Time)-float64(r.Read)) > float64(c.within) {
		r.Time = 0
		s.badTime++
	}
	if c.detect && r.Level == record.Unknown {
		r.Level = s.detect(r.Message)
	}
	if s.badTime > 0 {
		return BadTime
	}
	return Good
}

// Moved counts the keys of applications that went under the prefix. It is for the goroutine that decodes.
func (c *Chain) Moved() int64 { return c.state.moved }

func looksJSON(b []byte) bool {
	for _, ch := range b {
		if ch != ' ' && ch != '\t' {
			return ch == '{'
		}
	}
	return false
}
