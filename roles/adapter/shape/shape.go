// Package shape writes pages as JSON and as plain text, for readers that know no metrics: as families (prom2json), samples (array), series (flat) or
// levels of labels (nested), as what a jq query or a template makes of them, or as lines. It also finds the HTTP status that goes with a page. The text formats of Prometheus are expo's.
//
// What the shapes lose, beside what another reader may do with the rest:
//
//	prom2json             exemplars; of a histogram's or summary's parts all timestamps but the first's
//	array                 exemplars, help, unit, _created of families without samples
//	flat, nested          exemplars, help, unit, types, timestamps
//	keyvalue, redis-info  as flat; redis-info also , = and line ends within label values, which become _
//
// Numbers stay as the source wrote them; NaN and infinities are the strings "NaN", "+Inf", "-Inf". Bytes that are no UTF-8 become U+FFFD.
package shape

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/roles/adapter/jq"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// Keys are the keys of a view that this package reads, beside format, which it looks at.
func Keys() []string { return []string{"template", "jq", "body", "status", "content-type"} }

// Templates are the shapes that a view may have, and what they are.
func Templates() map[string]string {
	return map[string]string{
		"prom2json":  "a JSON list of families with their metrics, as prom2json writes it",
		"array":      "a JSON list of samples: name, type, labels, value, time",
		"flat":       `a JSON object of series: {"name{label=\"value\"}": 1}`,
		"nested":     `a JSON object with labels and their values as levels: {"name": {"label": {"value": 1}}}`,
		"keyvalue":   `lines: name{label="value"}: 1`,
		"redis-info": "lines as INFO of Redis has them: name:1 and name:label=value,value=1",
		"text":       `lines: name{label="value"} 1`,
	}
}

// Shape is how a view writes pages. It may be used by several goroutines at once.
type Shape struct {
	template    string
	jq          *jq.Query
	body        *template.Template
	contentType string
	status      []condition
	families    bool // a query names $families
}

// condition is a status and when it is answered.
type condition struct {
	code  int // 0: what the query gives
	query *jq.Query
}

// Result is a page that was written.
type Result struct {
	Body   []byte
	Status int // of HTTP; 200 where the view has no status
	Drops  model.Drops
}

// Parse reads the keys of a view; others than Keys and format are somebody else's.
func Parse(v draft.Value) (*Shape, error) {
	s := &Shape{template: "prom2json"}
	if v.Shape != draft.Map && v.Shape != draft.Empty {
		return s, v.Errorf("want keys and values")
	}
	var errs []error
	given := map[string]bool{}
	for _, p := range v.Pairs {
		if p.Key == "format" && s.known(p.Value.Text) && !given["template"] {
			s.template = p.Value.Text
		}
		if key := strings.ReplaceAll(p.Key, "_", "-"); slices.Contains(Keys(), key) {
			given[key] = true
			errs = append(errs, s.key(key, p.Value))
		}
	}
	for _, both := range [][2]string{{"template", "jq"}, {"template", "body"}, {"jq", "body"}} {
		if given[both[0]] && given[both[1]] {
			errs = append(errs, v.Errorf("%s and %s exclude each other; leave out one", both[0], both[1]))
		}
	}
	return s, errors.Join(errs...)
}

func (s *Shape) known(name string) bool {
	_, ok := Templates()[name]
	return ok
}

func (s *Shape) key(key string, v draft.Value) error {
	switch key {
	case "template":
		return v.OneOf(&s.template, "prom2json", "array", "flat", "nested", "keyvalue", "redis-info", "text")
	case "jq":
		return s.compile(v, &s.jq)
	case "content-type":
		return v.Word(&s.contentType)
	case "body":
		return s.parseBody(v)
	}
	if v.Shape == draft.Word {
		c := condition{}
		err := s.compile(v, &c.query)
		s.status = append(s.status, c)
		return err
	}
	return v.All(func(key string, v draft.Value) error {
		code, err := strconv.Atoi(key)
		if err != nil || code < 200 || code > 599 {
			return v.Errorf("%q is no HTTP status from 200 to 599; write status: {503: '.up == 0'}", key)
		}
		c := condition{code: code}
		err = s.compile(v, &c.query)
		s.status = append(s.status, c)
		return err
	})
}

func (s *Shape) compile(v draft.Value, dst **jq.Query) error {
	var text string
	if err := v.Word(&text); err != nil {
		return err
	}
	q, err := jq.Compile(text, "$families")
	if err != nil {
		return v.Errorf("%w", err)
	}
	s.families = s.families || q.Uses("$families")
	*dst = q
	return nil
}

// ContentType is that of the bodies.
func (s *Shape) ContentType() string {
	switch {
	case s.contentType != "":
		return s.contentType
	case s.body != nil, s.jq == nil && (s.template == "keyvalue" || s.template == "redis-info" || s.template == "text"):
		return "text/plain; charset=utf-8"
	}
	return "application/json"
}

// Encode writes a page whose families are expanded (expo.Expand); see Render.
func (s *Shape) Encode(dst []byte, p *model.Page) ([]byte, model.Drops, error) {
	r, err := s.Render(dst, p)
	return r.Body, r.Drops, err
}

// Render appends the body of a page to dst and finds its status. The samples of a family that is still a block of text are counted as Unstorable. The error is that of a
// query or a template; dst is not changed then.
func (s *Shape) Render(dst []byte, p *model.Page) (Result, error) {
	r := Result{Body: dst, Status: 200}
	for i := range p.Families {
		if p.Families[i].Block != "" {
			r.Drops[model.Unstorable] += uint64(p.Families[i].Count)
		}
	}
	var in jq.Value
	vars := make([]jq.Value, 1)
	if s.jq != nil || len(s.status) > 0 {
		var err error
		if in, err = document(appendNested(nil, p, true)); err != nil {
			return r, err
		}
		if s.families {
			if vars[0], err = document(appendFamilies(nil, p, true)); err != nil {
				return r, err
			}
		}
	}
	run := jq.Start(context.Background(), jq.Budget{})
	if err := s.answer(run, in, vars, &r); err != nil {
		return r, err
	}
	body, err := s.write(run, dst, p, in, vars)
	if err == nil {
		r.Body = body
	}
	return r, err
}

func document(text []byte) (jq.Value, error) {
	doc, err := jq.Parse(text, jq.Limits{Bytes: 1 << 31, Nodes: 1 << 28})
	if err != nil {
		return jq.Value{}, err
	}
	return doc.Root(), nil
}

// answer finds the status: of the first condition that holds, or what the query gives.
func (s *Shape) answer(run *jq.Run, in jq.Value, vars []jq.Value, r *Result) error {
	for _, c := range s.status {
		v, _, err := run.First(c.query, in, vars)
		if err != nil {
			return err
		}
		if c.code != 0 {
			if v.Truthy() {
				r.Status = c.code
				return nil
			}
			continue
		}
		code, _, ok := v.Number()
		switch {
		case ok && code == float64(int(code)) && code >= 200 && code <= 599:
			r.Status = int(code)
		case v.Kind() == jq.True:
		case v.Kind() == jq.False:
			r.Status = 503
		default:
			return errors.New("status: the query gives " + string(v.AppendJSON(nil)) + ", which is no HTTP status, true or false")
		}
	}
	return nil
}

func (s *Shape) write(run *jq.Run, dst []byte, p *model.Page, in jq.Value, vars []jq.Value) ([]byte, error) {
	switch {
	case s.jq != nil:
		return s.query(run, dst, in, vars)
	case s.body != nil:
		return execute(s.body, dst, p)
	}
	switch s.template {
	case "array":
		return append(appendArray(dst, p), '\n'), nil
	case "flat":
		return append(appendFlat(dst, p), '\n'), nil
	case "nested":
		return append(appendNested(dst, p, false), '\n'), nil
	case "keyvalue", "text", "redis-info":
		return appendLines(dst, p, s.template), nil
	}
	return append(appendFamilies(dst, p, false), '\n'), nil
}

// query writes each result of the query on a line; strings as they are when the content type is no JSON.
func (s *Shape) query(run *jq.Run, dst []byte, in jq.Value, vars []jq.Value) ([]byte, error) {
	raw := !isJSON(s.ContentType())
	start := len(dst)
	err := run.Each(s.jq, in, vars, func(it jq.Item) error {
		if text, is := it.Str(); is && raw {
			dst = append(append(dst, text...), '\n')
			return nil
		}
		dst = append(it.AppendJSON(dst), '\n')
		return nil
	})
	if err == nil && len(dst) == start {
		err = errors.New("jq: the query " + strconv.Quote(s.jq.String()) + " gives nothing")
	}
	return dst, err
}
