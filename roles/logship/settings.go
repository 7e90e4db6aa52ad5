package logship

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/internal/probe"
	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/internal/suggest"
	"github.com/sidecar-kit/sidecar/roles/logship/content"
	"github.com/sidecar-kit/sidecar/roles/logship/keep"
	"github.com/sidecar-kit/sidecar/roles/logship/outputs"
	"github.com/sidecar-kit/sidecar/roles/logship/source"
)

// Config is what the flags and the file say.
type Config struct {
	Paths, Exclude []string
	To             []string
	Start          string
	IgnoreOlder    string
	Engine         string
	Pin            string // auto, always or never
	Decode         string
	Multiline      string
	Timestamp      string
	Kubernetes     bool
	Add            []string
	Redact         []string
	MaxLine        string
	LongLines      string
	Symlinks       []string
	FIFO           bool
	Delete, Punch  bool

	State         string
	Buffer        string // bytes of all batches
	Spool         string
	SpoolMax      string
	SpoolPolicy   string // block or drop-oldest
	PinMax        string
	PinPolicy     string // block, drop-oldest or drop-newest
	DeadLetter    string
	DeadLetterMax string
	MaxOpen       int
	Linger        time.Duration
	StopWhen      []string

	inputs, outputs         draft.Value
	inputsNode, outputsNode *yaml.Node
	reread                  func() error
	waiting                 func() []string // keys of the file that changed and need another start
	file                    func() string
}

// blocks is the policy that drops nothing.
const blocks = "block"

// Default returns what holds without any flag.
func Default() Config {
	return Config{
		Start: "beginning", Engine: "block", Pin: "auto", MaxLine: "1MiB", LongLines: "split", Buffer: "16MiB", SpoolMax: "256MiB", SpoolPolicy: blocks, PinMax: "0", PinPolicy: blocks,
		DeadLetterMax: "64MiB", MaxOpen: 512,
	}
}

// plan is the configuration, understood.
type plan struct {
	inputs  []input
	outputs []outputs.Spec

	state, spool, dead       string
	buffer, spoolMax, pinMax int64
	deadMax                  int64
	stopWhen                 []*probe.Check
}

type input struct {
	source  source.Input
	content content.Config
	keep    keep.Policy
	outputs []string // names; empty: all
}

// own are the keys of an input that are neither the source's nor the content's.
func own() []string { return append(keep.Keys(), "outputs") }

// plan understands everything, or returns all complaints.
func (c *Config) plan() (*plan, error) {
	p := &plan{}
	var errs []error
	add := func(v draft.Value) error {
		in, err := parseInput(v)
		p.inputs = append(p.inputs, in)
		return err
	}
	if len(c.Paths) > 0 {
		v, err := c.flagInput()
		errs = append(errs, err, add(v))
	}
	errs = append(errs, c.inputs.Each1(add))
	for i, text := range c.To {
		place := "--to"
		if len(c.To) > 1 {
			place += " " + strconv.Itoa(i+1)
		}
		spec, err := outputs.Parse(draft.Of(place, text))
		p.outputs = append(p.outputs, spec)
		errs = append(errs, err)
	}
	errs = append(errs, c.outputs.Each1(func(v draft.Value) error {
		spec, err := outputs.Parse(v)
		p.outputs = append(p.outputs, spec)
		return err
	}))
	errs = append(errs, c.sizes(p), c.probes(p))
	if errors.Join(errs...) == nil {
		errs = append(errs, p.complete())
	}
	if errors.Join(errs...) == nil {
		errs = append(errs, c.places(p))
	}
	return p, errors.Join(errs...)
}

// parseInput reads an entry of inputs.
func parseInput(v draft.Value) (input, error) {
	var in input
	var errs []error
	known := slices.Concat(source.Keys(), content.Keys(), own())
	errs = append(errs, v.All(func(key string, v draft.Value) error {
		if slices.Contains(known, key) {
			return nil
		}
		return v.Errorf("unknown key %q%s", key, suggest.DidYouMean("", key, known))
	}))
	var err error
	in.source, err = source.ParseInput(v)
	errs = append(errs, err)
	in.content, err = content.Parse(only(v, content.Keys()))
	errs = append(errs, err)
	in.keep, err = keep.Parse(only(v, keep.Keys()))
	errs = append(errs, err)
	errs = append(errs, only(v, []string{"outputs"}).All(func(_ string, v draft.Value) error { return v.Words(&in.outputs) }))
	return in, errors.Join(errs...)
}

// only is a mapping with those of v's keys that are in keys.
func only(v draft.Value, keys []string) draft.Value {
	if v.Shape != draft.Map {
		return draft.Value{Place: v.Place, Shape: draft.Empty}
	}
	part := v
	part.Pairs = slices.DeleteFunc(slices.Clone(v.Pairs), func(p draft.Pair) bool { return !slices.Contains(keys, p.Key) })
	return part
}

// flagInput is the input that the flags describe.
func (c *Config) flagInput() (draft.Value, error) {
	v := draft.Value{Place: "--path", Shape: draft.Map}
	put := func(flag, key string, value draft.Value) {
		value.Place = "--" + flag
		v.Pairs = append(v.Pairs, draft.Pair{Key: key, Place: "--" + flag, Value: value})
	}
	word := func(flag, key, text string) {
		if text != "" {
			put(flag, key, draft.Of("", text))
		}
	}
	list := func(flag, key string, texts []string) {
		if len(texts) == 0 {
			return
		}
		l := draft.Value{Shape: draft.List}
		for _, text := range texts {
			l.Items = append(l.Items, draft.Of("--"+flag, text))
		}
		put(flag, key, l)
	}
	word("path", "name", "files")
	list("path", "paths", c.Paths)
	list("exclude", "exclude", c.Exclude)
	word("start", "start", c.Start)
	word("ignore-older", "ignore-older", c.IgnoreOlder)
	word("engine", "engine", c.Engine)
	word("pin", "pin", c.Pin)
	word("decode", "decode", c.Decode)
	word("multiline", "multiline", c.Multiline)
	word("max-line", "max-line", c.MaxLine)
	word("long-lines", "long-lines", c.LongLines)
	list("symlinks", "symlinks", c.Symlinks)
	if c.FIFO {
		word("fifo", "fifo", "true")
	}
	if c.Delete {
		word("delete", "delete", "true")
	}
	if c.Punch {
		word("punch", "punch", "true")
	}
	steps, err := c.flagTransforms()
	if len(steps.Items) > 0 {
		put("add", "transforms", steps)
	}
	return v, err
}

// flagTransforms are the transforms that the flags describe.
func (c *Config) flagTransforms() (draft.Value, error) {
	steps := draft.Value{Shape: draft.List}
	step := func(flag, key string, value draft.Value) {
		value.Place = "--" + flag
		steps.Items = append(steps.Items, draft.Value{Place: "--" + flag, Shape: draft.Map, Pairs: []draft.Pair{{Key: key, Place: "--" + flag, Value: value}}})
	}
	if c.Kubernetes {
		steps.Items = append(steps.Items, draft.Of("--kubernetes", "kubernetes"))
	}
	var errs []error
	facts := draft.Value{Shape: draft.Map}
	for _, text := range c.Add {
		key, value, ok := strings.Cut(text, "=")
		if !ok || key == "" {
			errs = append(errs, fmt.Errorf("--add %s: want KEY=VALUE, such as env=prod or kubernetes.pod.name=${POD_NAME}", text))
			continue
		}
		facts.Pairs = append(facts.Pairs, draft.Pair{Key: key, Place: "--add", Value: draft.Of("--add "+key, value)})
	}
	if len(facts.Pairs) > 0 {
		step("add", "add", facts)
	}
	if len(c.Redact) > 0 {
		presets := draft.Value{Shape: draft.List}
		for _, text := range c.Redact {
			presets.Items = append(presets.Items, draft.Of("--redact", text))
		}
		step("redact", "redact", presets)
	}
	return steps, errors.Join(errs...)
}

// sizes reads the flags that are numbers of bytes.
func (c *Config) sizes(p *plan) error {
	var errs []error
	for _, s := range []struct {
		flag, text string
		to         *int64
		low        int64
	}{
		{"buffer", c.Buffer, &p.buffer, 256 << 10},
		{"spool-max", c.SpoolMax, &p.spoolMax, 0},
		{"pin-max", c.PinMax, &p.pinMax, 0},
		{"dead-letter-max", c.DeadLetterMax, &p.deadMax, 64 << 10},
	} {
		errs = append(errs, draft.Of("--"+s.flag, s.text).Size(s.to, s.low, 1<<50))
	}
	if c.Linger < 0 {
		errs = append(errs, fmt.Errorf("--linger %s: want 0s or more", c.Linger))
	}
	if c.MaxOpen < 8 {
		errs = append(errs, fmt.Errorf("--max-open %d: want 8 or more", c.MaxOpen))
	}
	return errors.Join(errs...)
}

func (c *Config) probes(p *plan) error {
	var errs []error
	for _, text := range c.StopWhen {
		check, err := probe.Parse(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("--stop-when %s: %w", secret.NewURL(text), err))
			continue
		}
		p.stopWhen = append(p.stopWhen, check)
	}
	return errors.Join(errs...)
}

// complete gives names and checks what belongs together.
func (p *plan) complete() error {
	if len(p.inputs) == 0 {
		return errors.New("no input\nhint: want --path '/var/log/app/*.log', or inputs: in the config file")
	}
	if len(p.outputs) == 0 {
		return errors.New("no output\nhint: want --to such as elasticsearch://es:9200/index, loki://loki:3100 or stdout, or outputs: in the config file")
	}
	var errs []error
	seen := map[string]bool{}
	for i := range p.outputs {
		o := &p.outputs[i]
		if o.Name == o.Kind {
			o.Name = unique("", o.Kind, seen) // it was given none
		}
		if seen[o.Name] {
			errs = append(errs, fmt.Errorf("two outputs have the name %s: give each its own", o.Name))
		}
		seen[o.Name] = true
	}
	known := seen
	seen = map[string]bool{}
	for i := range p.inputs {
		in := &p.inputs[i]
		in.source.Name = unique(in.source.Name, "input", seen)
		if seen[in.source.Name] {
			errs = append(errs, fmt.Errorf("two inputs have the name %s: give each its own", in.source.Name))
		}
		seen[in.source.Name] = true
		for _, name := range in.outputs {
			if !known[name] {
				errs = append(errs, fmt.Errorf("input %s: no output has the name %s%s", in.source.Name, name, suggest.DidYouMean("", name, p.names())))
			}
		}
		if len(in.outputs) == 0 {
			in.outputs = p.names()
		}
	}
	return errors.Join(errs...)
}

func (p *plan) names() (all []string) {
	for _, o := range p.outputs {
		all = append(all, o.Name)
	}
	return all
}

// unique is name, or where there is none kind with a number if it needs one.
func unique(name, kind string, taken map[string]bool) string {
	if name != "" {
		return name
	}
	for i, try := 2, kind; ; i++ {
		if !taken[try] {
			return try
		}
		try = kind + strconv.Itoa(i)
	}
}

// readers are the outputs of each input.
func (p *plan) readers() map[string][]string {
	m := map[string][]string{}
	for _, in := range p.inputs {
		m[in.source.Name] = in.outputs
	}
	return m
}

// inputsOf are the names of the inputs that an output reads.
func (p *plan) inputsOf(output string) (names []string) {
	for _, in := range p.inputs {
		if slices.Contains(in.outputs, output) {
			names = append(names, in.source.Name)
		}
	}
	return names
}

// Validate returns all complaints at once.
func (c *Config) Validate() error {
	p, err := c.plan()
	if err != nil {
		return err
	}
	return p.try(func(string) (string, bool) { return "there", true }) // secrets need not be where settings are checked
}
