package relabel

import (
	"crypto/md5" //nolint:gosec // what Prometheus' hashmod takes; nothing secret
	"encoding/binary"
	"regexp"
	"strconv"
	"strings"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/internal/order"
	"github.com/sidecar-kit/sidecar/roles/adapter/expo"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

const nameLabel = "__name__"

// rule is one of metric_relabel_configs.
type rule struct {
	action      string
	source      []string
	separator   string
	target      string
	regex       *regexp.Regexp
	anything    bool // regex is the default
	replacement string
	modulus     uint64
}

// actions are what a rule may do.
func actions() []string {
	return []string{"replace", "keep", "drop", "keepequal", "dropequal", "hashmod", "labelmap", "labeldrop", "labelkeep", "lowercase", "uppercase"}
}

// parseRule reads a rule as Prometheus does.
func parseRule(v draft.Value) (rule, error) {
	r := rule{action: "replace", separator: ";", replacement: "$1", anything: true}
	given := map[string]draft.Value{}
	known := []string{"source_labels", "separator", "target_label", "regex", "modulus", "replacement", "action"}
	err := v.Each(known, func(key string, v draft.Value) error {
		given[key] = v
		return r.set(key, v)
	})
	if err != nil {
		return r, err
	}
	if r.regex == nil {
		r.regex = regexp.MustCompile("^(?s:(.*))$")
	}
	return r, r.check(v, given)
}

func (r *rule) set(key string, v draft.Value) (err error) {
	switch key {
	case "source_labels":
		return v.Words(&r.source)
	case "separator":
		return empty(v, &r.separator)
	case "target_label":
		return v.Word(&r.target)
	case "replacement":
		return empty(v, &r.replacement)
	case "action":
		v.Text = strings.ToLower(v.Text)
		return v.OneOf(&r.action, actions()...)
	case "regex":
		var s string
		if err := empty(v, &s); err != nil {
			return err
		}
		if r.regex, err = compile(s); err != nil {
			return v.Errorf("regex %q: %w", s, err)
		}
		r.anything = s == "(.*)"
		return nil
	case "modulus":
		if r.modulus, err = strconv.ParseUint(v.Text, 10, 64); err != nil || r.modulus == 0 || v.Shape != draft.Word {
			return v.Errorf("modulus %q is no whole number from 1 on", v.Text)
		}
	}
	return nil
}

// empty reads a word that may be empty.
func empty(v draft.Value, dst *string) error {
	if v.Shape == draft.Empty {
		*dst = ""
		return nil
	}
	return v.Word(dst)
}

func compile(s string) (*regexp.Regexp, error) { return regexp.Compile("^(?s:" + s + ")$") }

// check complains of what Prometheus complains of.
func (r *rule) check(v draft.Value, given map[string]draft.Value) error {
	_, hasTarget := given["target_label"]
	needsTarget := map[string]bool{"replace": true, "hashmod": true, "lowercase": true, "uppercase": true, "keepequal": true, "dropequal": true}
	if needsTarget[r.action] && (!hasTarget || r.target == "") {
		return v.Errorf("action %s needs target_label", r.action)
	}
	only := func(allowed string) error {
		for _, key := range []string{"source_labels", "separator", "target_label", "regex", "modulus", "replacement"} {
			if w, ok := given[key]; ok && !strings.Contains(allowed, key) && !r.isDefault(key) {
				return w.Errorf("action %s takes only %s; remove %s", r.action, allowed, key)
			}
		}
		return nil
	}
	switch r.action {
	case "hashmod":
		if r.modulus == 0 {
			return v.Errorf("action hashmod needs modulus, a number from 1 on")
		}
	case "keepequal", "dropequal":
		return only("source_labels and target_label")
	case "labeldrop", "labelkeep":
		return only("regex")
	case "lowercase", "uppercase":
		if r.replacement != "$1" {
			return given["replacement"].Errorf("action %s takes no replacement; remove it", r.action)
		}
	case "labelmap":
		if r.replacement == "" {
			return given["replacement"].Errorf("action labelmap needs a replacement that is a name of a label")
		}
	}
	return nil
}

// isDefault reports whether a key says what would be without it.
func (r *rule) isDefault(key string) bool {
	switch key {
	case "separator":
		return r.separator == ";"
	case "regex":
		return r.anything
	case "replacement":
		return r.replacement == "$1"
	case "target_label":
		return r.target == ""
	}
	return false
}

// labels are those of a sample while rules change them. base is not changed; what is added or deleted stands beside it, as in Prometheus, where
// the order in which labelmap goes through them follows from that.
type labels struct {
	base []model.Label
	add  []model.Label
	del  []string
}

func (l *labels) reset(base []model.Label) { l.base, l.add, l.del = base, l.add[:0], l.del[:0] }

func (l *labels) get(name string) string {
	for i := range l.add {
		if l.add[i].Name == name {
			return l.add[i].Value
		}
	}
	if l.deleted(name) {
		return ""
	}
	for i := range l.base {
		if l.base[i].Name == name {
			return l.base[i].Value
		}
	}
	return ""
}

func (l *labels) deleted(name string) bool {
	for _, d := range l.del {
		if d == name {
			return true
		}
	}
	return false
}

func (l *labels) set(name, value string) {
	if value == "" {
		l.remove(name)
		return
	}
	for i := range l.add {
		if l.add[i].Name == name {
			l.add[i].Value = value
			return
		}
	}
	l.add = append(l.add, model.Label{Name: name, Value: value})
}

func (l *labels) remove(name string) {
	for i := range l.add {
		if l.add[i].Name == name {
			l.add = append(l.add[:i], l.add[i+1:]...)
			break
		}
	}
	l.del = append(l.del, name)
}

// all is a copy of the labels as they are: those of base first.
func (l *labels) all(dst []model.Label) []model.Label {
	for _, b := range l.base {
		if !l.deleted(b.Name) && !l.replaced(b.Name) {
			dst = append(dst, b)
		}
	}
	return append(dst, l.add...)
}

func (l *labels) replaced(name string) bool {
	for i := range l.add {
		if l.add[i].Name == name {
			return true
		}
	}
	return false
}

// result is the labels in the order of base, what is new at the end, without the name.
func (l *labels) result(dst []model.Label) []model.Label {
	for _, b := range l.base {
		if b.Name == nameLabel {
			continue
		}
		if b.Value = l.get(b.Name); b.Value != "" {
			dst = append(dst, b)
		}
	}
	for _, a := range l.add {
		if a.Name != nameLabel && !has(l.base, a.Name) {
			dst = append(dst, a)
		}
	}
	return dst
}

func has(list []model.Label, name string) bool {
	for i := range list {
		if list[i].Name == name {
			return true
		}
	}
	return false
}

// value joins the source labels.
func (r *rule) value(l *labels) string {
	switch len(r.source) {
	case 0:
		return ""
	case 1:
		return l.get(r.source[0])
	}
	list := make([]string, len(r.source))
	for i, name := range r.source {
		list[i] = l.get(name)
	}
	return strings.Join(list, r.separator)
}

// apply changes labels; false drops the sample.
func (r *rule) apply(l *labels) bool {
	val := r.value(l)
	switch r.action {
	case "drop":
		return !r.regex.MatchString(val)
	case "keep":
		return r.regex.MatchString(val)
	case "dropequal":
		return l.get(r.target) != val
	case "keepequal":
		return l.get(r.target) == val
	case "replace":
		r.replace(l, val)
	case "lowercase":
		l.set(r.target, strings.ToLower(val))
	case "uppercase":
		l.set(r.target, strings.ToUpper(val))
	case "hashmod":
		sum := md5.Sum([]byte(val)) //nolint:gosec // as above
		l.set(r.target, strconv.FormatUint(binary.BigEndian.Uint64(sum[8:])%r.modulus, 10))
	default:
		r.names(l)
	}
	return true
}

func (r *rule) replace(l *labels, val string) {
	at := r.regex.FindStringSubmatchIndex(val)
	if at == nil {
		return
	}
	target := string(r.regex.ExpandString(nil, r.target, val, at))
	if target == "" {
		return
	}
	l.set(target, string(r.regex.ExpandString(nil, r.replacement, val, at)))
}

// names does labelmap, labeldrop and labelkeep.
func (r *rule) names(l *labels) {
	list := l.all(nil)
	if r.action == "labelmap" {
		order.Sort(list[:len(list)-len(l.add)], func(a, b model.Label) int { return strings.Compare(a.Name, b.Name) })
	}
	for _, x := range list {
		match := r.regex.MatchString(x.Name)
		switch {
		case r.action == "labelmap" && match:
			l.set(r.regex.ReplaceAllString(x.Name, r.replacement), x.Value)
		case r.action == "labeldrop" && match, r.action == "labelkeep" && !match:
			l.remove(x.Name)
		}
	}
}

// touch is what a rule does to a block.
type touch uint8

const (
	nothing touch = iota
	dropAll
	some // the block has to be read
)

// onBlock finds what r does to all samples of a block, whose full names are names, without reading it.
func (r *rule) onBlock(f *model.Family, names []string) touch {
	switch r.action {
	case "labeldrop", "labelkeep", "labelmap":
		touched := r.regex.MatchString(nameLabel) == (r.action != "labelkeep")
		expo.LabelNames(f, func(name string) bool {
			touched = touched || r.regex.MatchString(name) == (r.action != "labelkeep")
			return !touched
		})
		if touched {
			return some
		}
		return nothing
	case "lowercase", "uppercase", "hashmod":
		return some
	}
	for _, name := range r.source {
		if name != nameLabel && mentions(f.Block, name) {
			return some
		}
	}
	if (r.action == "keepequal" || r.action == "dropequal") && r.target != nameLabel && mentions(f.Block, r.target) {
		return some
	}
	var l labels
	drops, keeps := 0, 0
	for _, name := range names {
		l.reset([]model.Label{{Name: nameLabel, Value: name}})
		switch {
		case !r.apply(&l):
			drops++
		case len(l.add)+len(l.del) > 0:
			return some // a replacement
		default:
			keeps++
		}
	}
	switch {
	case drops == 0:
		return nothing
	case keeps == 0:
		return dropAll
	}
	return some
}

// mentions reports whether a block may have a label. Labels with escapes in their names are never in blocks.
func mentions(block, label string) bool { return strings.Contains(block, label) }

func parseFloat(s string) (float64, error) { return strconv.ParseFloat(s, 64) }
