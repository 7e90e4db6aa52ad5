package shape

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"text/template"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/roles/adapter/jq"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// mostBytes bounds what a template may write.
const mostBytes = 16 << 20

func (s *Shape) parseBody(v draft.Value) error {
	var text string
	if err := v.Word(&text); err != nil {
		return err
	}
	t, err := template.New("body").Option("missingkey=zero").Funcs(functions(nil)).Parse(text)
	if err != nil {
		return v.Errorf("%s; functions are metric, samples, sum, min, max, count, has, default, json and those of Go's text/template", strings.TrimPrefix(err.Error(), "template: "))
	}
	s.body = t
	return nil
}

// Sample is a number as templates see it.
type Sample struct {
	Name   string
	Type   string
	Labels map[string]string
	Value  float64
	Text   string // the number as the source wrote it, or as it would be written
}

// functions are what a template can call: nothing that reads files, the environment or the network. Each of the first takes the full name of a metric and, in
// pairs, labels that samples must have.
func functions(p *model.Page) template.FuncMap {
	fold := func(start float64, f func(a, b float64) float64) func(string, ...string) (any, error) {
		return func(name string, labels ...string) (any, error) {
			list, err := find(p, name, labels)
			if err != nil || len(list) == 0 {
				return nil, err
			}
			total := start
			for _, s := range list {
				total = f(total, s.Value)
			}
			return total, nil
		}
	}
	return template.FuncMap{
		"metric": func(name string, labels ...string) (any, error) {
			list, err := find(p, name, labels)
			if err != nil || len(list) == 0 {
				return nil, err
			}
			return list[0].Value, nil
		},
		"samples": func(name string, labels ...string) ([]Sample, error) { return find(p, name, labels) },
		"sum":     fold(0, func(a, b float64) float64 { return a + b }),
		"min":     fold(math.Inf(1), math.Min),
		"max":     fold(math.Inf(-1), math.Max),
		"count": func(name string, labels ...string) (int, error) {
			list, err := find(p, name, labels)
			return len(list), err
		},
		"has": func(name string, labels ...string) (bool, error) {
			list, err := find(p, name, labels)
			return len(list) > 0, err
		},
		"default": func(instead, v any) any {
			if v == nil || v == "" {
				return instead
			}
			return v
		},
		"json": asJSON,
	}
}

// find is every sample of a full name that has the labels.
func find(p *model.Page, name string, labels []string) ([]Sample, error) {
	if len(labels)%2 != 0 {
		return nil, errors.New("labels come in pairs: name, value")
	}
	var list []Sample
	if p == nil {
		return nil, nil
	}
	for i := range p.Families {
		f := &p.Families[i]
		if !strings.HasPrefix(name, f.Name) {
			continue
		}
		for j := range f.Samples {
			s := &f.Samples[j]
			if name[len(f.Name):] == s.Suffix && matches(s.Labels, labels) {
				list = append(list, sampleOf(f, s))
			}
		}
	}
	return list, nil
}

func matches(have []model.Label, want []string) bool {
	for i := 0; i < len(want); i += 2 {
		value := ""
		for _, l := range have {
			if l.Name == want[i] {
				value = l.Value
			}
		}
		if value != want[i+1] {
			return false
		}
	}
	return true
}

func sampleOf(f *model.Family, s *model.Sample) Sample {
	out := Sample{Name: f.Name + s.Suffix, Type: f.Type.String(), Value: s.Value, Text: string(appendPlain(nil, s)), Labels: make(map[string]string, len(s.Labels))}
	for _, l := range s.Labels {
		out.Labels[l.Name] = l.Value
	}
	return out
}

// asJSON writes what the other functions give.
func asJSON(v any) (string, error) {
	switch x := v.(type) {
	case nil, bool, string, int, float64:
		return string(jq.Of(x).AppendJSON(nil)), nil
	case map[string]string:
		m := make(map[string]any, len(x))
		for k, v := range x {
			m[k] = v
		}
		return string(jq.Of(m).AppendJSON(nil)), nil
	case Sample:
		labels, _ := asJSON(x.Labels)
		return fmt.Sprintf(`{"name":%s,"labels":%s,"value":%s}`, jq.Of(x.Name).AppendJSON(nil), labels, jq.Of(x.Value).AppendJSON(nil)), nil
	case []Sample:
		parts := make([]string, len(x))
		for i := range x {
			parts[i], _ = asJSON(x[i])
		}
		return "[" + strings.Join(parts, ",") + "]", nil
	}
	return "", fmt.Errorf("json: a %T cannot be written", v)
}

// sink collects what a template writes.
type sink struct {
	dst  []byte
	left int
}

func (s *sink) Write(b []byte) (int, error) {
	if s.left -= len(b); s.left < 0 {
		return 0, fmt.Errorf("the body has more than %d bytes", mostBytes)
	}
	s.dst = append(s.dst, b...)
	return len(b), nil
}

// execute runs a template on a page. Its dot is every sample.
func execute(t *template.Template, dst []byte, p *model.Page) ([]byte, error) {
	own, err := t.Clone()
	if err != nil {
		return dst, err
	}
	var all []Sample
	for i := range p.Families {
		for j := range p.Families[i].Samples {
			all = append(all, sampleOf(&p.Families[i], &p.Families[i].Samples[j]))
		}
	}
	out := sink{dst: dst, left: mostBytes}
	if err := own.Funcs(functions(p)).Execute(&out, all); err != nil {
		return dst, fmt.Errorf("body: %w", err)
	}
	return []byte(strings.ToValidUTF8(string(out.dst), "\ufffd")), nil
}
