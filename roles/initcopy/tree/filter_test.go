package tree

import (
	"strings"
	"testing"
)

func TestFilter(t *testing.T) {
	list := func(text string) []string { return strings.Fields(text) }
	tests := []struct{ include, exclude, path, want string }{
		{"", "", "a/b", "take"},
		{"", "*.log", "x.log", "leave"},
		{"", "*.log", "a/b/x.log", "leave"},
		{"", "*.log", "x.log.gz", "take"},
		{"", "x.log", "x.log/below", "leave"},
		{"", "tmp/", "tmp", "take"},
		{"", "tmp/", "tmp/", "leave"},
		{"", "tmp/", "a/tmp/b", "leave"},
		{"", "/tmp", "tmp", "leave"},
		{"", "/tmp", "a/tmp", "take"},
		{"", "a/tmp", "a/tmp", "leave"},
		{"", "a/tmp", "b/a/tmp", "take"},
		{"", "**/a/tmp", "b/a/tmp", "leave"},
		{"", "**/a/tmp", "a/tmp", "leave"},
		{"", "a/**/z", "a/z", "leave"},
		{"", "a/**/z", "a/b/c/z", "leave"},
		{"", "a/**/z", "az", "take"},
		{"", "a/**", "a/", "take"},
		{"", "a/**", "a/b/c", "leave"},
		{"", "a?c", "abc", "leave"},
		{"", "a?c", "a/c", "take"},
		{"", "*", "a/b", "leave"},
		{"", "[a-c]x", "bx", "leave"},
		{"", `\*`, "*", "leave"},
		{"", `\*`, "a", "take"},
		{"", `\!a`, "!a", "leave"},
		{"", "\xff*", "\xffa", "leave"},
		{"*.war", "", "x.war", "take"},
		{"*.war", "", "a/x.war", "take"},
		{"*.war", "", "a/", "descend"},
		{"*.war", "", "x.txt", "leave"},
		{"conf/", "", "conf/a/b", "take"},
		{"keep.log", "*.log", "keep.log", "take"},
		{"keep.log", "*.log", "other.log", "leave"},
		{"keep.log", "*.log", "other.txt", "take"},
		{"", "*.log !keep.log", "keep.log", "take"},
		{"", "a/ !a/keep", "a/", "descend"},
		{"", "a/ !a/keep", "a/keep", "take"},
		{"", "a/ !a/keep", "a/other", "leave"},
		{"", "!a", "b", "take"},
	}
	for _, tt := range tests {
		f, err := NewFilter(list(tt.include), list(tt.exclude))
		if err != nil {
			t.Errorf("NewFilter(%q, %q) = %v", tt.include, tt.exclude, err)
			continue
		}
		name, dir := strings.CutSuffix(tt.path, "/")
		got := map[Verdict]string{Take: "take", Leave: "leave", Descend: "descend"}[f.Choose(name, dir)]
		if got != tt.want {
			t.Errorf("include %q exclude %q: %q = %s; want %s", tt.include, tt.exclude, tt.path, got, tt.want)
		}
	}
	for _, bad := range []string{"", "/", "[", "a/[b", `a\`, "a//b", "../a", "./a", "a**", "!"} {
		if _, err := NewFilter(nil, []string{bad}); err == nil || !strings.Contains(err.Error(), "--exclude") {
			t.Errorf("NewFilter took the exclude %q: %v", bad, err)
		}
	}
	if _, err := NewFilter([]string{"["}, nil); err == nil || !strings.Contains(err.Error(), `--include "["`) {
		t.Errorf("NewFilter = %v; want the include named", err)
	}
}

// FuzzFilter: whatever a user writes is an error or a decision.
func FuzzFilter(f *testing.F) {
	f.Add("a/**/b", "a/c/b", true)
	f.Add("!**/x/", "x", false)
	f.Add("[a-", "[", false)
	f.Fuzz(func(t *testing.T, pattern, name string, dir bool) {
		if len(pattern) > 100 || len(name) > 200 || strings.Count(pattern, "**") > 4 {
			return
		}
		fl, err := NewFilter(nil, []string{pattern})
		if err != nil {
			return
		}
		if fl.Choose(name, dir) == Leave && fl.Choose(name+"/below", false) == Take {
			t.Errorf("exclude %q leaves %q and takes what is below", pattern, name)
		}
	})
}
