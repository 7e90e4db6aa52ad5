package probe

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// FuzzParse looks for an address that panics, shows its password, or reads
// differently the second time.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"db:5432", "http://u:hunter2@h/x?y#status=200-299,304&body=^ok$&header=A:b", "http+unix://%2Fa/b", "dns://a#type=SRV&equals=x",
		"redis://:hunter2@h#password-file=/x", "grpcs://[::1]:1/s#ca=/x&min-valid=1h", "pid:name=x", "pid:1#name=x", "file:///a#max-age=1s&absent",
		"tls://h:1#insecure", "unix:@a", "http://h#body=%", "x://", "://", "#", "http://%41:1", "pid:///a#", "redis://u:hunter2@h/1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		check, err := Parse(raw)
		if err != nil {
			return
		}
		shown := check.String()
		if strings.Contains(shown, "#") || strings.Contains(shown, ":hunter2@") {
			t.Errorf("Parse(%q) is shown as %q", raw, shown)
		}
		if again, err := Parse(shown); strings.Contains(shown, "***") {
			return // masked
		} else if err != nil && !strings.Contains(raw, "#") || err == nil && again.String() != shown {
			t.Errorf("Parse(%q) = %v, %v; want %s again", shown, again, err, shown)
		}
	})
}

// TestManualHasEveryOption compares docs/probe.md with the schemes and what they take.
func TestManualHasEveryOption(t *testing.T) {
	page, err := os.ReadFile("../../docs/probe.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range schemes() {
		form, _, _ := strings.Cut(s.form, ",")
		if !strings.Contains(string(page), "`"+s.form+"`") && !strings.Contains(string(page), "`"+form+"`") {
			t.Errorf("docs/probe.md has no form `%s`", s.form)
		}
		for _, name := range s.takes() {
			if !regexp.MustCompile("[`&#]" + name + "[=`]").Match(page) {
				t.Errorf("docs/probe.md has no option %s of %s", name, s.name)
			}
		}
	}
}
