package tree

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func line(mode, name string) string { return mode + " " + name + "\x00" + strings.Repeat("h", 20) }

func TestParseTakesOrdinaryTrees(t *testing.T) {
	names := []string{
		"a", "A", "index.html", ".gitignore", ".gitattributes", ".gitmodules", ".github", "git", "GIT", "gitfoo", "git~2",
		"...", "..a", "a..", ".g", "foo.git", ".git2", "Icon\r", "back\\slash", "new\nline", "space ", "ünïcödé",
		"\xff\xfe not utf-8", strings.Repeat("n", 255), "-rf", "con", "a:b", "~", "\u200cgit",
	}
	var data string
	for _, n := range names {
		data += line("100644", n)
	}
	got, err := Parse([]byte(data))
	if err != nil || len(got) != len(names) {
		t.Fatalf("Parse = %d entries, %v; want %d", len(got), err, len(names))
	}
	for i, e := range got {
		if e.Name != names[i] || e.Mode != File || e.Hash.String() != strings.Repeat("68", 20) {
			t.Errorf("entry %d = %+v; want %q", i, e, names[i])
		}
	}
}

func TestParseModes(t *testing.T) {
	tests := []struct {
		mode string
		want Mode
		ok   bool
	}{
		{"100644", File, true}, {"100664", File, true}, {"100755", Exec, true}, {"120000", Symlink, true},
		{"40000", Dir, true}, {"040000", Dir, true}, {"160000", Submodule, true}, {"0100644", File, true},
		{"100600", 0, false}, {"100777", 0, false}, {"104755", 0, false}, {"102644", 0, false}, {"20000", 0, false}, {"60000", 0, false},
		{"10000", 0, false}, {"140000", 0, false}, {"0", 0, false}, {"", 0, false}, {"100648", 0, false}, {"-1", 0, false},
		{"+40000", 0, false}, {"4e4", 0, false}, {"00000040000", 0, false}, {"7777777", 0, false},
	}
	for _, tt := range tests {
		got, err := Parse([]byte(line(tt.mode, "x")))
		if !tt.ok {
			if !errors.Is(err, ErrRefused) {
				t.Errorf("mode %q = %v, %v; want ErrRefused", tt.mode, got, err)
			}
			continue
		}
		if err != nil || got[0].Mode != tt.want {
			t.Errorf("mode %q = %v, %v; want %o", tt.mode, got, err, tt.want)
		}
	}
}

func TestParseRefusesHostileNames(t *testing.T) {
	zw := func(s string) string { return strings.ReplaceAll(s, "|", "\u200c") }
	names := []string{
		"", ".", "..", "/", "a/b", "/etc/passwd", "../x", "a/", strings.Repeat("n", 256),
		".git", ".GIT", ".Git", ".gIt", ".git.", ".git ", ".git...", ".git . .", ".GIT .",
		".git:", ".git::$INDEX_ALLOCATION", ".git:x", ".git :x", "git~1", "GIT~1", "Git~1", "git~1.", "git~1 ", "git~1:x",
		zw("|.git"), zw(".|git"), zw(".g|it"), zw(".git|"), zw("|.|g|i|t|"), zw(".GI|T ."),
		".g\u200dit", ".gi\u200et", ".git\u200f", "\u202a.git", ".g\u202bit", ".gi\u202ct", ".git\u202d", "\u202e.git",
		".g\u206ait", ".g\u206bit", ".g\u206cit", ".g\u206dit", ".g\u206eit", ".g\u206fit", "\ufeff.git", ".git\ufeff", "g\u200cit~1",
		".git\u200c.", ".git.\u200c",
	}
	for _, n := range names {
		for _, mode := range []string{"100644", "40000", "120000", "160000"} {
			if got, err := Parse([]byte(line(mode, n))); !errors.Is(err, ErrRefused) {
				t.Errorf("name %q, mode %s = %v, %v; want ErrRefused", n, mode, got, err)
			}
		}
	}
	for _, n := range []string{".gitmodules", ".GITMODULES", ".gitmodules ", ".gitmodules.", ".gitmodules:x", ".git\u200cmodules", "gitmod~1", "GITMOD~2"} {
		if _, err := Parse([]byte(line("120000", n))); !errors.Is(err, ErrRefused) {
			t.Errorf("link %q = %v; want ErrRefused", n, err)
		}
		if _, err := Parse([]byte(line("100644", n))); err != nil {
			t.Errorf("file %q = %v; want it taken", n, err)
		}
	}
}

func TestParseRefusesDuplicates(t *testing.T) {
	for _, second := range []string{"100644", "100755", "40000", "120000", "160000"} {
		data := line("100644", "a") + line("100644", "b") + line(second, "a")
		if _, err := Parse([]byte(data)); !errors.Is(err, ErrRefused) {
			t.Errorf("a and later a with mode %s = %v; want ErrRefused", second, err)
		}
	}
}

func TestParseCutAnywhereIsRefused(t *testing.T) {
	one := line("100644", "abc")
	data := one + line("40000", "d")
	for n := 1; n < len(data); n++ {
		got, err := Parse([]byte(data[:n]))
		if n == len(one) {
			if err != nil || len(got) != 1 {
				t.Errorf("cut between entries = %v, %v", got, err)
			}
			continue
		}
		if !errors.Is(err, ErrRefused) {
			t.Errorf("cut at %d = %v, %v; want ErrRefused", n, got, err)
		}
	}
	if got, err := Parse(nil); err != nil || len(got) != 0 {
		t.Errorf("Parse of the empty tree = %v, %v", got, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(line("100644", "a") + line("40000", "b")))
	f.Add([]byte(line("160000", ".g\u200cit")))
	f.Add([]byte(line("120000", "git~1:x")))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := Parse(data)
		if err != nil {
			if !errors.Is(err, ErrRefused) {
				t.Fatalf("Parse = %v; want ErrRefused", err)
			}
			return
		}
		var again string
		seen := map[string]bool{}
		for _, e := range got {
			low := strings.ToLower(e.Name)
			if e.Name == "" || e.Name == "." || e.Name == ".." || strings.ContainsAny(e.Name, "/\x00") || low == ".git" || low == "git~1" || seen[e.Name] {
				t.Fatalf("Parse took the name %q", e.Name)
			}
			seen[e.Name] = true
			again += fmt.Sprintf("%o %s\x00%s", uint32(e.Mode), e.Name, e.Hash[:])
		}
		if back, err := Parse([]byte(again)); err != nil || len(back) != len(got) {
			t.Fatalf("what was taken is refused when written afresh: %v", err)
		}
	})
}

func TestBadLink(t *testing.T) {
	tests := []struct {
		name, target string
		inside, keep bool
	}{
		{"l", "file", true, true}, {"l", "d/file", true, true}, {"d/l", "../file", true, true}, {"a/b/l", "../../file", true, true},
		{"d/l", "..", true, true}, {"l", ".", true, true}, {"l", "./file", true, true}, {"d/l", "./../file", true, true},
		{"l", "..", false, true}, {"l", "../x", false, true}, {"d/l", "../../x", false, true}, {"l", "/etc/passwd", false, true},
		{"l", "/", false, true}, {"a/l", "../../a/x", false, true},
		// What stands before a later ".." may be a link itself: then the way up starts somewhere else.
		{"l", "a/b/up/..", false, true}, {"l", "d/../file", false, true}, {"d/l", "../x/../file", false, true},
		{"l", "", false, false}, {"l", "a\x00b", false, false},
	}
	for _, tt := range tests {
		if got := badLink(tt.name, tt.target, LinksInside) == ""; got != tt.inside {
			t.Errorf("inside: link %q to %q allowed %v; want %v", tt.name, tt.target, got, tt.inside)
		}
		if got := badLink(tt.name, tt.target, KeepLinks) == ""; got != tt.keep {
			t.Errorf("keep: link %q to %q allowed %v; want %v", tt.name, tt.target, got, tt.keep)
		}
		if badLink(tt.name, tt.target, NoLinks) == "" {
			t.Errorf("deny: link %q to %q is allowed", tt.name, tt.target)
		}
	}
}
