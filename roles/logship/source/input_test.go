package source

import (
	"strings"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/internal/draft"
)

func mapping(pairs ...string) draft.Value {
	v := draft.Value{Place: "x.yaml:1", Shape: draft.Map}
	for i := 0; i < len(pairs); i += 2 {
		v.Pairs = append(v.Pairs, draft.Pair{Key: pairs[i], Place: "x.yaml:2", Value: draft.Of("x.yaml:2", pairs[i+1])})
	}
	return v
}

func TestParseInput(t *testing.T) {
	in, err := ParseInput(mapping("paths", "/logs/*.log", "max-line", "64KiB", "long-lines", "cut", "symlinks", "/data", "quiet", "5s", "decode", "json"))
	if err != nil || in.MaxLine != 64<<10 || in.LongLines != "cut" || !in.Symlinks || in.Roots[0] != "/data" || in.Quiet != 5*time.Second {
		t.Errorf("ParseInput() = %+v, %v", in, err)
	}
	if in, err = ParseInput(draft.Of("--from", "/logs/app.log")); err != nil || in.Paths[0] != "/logs/app.log" || in.Engine != "block" {
		t.Errorf("ParseInput of a word = %+v, %v", in, err)
	}
	for _, tt := range []struct {
		v    draft.Value
		want string
	}{
		{mapping(), "name at least one file"},
		{mapping("paths", "logs/*.log"), "begins not with a slash"},
		{mapping("paths", "/logs/[a"), "no pattern"},
		{mapping("paths", "/a", "engine", "tial"), "engine"},
		{mapping("paths", "/a", "encoding", "utf-15"), "unknown encoding"},
		{mapping("paths", "/a", "encoding", "utf-16le", "engine", "tail"), "needs engine: block"},
		{mapping("paths", "/a", "max-line", "1"), "no size"},
		{mapping("paths", "/a", "symlinks", "data"), "begins not with a slash"},
		{mapping("paths", "/a", "exclude", "debug/*.log"), "hint: **/debug/*.log fits"},
		{mapping("paths", "/a", "exclude", "[a"), "no pattern"},
	} {
		if _, err := ParseInput(tt.v); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("ParseInput(%v) = %v; want %q", tt.v.Pairs, err, tt.want)
		}
	}
}

func TestMatches(t *testing.T) {
	in := Default()
	in.Paths, in.Exclude = []string{"/logs/**/*.log", "/x/{a,b}.txt"}, []string{"debug*", "/logs/old/**"}
	for path, want := range map[string]bool{
		"/logs/a.log": true, "/logs/a/b/c.log": true, "/x/b.txt": true, "/x/c.txt": false, "/logs/debug.log": false, "/logs/old/a.log": false,
		"/logs/a.txt": false,
	} {
		if got := in.matches(path); got != want {
			t.Errorf("matches(%s) = %v; want %v", path, got, want)
		}
	}
}
