package render

import (
	"strings"
	"testing"
)

func set(t testing.TB) *Set {
	t.Helper()
	s := &Set{}
	for name, value := range map[string]string{"HOST": "db.example", "PORT": "5432", "EMPTY": "", "LIST": "a,b", "PEM": "x\ny", "QUOTE": `it's "<q>"`, "JSON": `{"a":[1,2]}`} {
		if err := s.Define(name, value); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestRender(t *testing.T) {
	tests := []struct{ text, want string }{
		{"host={{ .HOST }}:{{ .PORT }}\n", "host=db.example:5432\n"},
		{"{{ get \"NONE\" \"x\" }}{{ get \"PORT\" \"x\" }}{{ has \"NONE\" }}{{ has \"HOST\" }}", "x5432falsetrue"},
		{"{{ .EMPTY | default \"d\" }}{{ .HOST | default \"d\" }}", "ddb.example"},
		{"{{ .HOST | upper }}{{ \" A \" | trim | lower }}", "DB.EXAMPLEa"},
		{"{{ range split \",\" .LIST }}[{{ . }}]{{ end }}{{ split \",\" .LIST | join \"+\" }}", "[a][b]a+b"},
		{"{{ .HOST | replace \".\" \"-\" }}{{ if contains \"exa\" .HOST }}y{{ end }}", "db-exampley"},
		{"  {{ .PEM | indent 2 }}", "  x\n  y"},
		{"{{ .QUOTE | quote }} {{ .QUOTE | shellQuote }}", `"it's \"<q>\"" 'it'\''s "<q>"'`},
		{"{{ .PORT | b64enc }} {{ .PORT | b64enc | b64dec }}", "NTQzMg== 5432"},
		{"{{ (index (fromJson .JSON).a 1) }} {{ fromJson .JSON | toJson }}", `2 {"a":[1,2]}`},
		{"no action", "no action"},
	}
	for _, tt := range tests {
		got, err := set(t).Render("x", tt.text)
		if err != nil || string(got) != tt.want {
			t.Errorf("Render(%q) = %q, %v; want %q", tt.text, got, err, tt.want)
		}
	}
	s := set(t)
	s.Left, s.Right = "<<", ">>"
	if got, err := s.Render("x", "<< .PORT >> {{ .PORT }}"); err != nil || string(got) != "5432 {{ .PORT }}" {
		t.Errorf("with own marks: %q, %v", got, err)
	}
}

func TestErrorsNameThePlaceAndTheRemedy(t *testing.T) {
	tests := []struct {
		text string
		want []string
	}{
		{"a\n{{ .HSOT }}", []string{"conf:2:", `"HSOT"`, "--var HSOT", "EMPTY, HOST, JSON"}},
		{"a\n\n{{ if }}", []string{"conf:3"}},
		{"{{ env \"PATH\" }}", []string{"conf:1", `"env" not defined`}},
		{"{{ .EMPTY | required \"EMPTY must be set\" }}", []string{"conf:1", "EMPTY must be set"}},
		{"{{ b64dec .HOST }}", []string{"not base64"}},
		{"{{ range $i := fromJson \"[1,2]\" }}{{ template \"none\" }}{{ end }}", []string{`"none"`}},
	}
	for _, tt := range tests {
		out, err := set(t).Render("conf", tt.text)
		if err == nil {
			t.Errorf("Render(%q) = %q; want an error", tt.text, out)
			continue
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("Render(%q) = %v; want %q in it", tt.text, err, want)
			}
		}
		if strings.Contains(err.Error(), "db.example") {
			t.Errorf("Render(%q) = %v; it shows a value", tt.text, err)
		}
	}
}

func TestOutputIsBounded(t *testing.T) {
	text := `{{ define "x" }}{{ range split "" "` + strings.Repeat("a", 1000) + `" }}{{ range split "" "` + strings.Repeat("b", 1000) +
		`" }}` + strings.Repeat("c", 100) + `{{ end }}{{ end }}{{ end }}{{ template "x" }}`
	if _, err := set(t).Render("bomb", text); err == nil || !strings.Contains(err.Error(), "larger than 64 MiB") {
		t.Errorf("a template of 100 MB = %v; want a refusal", err)
	}
}

func TestDefineRefuses(t *testing.T) {
	s := set(t)
	for _, name := range []string{"", "A-B", "1A", "A.B", "HOST"} {
		if err := s.Define(name, "x"); err == nil {
			t.Errorf("Define(%q) = nil; want an error", name)
		}
	}
}
