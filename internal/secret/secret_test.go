package secret

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestValueNeverPrints(t *testing.T) {
	v := New("hunter2")
	u := NewURL("https://bob:hunter2@host/x")
	for _, verb := range []string{"%s", "%v", "%+v", "%#v", "%q", "%x", "%d"} {
		for _, arg := range []any{v, &v, struct{ V Value }{v}, u, &u, []URL{u}} {
			if got := fmt.Sprintf(verb, arg); strings.Contains(got, "hunter2") || strings.Contains(got, "68756e74") {
				t.Errorf("Sprintf(%q, %T) = %q; want no secret", verb, arg, got)
			}
		}
	}
	j, err := json.Marshal(map[string]any{"v": v, "u": u})
	if err != nil || string(j) != `{"u":"https://bob:***@host/x","v":"***"}` {
		t.Errorf("Marshal = %s, %v", j, err)
	}
	if v.Reveal() != "hunter2" || (Value{}).String() != "" {
		t.Errorf("Reveal() = %q, empty String() = %q; want the secret and nothing", v.Reveal(), Value{}.String())
	}
}

func TestURLString(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", ""},
		{"https://host/x", "https://host/x"},
		{"https://bob:pw@host/x", "https://bob:***@host/x"},
		{"https://ghp_token@host/x", "https://***@host/x"},
		{"https://bob:p@w@host/x", "https://bob:***@host/x"},
		{"https://bob:p/w@host/x", "https://bob:***@host/x"},
		{"https://host:8080/x@v1", "https://host:8080/x@v1"},
		{"ssh://git@host/x", "ssh://git@host/x"},
		{"ssh://git:pw@host/x", "ssh://git:***@host/x"},
		{"git@host:org/x", "git@host:org/x"},
		{"https://host/x?access_token=abc&y=1", "https://host/x?access_token=***&y=1"},
	}
	for _, tt := range tests {
		if got := NewURL(tt.in).String(); got != tt.want {
			t.Errorf("URL(%q).String() = %q; want %q", tt.in, got, tt.want)
		}
	}
}

func TestRedact(t *testing.T) {
	tests := []struct{ in, want string }{
		{"fetch https://u:p@h/x: EOF, then https://t@h/y", "fetch https://h/x: EOF, then https://h/y"},
		{`Get "https://u:p@h/x": refused`, `Get "https://h/x": refused`},
		{"ssh://git@h:22/x", "ssh://h:22/x"},
		{"git@h:org/x", "h:org/x"},
		{"https://u:a#b@h/x", "https://h/x"},
		{"http://127.0.0.1:8080/x@v1", "http://127.0.0.1:8080/x@v1"},
		{"no address", "no address"},
	}
	for _, tt := range tests {
		if got := Redact(tt.in); got != tt.want {
			t.Errorf("Redact(%q) = %q; want %q", tt.in, got, tt.want)
		}
	}
}

func TestScrubberClean(t *testing.T) {
	var s Scrubber
	s.Add("hun", "hunter 2", "")
	tests := []struct{ in, want string }{
		{"password hunter 2 is wrong", "password *** is wrong"},
		{"?p=hunter+2 and hunter%202 and aHVudGVyIDI=", "?p=*** and *** and ***"},
		{"a\nb\r\n", "a; b"},
		{"\x1b[31mred\x00\xff\tend", `\u001b[31mred\u0000\xff end`},
		{"right\u202eleft", `right\u202eleft`},
	}
	for _, tt := range tests {
		if got := s.Clean(tt.in); got != tt.want {
			t.Errorf("Clean(%q) = %q; want %q", tt.in, got, tt.want)
		}
	}
	if got := (*Scrubber)(nil).Clean("a"); got != "a" {
		t.Errorf("nil Clean = %q; want %q", got, "a")
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	for content, want := range map[string]string{"a": "a", "a\n": "a", "a\r\n": "a", "a\n\n": "a\n", " a ": " a "} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := File(path); err != nil || got.Reveal() != want {
			t.Errorf("File(%q) = %q, %v; want %q", content, got.Reveal(), err, want)
		}
	}
	if err := os.WriteFile(path, make([]byte, fileLimit+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, path + "-missing"} {
		if _, err := File(p); err == nil || !strings.Contains(err.Error(), p) {
			t.Errorf("File(%s) error = %v; want one naming the path", p, err)
		}
	}
}
