package run

import (
	"path"
	"slices"
	"strings"
)

// Clean is the environment that jobs get of environ. Settings of this program
// (SIDECAR_*), some of which are secrets, and names that match a pattern of
// deny are left out, unless they match one of allow. So deny=* with an allow
// list gives just what is listed. Patterns are those of the shell: AWS_*.
func Clean(environ, allow, deny []string) []string {
	out := make([]string, 0, len(environ))
	for _, pair := range environ {
		name, _, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			continue
		}
		if matchAny(allow, name) || !strings.HasPrefix(name, "SIDECAR_") && !matchAny(deny, name) {
			out = append(out, pair)
		}
	}
	return merge(out)
}

func matchAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := path.Match(p, name)
		return err == nil && ok
	})
}

// merge joins environments. A name that comes again replaces the earlier one:
// programs differ in which of two they see.
func merge(lists ...[]string) []string {
	n := 0
	for _, list := range lists {
		n += len(list)
	}
	out := make([]string, 0, n)
	for i, list := range lists {
		for _, pair := range list {
			name, _, ok := strings.Cut(pair, "=")
			if !ok || strings.IndexByte(pair, 0) >= 0 {
				continue // the system would refuse the whole environment
			}
			if at := indexName(out, name); at >= 0 && (i > 0 || len(lists) == 1) {
				out[at] = pair
				continue
			}
			out = append(out, pair)
		}
	}
	return out
}

func indexName(env []string, name string) int {
	return slices.IndexFunc(env, func(pair string) bool {
		return len(pair) > len(name) && pair[len(name)] == '=' && pair[:len(name)] == name
	})
}

func value(env []string, name string) string {
	if at := indexName(env, name); at >= 0 {
		return env[at][len(name)+1:]
	}
	return ""
}
