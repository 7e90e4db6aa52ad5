package textmap

import (
	"fmt"
	"strings"

	"github.com/sidecar-kit/sidecar/roles/adapter/jq"
)

// table makes a list of objects of lines with columns. The first line names them, unless columns does; a # before it is no part of the first name. Fields may be in quotes, with "" for a quote, and may
// then have separators and line ends. Lines with more fields than there are names are refused, as are those with a quote that is not closed; fewer fields are fewer members.
func (m *Map) table(b *jq.Builder, text string) (found, bad int, err error) {
	r := reader{text: text, separator: m.separator}
	if r.separator == "" {
		r.separator = ","
	}
	names := m.columns
	b.Array()
	for {
		fields, ok, err := r.row()
		if err != nil {
			return 0, 0, err
		}
		if !ok {
			break
		}
		if len(fields) == 1 && strings.TrimSpace(fields[0]) == "" {
			continue
		}
		if names == nil {
			names = header(fields)
			continue
		}
		if m.isComment(fields[0]) {
			continue
		}
		if len(fields) > len(names) && !(len(fields) == len(names)+1 && fields[len(names)] == "") {
			bad++
			continue
		}
		found++
		b.Object()
		for i := range min(len(fields), len(names)) {
			if names[i] != "" {
				b.Key(names[i])
				b.Text(strings.TrimSpace(fields[i]))
			}
		}
		b.End()
	}
	b.End()
	return found, bad, nil
}

func header(fields []string) []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = strings.TrimSpace(f)
	}
	names[0] = strings.TrimSpace(strings.TrimPrefix(names[0], "#"))
	if n := len(names); n > 1 && names[n-1] == "" {
		names = names[:n-1]
	}
	return names
}

type reader struct {
	text      string
	separator string
	line      int
	fields    []string
}

// row reads a line, which may have line ends within quotes.
func (r *reader) row() (fields []string, ok bool, err error) {
	if r.text == "" {
		return nil, false, nil
	}
	r.line++
	r.fields = nil
	for {
		var field string
		if strings.HasPrefix(r.text, `"`) {
			if field, err = r.quoted(); err != nil {
				return nil, false, err
			}
		} else {
			end := len(r.text)
			if i := strings.IndexByte(r.text, '\n'); i >= 0 {
				end = i
			}
			if i := strings.Index(r.text[:end], r.separator); i >= 0 {
				end = i
			}
			field, r.text = r.text[:end], r.text[end:]
		}
		if strings.HasPrefix(r.text, r.separator) {
			r.fields = append(r.fields, field)
			r.text = r.text[len(r.separator):]
			continue
		}
		r.fields = append(r.fields, strings.TrimSuffix(field, "\r"))
		r.text = strings.TrimPrefix(r.text, "\r")
		if r.text != "" && r.text[0] != '\n' {
			return nil, false, fmt.Errorf("line %d: %q follows a quoted field", r.line, r.text[:min(10, len(r.text))])
		}
		r.text = strings.TrimPrefix(r.text, "\n")
		return r.fields, true, nil
	}
}

func (r *reader) quoted() (string, error) {
	var b strings.Builder
	rest := r.text[1:]
	for {
		i := strings.IndexByte(rest, '"')
		if i < 0 {
			return "", fmt.Errorf("line %d: a quote is not closed", r.line)
		}
		b.WriteString(rest[:i])
		rest = rest[i+1:]
		if !strings.HasPrefix(rest, `"`) {
			break
		}
		b.WriteByte('"')
		rest = rest[1:]
	}
	r.line += strings.Count(b.String(), "\n")
	r.text = rest
	return b.String(), nil
}
