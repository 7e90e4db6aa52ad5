package kind

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// selector names samples as PromQL does: name{label="value",other!="x",third=~"a|b",fourth!~"c"}.
type selector struct {
	name     string
	matchers []matcher
}

type matcher struct {
	label, value string
	not          bool
	re           *regexp.Regexp
}

func (s *selector) read(v draft.Value) error {
	var text string
	if err := v.Word(&text); err != nil {
		return err
	}
	if err := s.parse(text); err != nil {
		return v.Errorf("%q: %w", text, err)
	}
	return nil
}

var errSelector = errors.New(`want NAME or NAME{LABEL="VALUE",...} with =, !=, =~ or !~`)

func (s *selector) parse(text string) error {
	name, rest, labels := strings.Cut(strings.TrimSpace(text), "{")
	s.name = strings.TrimSpace(name)
	if s.name == "" || strings.ContainsAny(s.name, " \t\"}=") {
		return errSelector
	}
	if !labels {
		return nil
	}
	for {
		rest = strings.TrimLeft(rest, " \t,")
		if rest == "}" {
			return nil
		}
		var m matcher
		var err error
		if m, rest, err = parseMatcher(rest); err != nil {
			return err
		}
		s.matchers = append(s.matchers, m)
	}
}

func parseMatcher(text string) (m matcher, rest string, err error) {
	i := strings.IndexAny(text, "=!")
	if i <= 0 {
		return m, "", errSelector
	}
	m.label, text = strings.TrimSpace(text[:i]), text[i:]
	op := ""
	for _, try := range []string{"=~", "!~", "!=", "="} {
		if strings.HasPrefix(text, try) {
			op = try
			break
		}
	}
	quoted, err := strconv.QuotedPrefix(strings.TrimLeft(text[len(op):], " \t"))
	if op == "" || err != nil || m.label == "" || quoted[0] == '\'' {
		return m, "", errSelector
	}
	if m.value, err = strconv.Unquote(quoted); err != nil {
		return m, "", errSelector
	}
	m.not = op[0] == '!'
	if strings.HasSuffix(op, "~") {
		if m.re, err = regexp.Compile("^(?:" + m.value + ")$"); err != nil {
			return m, "", err
		}
	}
	return m, strings.TrimLeft(text[len(op):], " \t")[len(quoted):], nil
}

// String is the selector as it is written.
func (s *selector) String() string {
	var parts []string
	for _, m := range s.matchers {
		op := "="
		if m.not {
			op = "!"
		}
		switch {
		case m.re != nil:
			op += "~"
		case m.not:
			op += "="
		}
		if m.re != nil && !m.not {
			op = "=~"
		}
		parts = append(parts, fmt.Sprintf("%s%s%q", m.label, op, m.value))
	}
	if len(parts) == 0 {
		return s.name
	}
	return s.name + "{" + strings.Join(parts, ",") + "}"
}

// mayBe is whether a family of that name can have samples that are meant.
func (s *selector) mayBe(family string) bool { return strings.HasPrefix(s.name, family) }

func (s *selector) matches(labels []model.Label) bool {
	for _, m := range s.matchers {
		value := ""
		for _, l := range labels {
			if l.Name == m.label {
				value = l.Value
			}
		}
		is := value == m.value
		if m.re != nil {
			is = m.re.MatchString(value)
		}
		if is == m.not {
			return false
		}
	}
	return true
}
