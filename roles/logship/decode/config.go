package decode

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/internal/suggest"
	"github.com/sidecar-kit/sidecar/internal/zone"
	"github.com/sidecar-kit/sidecar/roles/logship/decode/stamp"
	"github.com/sidecar-kit/sidecar/roles/logship/record"
)

// Config says how lines are read.
type Config struct {
	Steps  []Step // one after the other, each on the message that the one before left
	Time   Time
	Level  LevelConfig
	Prefix string // for keys of applications that are ours; default "app_"
}

// Step is one decoder.
type Step struct {
	Kind      string   // one of Kinds
	Message   []string // keys that hold the message, level and time
	Level     []string
	Time      []string
	Target    string // keys go below it
	Depth     int    // of objects in objects
	Fields    int    // at most so many keys
	Numbers   []string
	Columns   []string
	Separator byte
	Pattern   *regexp.Regexp
}

// Time says where a record's time is found.
type Time struct {
	Off    bool
	Key    string // "": where the decoder knows it, or the start of the message
	Layout string // "": what the decoder knows, or auto
	Zone   *time.Location
	Within time.Duration // a time further from that of reading is not believed; 0: any is
}

// LevelConfig says where a record's level is found.
type LevelConfig struct {
	Key    string
	Detect bool
	Words  map[string]record.Level
}

// Kinds are the decoders.
func Kinds() []string {
	return []string{
		"raw", "json", "auto", "ecs", "zap", "zerolog", "logrus", "slog", "pino", "bunyan", "log4j", "gcp", "docker", "logfmt", "regex", "csv",
		"nginx", "apache", "common", "combined", "nginx_error", "cri", "syslog", "klog",
	}
}

// Keys are the keys of an input that Parse reads.
func Keys() []string { return []string{"decode", "timestamp", "level", "prefix"} }

// Parse reads one of the Keys into c.
func (c *Config) Parse(key string, v draft.Value) error {
	switch key {
	case "decode":
		return v.Each1(c.step)
	case "timestamp":
		return c.Time.parse(v)
	case "level":
		return c.Level.parse(v)
	default:
		if err := v.Word(&c.Prefix); err != nil {
			return err
		}
		if c.Prefix == "" || strings.ContainsAny(c.Prefix, ". \"\\@") || strings.HasPrefix(c.Prefix, "_") || strings.ToValidUTF8(c.Prefix, "") != c.Prefix {
			return v.Errorf("%q is no prefix: want letters, digits and _, such as app_", c.Prefix)
		}
		return nil
	}
}

// step reads a decoder: its name, or {name: {option: value}}.
func (c *Config) step(v draft.Value) error {
	if v.Shape == draft.Word {
		return c.named(v, v.Text, draft.Value{Place: v.Place})
	}
	if v.Shape != draft.Map || len(v.Pairs) != 1 {
		return v.Errorf("want the name of a decoder, or one with its options: json: {message: msg}")
	}
	return c.named(v, v.Pairs[0].Key, v.Pairs[0].Value)
}

func (c *Config) named(v draft.Value, kind string, options draft.Value) error {
	if !slices.Contains(Kinds(), kind) {
		return v.Errorf("unknown decoder %q%s\nhint: the decoders are %s", kind, suggest.DidYouMean("", kind, Kinds()), strings.Join(Kinds(), ", "))
	}
	s := preset(kind)
	if options.Shape == draft.Word && kind == "regex" {
		options = draft.Value{Place: options.Place, Shape: draft.Map, Pairs: []draft.Pair{{Key: "pattern", Place: options.Place, Value: options}}}
	}
	known := s.options()
	if err := options.Each(known, s.option); err != nil {
		return err
	}
	if kind == "csv" && len(s.Columns) == 0 {
		return v.Errorf("csv needs the names of its columns: csv: {columns: [time, level, message]}")
	}
	if kind == "regex" && s.Pattern == nil {
		return v.Errorf("regex needs a pattern: regex: '^(?P<level>\\w+) (?P<message>.*)'")
	}
	if kind != "raw" {
		c.Steps = append(c.Steps, s)
	}
	return nil
}

// preset is a decoder with what its library writes.
func preset(kind string) Step {
	s := Step{
		Kind: kind, Depth: 8, Fields: 256, Separator: ',',
		Message: []string{"message", "msg"}, Level: []string{"level", "severity", "lvl", "log.level", "loglevel"},
	}
	times := map[string][]string{
		"ecs": {"@timestamp"}, "zap": {"ts"}, "zerolog": {"time"}, "logrus": {"time"}, "slog": {"time"}, "pino": {"time"}, "bunyan": {"time"},
		"log4j": {"instant", "timeMillis", "@timestamp"}, "gcp": {"time", "timestamp"}, "docker": {"time"},
	}
	s.Time = times[kind]
	if kind == "docker" {
		s.Message, s.Level = []string{"log"}, nil
	}
	return s
}

// json tells if lines are JSON objects.
func (s *Step) json() bool { return slices.Contains(Kinds()[1:13], s.Kind) }

func (s *Step) options() []string {
	keys := []string{"message", "level", "fields"}
	switch {
	case s.json():
		return append(keys, "target", "depth")
	case s.Kind == "logfmt":
		return append(keys, "numbers")
	case s.Kind == "regex":
		return append(keys, "numbers", "pattern")
	case s.Kind == "csv":
		return append(keys, "numbers", "columns", "separator")
	}
	return []string{"fields"}
}

func (s *Step) option(key string, v draft.Value) error {
	switch key {
	case "message":
		return v.Words(&s.Message)
	case "level":
		return v.Words(&s.Level)
	case "fields":
		return v.Int(&s.Fields, 1, 10_000)
	case "depth":
		return v.Int(&s.Depth, 0, 100)
	case "numbers":
		return v.Words(&s.Numbers)
	case "columns":
		return v.Words(&s.Columns)
	case "target":
		return s.setTarget(v)
	case "separator":
		return s.setSeparator(v)
	default:
		var text string
		if err := v.Word(&text); err != nil {
			return err
		}
		re, err := regexp.Compile(text)
		if err != nil {
			return v.Errorf("%q: %v", text, err)
		}
		if len(re.SubexpNames()) == 1 || strings.Join(re.SubexpNames(), "") == "" {
			return v.Errorf("%q names no part: write (?P<level>\\w+) for what shall become the field level", text)
		}
		s.Pattern = re
		return nil
	}
}

func (s *Step) setTarget(v draft.Value) error {
	if err := v.Word(&s.Target); err != nil {
		return err
	}
	first, _, _ := strings.Cut(s.Target, ".")
	if first == "" || slices.Contains(Reserved(), first) {
		return v.Errorf("target %q is a name that is ours: take another, such as app", s.Target)
	}
	return nil
}

func (s *Step) setSeparator(v draft.Value) error {
	var text string
	if err := v.Word(&text); err != nil {
		return err
	}
	text = strings.NewReplacer(`\t`, "\t", "tab", "\t").Replace(text)
	if len(text) != 1 || text == `"` || text == "\n" {
		return v.Errorf("separator %q is not one byte, such as ; or tab", text)
	}
	s.Separator = text[0]
	return nil
}

// parse reads none, a layout, or {key, layout, zone, within}.
func (t *Time) parse(v draft.Value) error {
	if v.Shape == draft.Word {
		if t.Off = v.Text == "none"; t.Off {
			return nil
		}
		t.Layout = v.Text
		return t.check(v)
	}
	err := v.Each([]string{"key", "layout", "zone", "within"}, func(key string, v draft.Value) error {
		switch key {
		case "key":
			return v.Word(&t.Key)
		case "layout":
			if err := v.Word(&t.Layout); err != nil {
				return err
			}
			return t.check(v)
		case "within":
			return v.Duration(&t.Within, time.Second, 36500*24*time.Hour)
		default:
			var name string
			if err := v.Word(&name); err != nil {
				return err
			}
			var err error
			if t.Zone, err = zone.Load(name); err != nil {
				return v.Errorf("zone %q is not known: want a name such as UTC or Europe/Berlin", name)
			}
			return nil
		}
	})
	return err
}

func (t *Time) check(v draft.Value) error {
	if _, err := stamp.Compile(t.Layout, nil); err != nil {
		return fmt.Errorf("%s: %w", v.Place, err)
	}
	return nil
}

// parse reads a key, detect, or {key, words}.
func (l *LevelConfig) parse(v draft.Value) error {
	if v.Shape == draft.Word {
		if l.Detect = v.Text == "detect"; !l.Detect {
			l.Key = v.Text
		}
		return nil
	}
	return v.Each([]string{"key", "detect", "words"}, func(key string, v draft.Value) error {
		switch key {
		case "key":
			return v.Word(&l.Key)
		case "detect":
			return v.Bool(&l.Detect)
		default:
			l.Words = map[string]record.Level{}
			return v.All(func(word string, v draft.Value) error {
				var text string
				if err := v.Word(&text); err != nil {
					return err
				}
				level, ok := Named(text)
				if !ok {
					return errors.Join(v.Errorf("%q is no level%s: want trace, debug, info, notice, warn, error, critical, alert or emergency",
						text, suggest.DidYouMean("", text, []string{"trace", "debug", "info", "notice", "warn", "error", "critical", "alert", "emergency"})))
				}
				l.Words[word] = level
				return nil
			})
		}
	})
}
