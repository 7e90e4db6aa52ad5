// Package multiline joins lines of a file that are one event, such as a stack trace. What is joined depends only on the lines of the event
// itself, so that reading again from the start of any event gives the same events. Used by content.
package multiline

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/internal/suggest"
)

// Config says which lines belong together. The zero value joins nothing.
type Config struct {
	Presets              []string
	Start, Continue, End *rule
	Lines, Bytes         int
	Timeout              time.Duration
}

// rule is a pattern of a line.
type rule struct {
	re     *regexp.Regexp
	prefix []set // instead of re where that says the same
	negate bool
}

// set is a set of bytes.
type set [4]uint64

func (s *set) has(b byte) bool { return s[b>>6]&(1<<(b&63)) != 0 }

// Words are the presets.
func Words() []string {
	return []string{"java", "python", "go", "ruby", "node", "indent", "date", "cri"}
}

// Parse reads the names of presets, or patterns: {start, continue, end, negate, lines, bytes, timeout}.
func Parse(v draft.Value) (Config, error) {
	c := Config{Lines: 1000, Bytes: 256 << 10, Timeout: 2 * time.Second}
	if v.Shape != draft.Map {
		return c, c.presets(v)
	}
	negate := false
	var rules []*rule
	err := v.Each([]string{"preset", "start", "continue", "end", "negate", "lines", "bytes", "timeout"}, func(key string, v draft.Value) error {
		switch key {
		case "preset":
			return c.presets(v)
		case "negate":
			return v.Bool(&negate)
		case "lines":
			return v.Int(&c.Lines, 2, 1_000_000)
		case "bytes":
			var n int64
			err := v.Size(&n, 1024, 16<<20)
			c.Bytes = int(n)
			return err
		case "timeout":
			return v.Duration(&c.Timeout, 10*time.Millisecond, time.Hour)
		}
		r, err := newRule(v)
		rules = append(rules, r)
		switch key {
		case "start":
			c.Start = r
		case "continue":
			c.Continue = r
		default:
			c.End = r
		}
		return err
	})
	if err != nil {
		return c, err
	}
	for _, r := range rules {
		r.negate = negate
	}
	if len(rules) == 0 && len(c.Presets) == 0 {
		return c, v.Errorf("multiline says not which lines belong together: want preset, start, continue or end")
	}
	return c, nil
}

func (c *Config) presets(v draft.Value) error {
	var words []string
	if err := v.Words(&words); err != nil {
		return err
	}
	for _, word := range words {
		if word == "none" && len(words) == 1 {
			return nil
		}
		if !slices.Contains(Words(), word) {
			return v.Errorf("unknown preset %q%s\nhint: the presets are %s", word, suggest.DidYouMean("", word, Words()), strings.Join(Words(), ", "))
		}
	}
	c.Presets = words
	return nil
}

// On tells if anything is joined.
func (c Config) On() bool {
	return len(c.Presets) > 0 || c.Start != nil || c.Continue != nil || c.End != nil
}

func newRule(v draft.Value) (*rule, error) {
	var text string
	if err := v.Word(&text); err != nil {
		return nil, err
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, v.Errorf("%q: %v", text, err)
	}
	return &rule{re: re, prefix: prefix(text)}, nil
}

func (r *rule) match(line []byte) bool {
	if r.prefix == nil {
		return r.re.Match(line) != r.negate
	}
	ok := len(line) >= len(r.prefix)
	for i := 0; ok && i < len(r.prefix); i++ {
		ok = r.prefix[i].has(line[i])
	}
	return ok != r.negate
}

// prefix returns the sets of bytes that a line has to begin with if text asks for nothing else, which is a hundred times faster than
// a regular expression: ^\d{4}-\d\d, ^\s, ^[A-Z]+. nil: it asks for more.
func prefix(text string) []set {
	re, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil
	}
	re = re.Simplify()
	parts := []*syntax.Regexp{re}
	if re.Op == syntax.OpConcat {
		parts = re.Sub
	}
	if len(parts) < 2 || parts[0].Op != syntax.OpBeginText {
		return nil
	}
	var sets []set
	for i, part := range parts[1:] {
		if part.Op == syntax.OpPlus && i == len(parts)-2 {
			part = part.Sub[0] // one is enough when nothing comes behind it
		}
		if (part.Op == syntax.OpStar || part.Op == syntax.OpQuest) && i == len(parts)-2 {
			break
		}
		var ok bool
		if sets, ok = appendSets(sets, part); !ok {
			return nil
		}
	}
	return sets
}

func appendSets(sets []set, re *syntax.Regexp) ([]set, bool) {
	switch re.Op {
	case syntax.OpCapture:
		return appendSets(sets, re.Sub[0])
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			var ok bool
			if sets, ok = appendSets(sets, sub); !ok {
				return nil, false
			}
		}
		return sets, true
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase != 0 {
			return nil, false
		}
		for _, r := range re.Rune {
			if r >= 0x80 {
				return nil, false
			}
			var s set
			s[r>>6] |= 1 << (r & 63)
			sets = append(sets, s)
		}
		return sets, true
	case syntax.OpCharClass:
		var s set
		for i := 0; i < len(re.Rune); i += 2 {
			if re.Rune[i+1] >= 0x80 {
				return nil, false
			}
			for r := re.Rune[i]; r <= re.Rune[i+1]; r++ {
				s[r>>6] |= 1 << (r & 63)
			}
		}
		return append(sets, s), true
	default:
		return nil, false
	}
}
