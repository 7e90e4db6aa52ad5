package expo

import (
	"math/bits"
	"strings"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// sample is what a line says, as parts of the body: escapes are not resolved yet.
type sample struct {
	name     string
	at       int           // where the value begins
	labels   []model.Label // reused from line to line
	value    string
	time     string // "" without
	exemplar string // from its { on, "" without
	escaped  bool   // a value, a name or an exemplar has a backslash
	odd      bool   // quoted names, or escapes that not every reader knows: the line cannot be copied
}

// What may be wrong with a line.
const (
	noName      = "a name of a metric has to begin with a letter, _ or :"
	noLabel     = "a name of a label has to begin with a letter or _"
	noEqual     = "the name of a label is not followed by ="
	noQuote     = "the value of a label is not in double quotes"
	noEnd       = "a quoted text is not closed before the end of the line"
	noComma     = "labels are not separated by a comma"
	noValue     = "want a number, +Inf, -Inf or NaN as value"
	noTime      = "want a whole number of milliseconds as timestamp"
	noTimeOM    = "want a number of seconds as timestamp"
	noLine      = "something follows the sample on its line"
	twoNames    = "the metric has two names"
	twoLabels   = "two labels have the same name"
	isReserved  = "the label __name__ is reserved"
	noSpace     = "want one space"
	badExemplar = "the exemplar is not {labels} value [timestamp]"
)

// quoted is where the quote ends that was opened right before i, -1 if it does not on this line.
func (s *sample) quoted(b string, i int) int {
	for {
		for i+8 <= len(b) {
			w := load(b, i)
			m := mark(w, '"') | mark(w, '\\') | mark(w, '\n')
			if m != 0 {
				i += bits.TrailingZeros64(m) >> 3
				break
			}
			i += 8
		}
		for b[i] != '"' && b[i] != '\\' && b[i] != '\n' {
			i++
		}
		switch b[i] {
		case '"':
			return i
		case '\n':
			return -1
		}
		s.escaped = true
		if c := b[i+1]; c != '\\' && c != '"' && c != 'n' {
			s.odd = true
			if c == '\n' {
				return -1
			}
		}
		i += 2
	}
}

// readText reads the line of text 0.0.4 at i, which is no blank; it returns where the next one begins, or what is wrong.
func (s *sample) readText(b string, i int) (int, string) {
	last := s.name
	s.labels, s.escaped, s.odd = s.labels[:0], false, false
	start := i
	if last != "" && strings.HasPrefix(b[i:], last) && !is(b[i+len(last)], nameRest) && b[i] != '{' {
		i += len(last)
	} else if is(b[i], nameFirst) {
		for is(b[i], nameRest) {
			i++
		}
	} else if b[i] != '{' {
		return i, noName
	}
	s.name = b[start:i]
	i = blank(b, i)
	if b[i] == '{' {
		var wrong string
		if i, wrong = s.textLabels(b, i+1); wrong != "" {
			return i, wrong
		}
		i = blank(b, i)
	}
	return s.textTail(b, i)
}

// textTail reads what follows the labels of a line of text 0.0.4.
func (s *sample) textTail(b string, i int) (int, string) {
	s.time, s.exemplar = "", ""
	end := number(b, i)
	if end < 0 || (b[end] != ' ' && b[end] != '\t' && b[end] != '\n') {
		return i, noValue
	}
	s.value, s.at = b[i:end], i
	if b[end] == '\n' {
		return end + 1, ""
	}
	i = blank(b, end)
	for end = i; is(b[end], digit); end++ {
	}
	s.time = b[i:end]
	if !milliseconds(s.time) || (b[end] != ' ' && b[end] != '\t' && b[end] != '\n') {
		if end == i && b[i] == '\n' {
			s.odd = true // Prometheus takes spaces at the end, its tools do not
			return i + 1, ""
		}
		return i, noTime
	}
	if b[end] != '\n' {
		s.odd = true
	}
	if i = blank(b, end); b[i] != '\n' {
		return i, noLine
	}
	return i + 1, ""
}

// milliseconds reports whether digits are an int64.
func milliseconds(s string) bool {
	const most = "9223372036854775807"
	t := strings.TrimLeft(s, "0")
	return s != "" && (len(t) < len(most) || (len(t) == len(most) && t <= most))
}

// textLabels reads labels and the } behind them. Without a name in front of the brace, the first thing in it has to be the quoted name.
func (s *sample) textLabels(b string, i int) (int, string) {
	for first := true; ; first = false {
		i = blank(b, i)
		if b[i] == '}' {
			i++
			break
		}
		name, end, wrong := s.key(b, i)
		if wrong != "" {
			return i, wrong
		}
		quoted := b[i] == '"'
		i = blank(b, end)
		if quoted && b[i] != '=' {
			if !first || s.name != "" || name == "" {
				return i, twoNames
			}
			s.name = name
		} else {
			if b[i] != '=' {
				return i, noEqual
			}
			if i = blank(b, i+1); b[i] != '"' {
				return i, noQuote
			}
			end := s.quoted(b, i+1)
			if end < 0 {
				return i, noEnd
			}
			s.labels = append(s.labels, model.Label{Name: name, Value: b[i+1 : end]})
			i = blank(b, end+1)
		}
		if b[i] == ',' {
			i++
		} else if b[i] != '}' {
			return i, noComma
		}
	}
	return i, s.checkNames()
}

// key reads the name of a label, quoted or not; its escapes are resolved.
func (s *sample) key(b string, i int) (name string, end int, wrong string) {
	if b[i] != '"' {
		end = i
		if !is(b[i], labelFirst) {
			return "", i, noLabel
		}
		for is(b[end], labelRest) {
			end++
		}
		return b[i:end], end, ""
	}
	s.odd = true
	if end = s.quoted(b, i+1); end < 0 {
		return "", i, noEnd
	}
	return unescape(b[i+1 : end]), end + 1, ""
}

// checkNames looks for labels without name and for names that are there twice.
func (s *sample) checkNames() string {
	if s.name == "" {
		return noName
	}
	if len(s.labels) > 40 {
		seen := make(map[string]bool, len(s.labels))
		for _, l := range s.labels {
			if seen[l.Name] {
				return twoLabels
			}
			seen[l.Name] = true
		}
	}
	for i := range s.labels {
		name := s.labels[i].Name
		if len(name) == 0 {
			return noLabel
		}
		if name == "__name__" {
			return isReserved
		}
		for j := 0; j < i && len(s.labels) <= 40; j++ {
			if s.labels[j].Name == name {
				return twoLabels
			}
		}
	}
	return ""
}

// readOpen reads the line of OpenMetrics at i.
func (s *sample) readOpen(b string, i int) (int, string) {
	last := s.name
	s.labels, s.escaped, s.odd = s.labels[:0], false, false
	start := i
	if last != "" && strings.HasPrefix(b[i:], last) && !is(b[i+len(last)], nameRest) && b[i] != '{' {
		i += len(last)
	} else if is(b[i], nameFirst) {
		for is(b[i], nameRest) {
			i++
		}
	} else if b[i] != '{' {
		return i, noName
	}
	s.name = b[start:i]
	if b[i] == '{' {
		var wrong string
		if s.labels, i, wrong = s.openLabels(b, i+1, s.labels, s.name == ""); wrong != "" {
			return i, wrong
		}
		if wrong = s.checkNames(); wrong != "" {
			return i, wrong
		}
	}
	return s.openTail(b, i)
}

// openTail reads what follows the labels of a line of OpenMetrics.
func (s *sample) openTail(b string, i int) (int, string) {
	s.time, s.exemplar = "", ""
	if b[i] != ' ' {
		return i, noSpace
	}
	i++
	end := number(b, i)
	if end < 0 || (b[end] != ' ' && b[end] != '\n') {
		return i, noValue
	}
	s.value, s.at = b[i:end], i
	i = end
	if b[i] == ' ' && b[i+1] != '#' {
		i++
		if end = seconds(b, i); end < 0 || (b[end] != ' ' && b[end] != '\n') {
			return i, noTimeOM
		}
		s.time = b[i:end]
		i = end
	}
	if strings.HasPrefix(b[i:], " # {") {
		if i = s.readExemplar(b, i+3); i < 0 {
			return end, badExemplar
		}
	}
	if b[i] != '\n' {
		return i, noLine
	}
	return i + 1, ""
}

// seconds is where the timestamp at i ends, -1 if there is none.
func seconds(b string, i int) int {
	end := number(b, i)
	if end < 0 || !is(b[end-1], digit) && b[end-1] != '.' {
		return -1 // none, Inf or NaN
	}
	return end
}

// readExemplar returns where the exemplar at i, a {, ends; -1 if it is none.
func (s *sample) readExemplar(b string, i int) int {
	start := i
	labels, i, wrong := s.openLabels(b, i+1, nil, false)
	if wrong != "" || b[i] != ' ' {
		return -1
	}
	if checkExemplar(labels) != "" {
		return -1
	}
	i++
	end := number(b, i)
	if end < 0 {
		return -1
	}
	if b[end] == ' ' {
		if end = seconds(b, end+1); end < 0 {
			return -1
		}
	}
	s.exemplar = b[start:end]
	return end
}

// openLabels appends the labels at i to list; it returns where they end, behind the }.
func (s *sample) openLabels(b string, i int, list []model.Label, named bool) ([]model.Label, int, string) {
	if b[i] == '}' && !named {
		return list, i + 1, ""
	}
	for first := true; ; first = false {
		name, end, wrong := s.key(b, i)
		if wrong != "" {
			return list, i, wrong
		}
		quoted := b[i] == '"'
		i = end
		if quoted && b[i] != '=' {
			if !named || !first || name == "" {
				return list, i, twoNames
			}
			s.name = name
		} else {
			if b[i] != '=' {
				return list, i, noEqual
			}
			if i++; b[i] != '"' {
				return list, i, noQuote
			}
			end = s.quoted(b, i+1)
			if end < 0 {
				return list, i, noEnd
			}
			list = append(list, model.Label{Name: name, Value: b[i+1 : end]})
			i = end + 1
		}
		switch b[i] {
		case ',':
			i++
		case '}':
			return list, i + 1, ""
		default:
			return list, i, noComma
		}
	}
}

// unescape resolves the escapes of a quoted text; a backslash before another letter stands for itself.
func unescape(s string) string {
	at := strings.IndexByte(s, '\\')
	if at < 0 {
		return s
	}
	out := make([]byte, 0, len(s))
	out = append(out, s[:at]...)
	for i := at; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			out = append(out, s[i])
			continue
		}
		i++
		switch s[i] {
		case '\\', '"':
			out = append(out, s[i])
		case 'n':
			out = append(out, '\n')
		default:
			out = append(out, '\\', s[i])
		}
	}
	return string(out)
}

// unescapeHelp does so for text 0.0.4's HELP, where a quote needs no escape.
func unescapeHelp(s string, d model.Dialect) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	if d == model.OpenMetrics {
		return unescape(s)
	}
	return strings.NewReplacer(`\\`, `\`, `\n`, "\n").Replace(s)
}
