package tree

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// Filter chooses paths by patterns as .gitignore has them. It is safe for concurrent use.
//
//	*.class        a name anywhere
//	target/        a folder anywhere, with its content
//	/conf, a/b     below the root of the source only: a slash before the end anchors
//	a/**/b, **/b   any number of folders in between
//	?, [a-z], \*   as in path.Match
type Filter struct{ include, exclude []pattern }

// pattern is one parsed pattern.
type pattern struct {
	parts   []string // without slashes; "**" is any number of folders
	dirOnly bool
}

// NewFilter parses patterns. What matches exclude is left out, unless include matches it too; when there are only
// includes, everything else is left out. A folder stands for its content. "!pattern" among the excludes is an include
// that does not make the others necessary. The error names the pattern.
func NewFilter(include, exclude []string) (*Filter, error) {
	f := &Filter{}
	for _, text := range include {
		p, err := parsePattern(text)
		if err != nil {
			return nil, fmt.Errorf("--include %q: %w", text, err)
		}
		f.include = append(f.include, p)
	}
	if len(include) > 0 && len(exclude) == 0 {
		f.exclude = []pattern{{parts: []string{"**"}}}
	}
	for _, text := range exclude {
		rest, negated := strings.CutPrefix(text, "!")
		p, err := parsePattern(rest)
		if err != nil {
			return nil, fmt.Errorf("--exclude %q: %w", text, err)
		}
		if negated {
			f.include = append(f.include, p)
		} else {
			f.exclude = append(f.exclude, p)
		}
	}
	return f, nil
}

func parsePattern(text string) (pattern, error) {
	var p pattern
	body := strings.TrimSuffix(text, "/")
	p.dirOnly = body != text
	anchored := strings.Contains(body, "/")
	body = strings.TrimPrefix(body, "/")
	if body == "" {
		return p, errors.New("an empty pattern; want a name, a path or a glob such as *.war")
	}
	if !anchored {
		p.parts = []string{"**"}
	}
	for part := range strings.SplitSeq(body, "/") {
		switch {
		case part == "" || part == "." || part == "..":
			return p, fmt.Errorf("the part %q matches nothing; paths in patterns are relative to the source", part)
		case strings.Contains(part, "**") && part != "**":
			return p, fmt.Errorf("%q: ** has to stand alone between slashes", part)
		}
		if _, err := path.Match(part, ""); err != nil {
			return p, fmt.Errorf("%q: a bracket or a backslash without its end", part)
		}
		p.parts = append(p.parts, part)
	}
	return p, nil
}

// Choose is the decision about one path; it fits ScanOptions.
func (f *Filter) Choose(name string, dir bool) Verdict {
	switch {
	case f == nil || !matchAny(f.exclude, name, dir) || matchAny(f.include, name, dir):
		return Take
	case dir && len(f.include) > 0:
		return Descend
	}
	return Leave
}

// matchAny tells whether a pattern matches the path or a folder that it lies in.
func matchAny(patterns []pattern, name string, dir bool) bool {
	if len(patterns) == 0 {
		return false
	}
	for end := 0; end < len(name); end++ {
		next := strings.IndexByte(name[end:], '/')
		isDir := true
		if next < 0 {
			end, isDir = len(name), dir
		} else {
			end += next
		}
		for i := range patterns {
			if (isDir || !patterns[i].dirOnly) && matchParts(patterns[i].parts, name[:end]) {
				return true
			}
		}
	}
	return false
}

// matchParts tells whether the whole path matches.
func matchParts(parts []string, name string) bool {
	for len(parts) > 0 {
		if parts[0] == "**" {
			if len(parts) == 1 {
				return name != "" // a/** is what lies in a, not a itself
			}
			for {
				if matchParts(parts[1:], name) {
					return true
				}
				_, rest, more := strings.Cut(name, "/")
				if !more {
					return false
				}
				name = rest
			}
		}
		if name == "" {
			return false
		}
		first, rest, _ := strings.Cut(name, "/")
		if ok, err := path.Match(parts[0], first); err != nil || !ok {
			return false
		}
		parts, name = parts[1:], rest
	}
	return name == ""
}
