package textmap

import (
	"strings"

	"github.com/sidecar-kit/sidecar/roles/adapter/jq"
)

// keyvalue makes an object of lines such as "key: value".
func (m *Map) keyvalue(b *jq.Builder, text string) (found, bad int) {
	w := writer{b: b}
	b.Object()
	lines(text, func(line string) {
		line = strings.TrimSpace(line)
		switch name, is := section(line); {
		case line == "":
			return
		case m.sections && is:
			w.section(name)
			return
		case m.records != "" && divider(line):
			w.record(m.records)
			return
		case m.isComment(line):
			return
		}
		key, value, ok := m.cut(line)
		if !ok || key == "" {
			bad++
			return
		}
		found++
		b.Key(key)
		if !m.pairs || !pairs(b, value) {
			b.Text(value)
		}
	})
	w.close()
	b.End()
	return found, bad
}

func (m *Map) isComment(line string) bool {
	for _, c := range m.comment {
		if c != "" && strings.HasPrefix(line, c) {
			return true
		}
	}
	return false
}

func (m *Map) cut(line string) (key, value string, ok bool) {
	if i := strings.IndexAny(line, "{= \t"); i > 0 && line[i] == '{' && line[i-1] != ':' { // name{label="value"}, as package shape writes it
		if end := strings.LastIndexByte(line, '}'); end > 0 {
			rest := strings.TrimSpace(line[end+1:])
			if rest != "" || !strings.Contains(line[:i], ":") { // a name may have colons; else it is a value that has braces
				return line[:end+1], strings.TrimSpace(strings.TrimPrefix(strings.TrimPrefix(rest, ":"), m.separator)), rest != ""
			}
		}
	}
	switch m.separator {
	case "":
		if i := strings.IndexAny(line, ":="); i >= 0 {
			return strings.TrimSpace(line[:i]), unquote(strings.TrimSpace(line[i+1:])), true
		}
		return "", "", false
	case " ":
		if i := strings.IndexAny(line, " \t"); i >= 0 {
			return line[:i], strings.TrimSpace(line[i:]), true
		}
		return "", "", false
	}
	key, value, ok = strings.Cut(line, m.separator)
	return strings.TrimSpace(key), unquote(strings.TrimSpace(value)), ok
}

func unquote(s string) string {
	if len(s) > 1 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

// section is the name in "# Name" or "[Name]".
func section(line string) (string, bool) {
	if name, ok := strings.CutPrefix(line, "# "); ok {
		return strings.TrimSpace(name), true
	}
	if strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") {
		return line[1 : len(line)-1], true
	}
	return "", false
}

// divider is whether a line is only *, - or =.
func divider(line string) bool {
	return len(line) >= 3 && (strings.Trim(line, "*") == "" || strings.Trim(line, "-") == "" || strings.Trim(line, "=") == "")
}

// pairs makes an object of "a=b,c=d".
func pairs(b *jq.Builder, value string) bool {
	if !strings.Contains(value, "=") {
		return false
	}
	parts := strings.Split(value, ",")
	for _, p := range parts {
		if strings.IndexByte(p, '=') < 1 {
			return false
		}
	}
	b.Object()
	for _, p := range parts {
		key, text, _ := strings.Cut(p, "=")
		b.Key(strings.TrimSpace(key))
		b.Text(strings.TrimSpace(text))
	}
	b.End()
	return true
}

// writer knows what is open below the document: a section, or an item of the list of records.
type writer struct {
	b                 *jq.Builder
	inSection, inList bool
}

func (w *writer) close() {
	if w.inList || w.inSection {
		w.b.End()
	}
	if w.inList {
		w.b.End()
	}
	w.inList, w.inSection = false, false
}

func (w *writer) section(name string) {
	w.close()
	w.b.Key(name)
	w.b.Object()
	w.inSection = true
}

func (w *writer) record(list string) {
	if w.inList {
		w.b.End()
	} else {
		w.close()
		w.b.Key(list)
		w.b.Array()
	}
	w.b.Object()
	w.inList = true
}
