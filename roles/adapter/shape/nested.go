package shape

import (
	"github.com/sidecar-kit/sidecar/roles/adapter/jq"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// level is what is below a name or a label's value: a sample, labels, or both.
type level struct {
	sample *model.Sample
	labels []*branch
}

// branch is a label and its values.
type branch struct {
	name   string
	values []string
	below  []*level
	index  map[string]int // once there are many values
}

func (l *level) label(name string) *branch {
	for _, b := range l.labels {
		if b.name == name {
			return b
		}
	}
	b := &branch{name: name}
	l.labels = append(l.labels, b)
	return b
}

func (b *branch) value(text string) *level {
	if b.index != nil {
		if i, ok := b.index[text]; ok {
			return b.below[i]
		}
	} else {
		for i, v := range b.values {
			if v == text {
				return b.below[i]
			}
		}
	}
	b.values, b.below = append(b.values, text), append(b.below, &level{})
	switch {
	case b.index != nil:
		b.index[text] = len(b.values) - 1
	case len(b.values) > 8:
		b.index = make(map[string]int, 32)
		for i, v := range b.values {
			b.index[v] = i
		}
	}
	return b.below[len(b.below)-1]
}

// appendNested writes labels as levels. Series without labels are numbers; where there are others of the name, too, such a number has the key "".
func appendNested(dst []byte, p *model.Page, bare bool) []byte {
	root := branch{}
	for i := range p.Families {
		f := &p.Families[i]
		for j := range f.Samples {
			s := &f.Samples[j]
			at := root.value(f.Name + s.Suffix)
			for k := range s.Labels {
				at = at.label(s.Labels[k].Name).value(s.Labels[k].Value)
			}
			at.sample = s
		}
	}
	return root.append(dst, bare)
}

func (b *branch) append(dst []byte, bare bool) []byte {
	dst = append(dst, '{')
	for i, v := range b.values {
		if b.name == "" && !bare {
			dst = append(comma(dst), '\n')
			dst = append(jq.AppendString(dst, v), ':')
		} else {
			dst = appendKey(dst, v)
		}
		dst = b.below[i].append(dst, bare)
	}
	return append(dst, '}')
}

func (l *level) append(dst []byte, bare bool) []byte {
	if len(l.labels) == 0 {
		return appendNumber(dst, l.sample, bare)
	}
	dst = append(dst, '{')
	if l.sample != nil {
		dst = appendNumber(append(dst, `"":`...), l.sample, bare)
	}
	for _, b := range l.labels {
		dst = b.append(appendKey(dst, b.name), bare)
	}
	return append(dst, '}')
}
