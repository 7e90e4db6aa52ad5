// Package textmap turns text that no format is named after into pages: lines of keys and values, what regular expressions find, tables. Each is made into a
// document, to which the rules of jsonmap apply; numbers are numbers there, all else is text. Presets are such configurations for programs that are common, with the names
// of metrics that their usual exporters give.
package textmap

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"unicode/utf8"
	"unsafe"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/internal/suggest"
	"github.com/sidecar-kit/sidecar/roles/adapter/jq"
	"github.com/sidecar-kit/sidecar/roles/adapter/jsonmap"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// Keys are the keys of a source that this package reads, those of jsonmap among them.
func Keys() []string { return append(own(), jsonmap.Keys()...) }

func own() []string {
	return []string{"separator", "comment", "sections", "pairs", "records", "json", "regex", "per", "columns"}
}

// Formats are the formats that Parse knows, presets among them. "text" is keyvalue with a space between: lines of NAME VALUE.
func Formats() []string { return append([]string{"keyvalue", "text", "regex", "csv"}, Presets()...) }

// Map says how text becomes pages. It may be used by several goroutines at once.
type Map struct {
	format    string
	separator string   // "": the first : or =, for tables a comma
	comment   []string // what begins lines that say nothing
	sections  bool     // "# Name" and "[Name]" begin an object of that name
	pairs     bool     // a=b,c=d is an object
	records   string   // the list whose items follow lines of **** or ----
	json      bool     // a body that begins with { is JSON
	regex     []*regexp.Regexp
	whole     bool // regex is held against the body, not lines
	columns   []string
	rules     *jsonmap.Map
	parts     atomic.Int64 // of the document before
}

// Parse reads the keys of a source of one of Formats; keys beside Keys are somebody else's. With a preset as format, the keys of the source stand beside or in place of the preset's: rules are added to
// its rules.
func Parse(format string, v draft.Value) (*Map, error) {
	if v.Shape != draft.Map && v.Shape != draft.Empty {
		return nil, v.Errorf("want keys and values")
	}
	if !slices.Contains(Formats(), format) {
		return nil, v.Errorf("format %q is none of %s%s", format, strings.Join(Formats(), ", "), suggest.DidYouMean("", format, Formats()))
	}
	m := &Map{format: format}
	if format == "text" {
		m.format, m.separator = "keyvalue", " "
	}
	v, err := m.overlay(v)
	if err != nil {
		return nil, err
	}
	v.Shape = draft.Map
	var errs []error
	seen := map[string]bool{}
	for _, p := range v.Pairs {
		if slices.Contains(own(), p.Key) && !seen[p.Key] {
			seen[p.Key] = true
			if err := m.key(p.Key, p.Value); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", p.Key, err))
			}
		}
	}
	if m.format == "regex" && !seen["regex"] {
		errs = append(errs, v.Errorf("format regex needs regex: an expression with named groups such as (?P<value>[0-9.]+)"))
	}
	if m.format == "keyvalue" && !seen["comment"] {
		m.comment = []string{"#"}
	}
	m.rules, err = jsonmap.Parse(m.defaults(v))
	if errs = append(errs, err); errors.Join(errs...) != nil {
		return nil, errors.Join(errs...)
	}
	m.rules.Texts()
	return m, nil
}

// defaults adds what makes pages of documents when there are no rules.
func (m *Map) defaults(v draft.Value) draft.Value {
	for _, p := range v.Pairs {
		if p.Key == "map" || p.Key == "template" {
			return v
		}
	}
	if m.format != "keyvalue" {
		v.Pairs = append(slices.Clip(v.Pairs), draft.Pair{Key: "template", Place: v.Place, Value: draft.Of(v.Place, "rows")})
	}
	return v
}

func (m *Map) key(key string, v draft.Value) error {
	switch key {
	case "separator":
		if err := v.Word(&m.separator); err != nil {
			return err
		}
		m.separator = strings.NewReplacer(`\t`, "\t", "tab", "\t", "space", " ").Replace(m.separator)
	case "comment":
		return v.Words(&m.comment)
	case "sections":
		return v.Bool(&m.sections)
	case "pairs":
		return v.Bool(&m.pairs)
	case "records":
		return v.Word(&m.records)
	case "json":
		return v.Bool(&m.json)
	case "columns":
		return v.Words(&m.columns)
	case "per":
		var per string
		err := v.OneOf(&per, "line", "body")
		m.whole = per == "body"
		return err
	case "regex":
		return v.Each1(m.expression)
	}
	return nil
}

func (m *Map) expression(v draft.Value) error {
	var text string
	if err := v.Word(&text); err != nil {
		return err
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return v.Errorf("%w", err)
	}
	if strings.Join(re.SubexpNames(), "") == "" {
		return v.Errorf("%q has no named group; write (?P<name>...) around what is to be taken", text)
	}
	m.regex = append(m.regex, re)
	return nil
}

// Decode reads a body. Its error is that of a body that is no UTF-8, in which nothing is found, or that the rules refuse; nothing of it is used then.
func (m *Map) Decode(body []byte, lim model.Limits) (model.Page, model.Drops, error) {
	if !utf8.Valid(body) {
		return model.Page{}, model.Drops{}, errors.New("the text is no UTF-8")
	}
	text := unsafe.String(unsafe.SliceData(body), len(body)) // a body does not change, and is kept as long as its page
	text = strings.TrimPrefix(text, "\ufeff")
	doc, bad, err := m.document(text, body)
	if err != nil {
		return model.Page{}, model.Drops{}, err
	}
	p, drops, err := m.rules.Apply(doc.Root(), lim)
	drops[model.Unreadable] += uint64(bad)
	return p, drops, err
}

// document is what the text says, and how many lines say nothing.
func (m *Map) document(text string, body []byte) (jq.Doc, int, error) {
	if m.json && strings.HasPrefix(strings.TrimLeft(text, " \r\n\t"), "{") {
		doc, err := jq.Parse(body, jq.Limits{})
		return doc, 0, err
	}
	b := jq.NewBuilder(jq.Limits{})
	b.Expect(int(m.parts.Load()))
	var found, bad int
	var err error
	switch m.format {
	case "regex":
		found = m.expressions(b, text)
	case "csv":
		found, bad, err = m.table(b, text)
	default:
		found, bad = m.keyvalue(b, text)
	}
	if err != nil {
		return jq.Doc{}, 0, err
	}
	if found == 0 {
		return jq.Doc{}, 0, fmt.Errorf("nothing of format %s is in the text, which begins %q", m.format, text[:min(len(text), 40)])
	}
	doc, err := b.Doc()
	m.parts.Store(int64(b.Parts()))
	return doc, bad, err
}

// lines calls fn with every line, without its end.
func lines(text string, fn func(line string)) {
	for text != "" {
		line, rest, _ := strings.Cut(text, "\n")
		fn(strings.TrimSuffix(line, "\r"))
		text = rest
	}
}

// expressions makes an object of every match; of the whole body one object, of its first match.
func (m *Map) expressions(b *jq.Builder, text string) (found int) {
	if m.whole {
		for _, re := range m.regex {
			if at := re.FindStringSubmatchIndex(text); at != nil {
				groups(b, re, text, at)
				return 1
			}
		}
		return 0
	}
	b.Array()
	lines(text, func(line string) {
		for _, re := range m.regex {
			if at := re.FindStringSubmatchIndex(line); at != nil {
				groups(b, re, line, at)
				found++
				return
			}
		}
	})
	b.End()
	return found
}

func groups(b *jq.Builder, re *regexp.Regexp, text string, at []int) {
	b.Object()
	for i, name := range re.SubexpNames() {
		if name != "" && at[2*i] >= 0 {
			b.Key(name)
			b.Text(text[at[2*i]:at[2*i+1]])
		}
	}
	b.End()
}
