package scan

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sidecar-kit/sidecar/roles/logship/record"
)

// whole is Value on a text that is nothing else.
func whole(b []byte, depth int) (kind record.Kind, found Found, ok bool) {
	keys := 0
	end, kind, found := Value(b, Space(b, 0), depth, &keys)
	return kind, found, end >= 0 && Space(b, end) == len(b)
}

func TestValue(t *testing.T) {
	tests := []struct {
		text  string
		depth int
		kind  record.Kind
		found Found
		ok    bool
	}{
		{`"a"`, 1, record.Escaped, 0, true},
		{`"a\"\u00e9 long enough for a word"`, 1, record.Escaped, Escapes, true},
		{`"é"`, 1, record.Escaped, High, true},
		{`-0.5e+10`, 1, record.Literal, 0, true},
		{`01`, 1, record.Literal, 0, false},
		{`1.`, 1, record.Literal, 0, false},
		{`null`, 1, record.Literal, 0, true},
		{`nul`, 1, record.Literal, 0, false},
		{` {"a":[1,{"b":"\n"}], "c" : {} } `, 3, record.Nested, Escapes, true},
		{`[[[]]]`, 2, record.Nested, Deep, true},
		{`[[]]`, 2, record.Nested, 0, true},
		{`[1,]`, 2, record.Nested, 0, false},
		{`{"a":1,}`, 2, record.Nested, 0, false},
		{`{"a"}`, 2, record.Nested, 0, false},
		{`{1:2}`, 2, record.Nested, 0, false},
		{`"\x"`, 2, record.Nested, 0, false},
		{"\"a\tb\"", 2, record.Nested, 0, false},
		{`"open`, 2, record.Nested, 0, false},
		{`[}`, 2, record.Nested, 0, false},
		{strings.Repeat("[", 2000) + strings.Repeat("]", 2000), 2, record.Nested, 0, false},
	}
	for _, tt := range tests {
		kind, found, ok := whole([]byte(tt.text), tt.depth)
		if ok != tt.ok || ok && (kind != tt.kind || found != tt.found) {
			t.Errorf("Value(%.40s) = %v, %v, %v; want %v, %v, %v", tt.text, kind, found, ok, tt.kind, tt.found, tt.ok)
		}
	}
}

func TestRepair(t *testing.T) {
	tests := []struct{ in, want string }{
		{`a\ud800b`, `a\ufffdb`},
		{`\ud83d\ude00`, `\ud83d\ude00`},
		{`\\ud800`, `\\ud800`},
		{"a\xffb\\n", "a\ufffdb\\n"},
		{`\ufffd`, `\ufffd`},
		{`\ude00\ud83d`, `\ufffd\ufffd`},
	}
	for _, tt := range tests {
		valid := Valid([]byte(tt.in), High|Escapes)
		if valid != (tt.in == tt.want) {
			t.Errorf("Valid(%q) = %v", tt.in, valid)
		}
		if got := string(Repair(nil, []byte(tt.in))); got != tt.want {
			t.Errorf("Repair(%q) = %q; want %q", tt.in, got, tt.want)
		}
	}
}

func TestFind(t *testing.T) {
	doc := []byte(`{"a":{"b.c":1,"d":{"e":"x\n"}},"a.f":[2],"g":null}`)
	tests := []struct{ path, want string }{
		{"a.b.c", "1"}, {"a.d.e", `x\n`}, {"a.f", "[2]"}, {"g", "null"}, {"h", ""}, {"a.d.x", ""}, {"a.d", `{"e":"x\n"}`},
	}
	for _, tt := range tests {
		if got, _, ok := Find(doc, tt.path); string(got) != tt.want || ok != (tt.want != "") {
			t.Errorf("Find(%s) = %s, %v; want %s", tt.path, got, ok, tt.want)
		}
	}
}

// FuzzValue: what is accepted is what encoding/json accepts, strings mean the same, and a repaired value is valid.
func FuzzValue(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5e-3,true,null,"\ud83d\ude00é"]}`, `"\ud800"`, "[\"\xff\"]", ` -0 `, `{"":{"":[]}}`, `"12345678\""`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		kind, found, ok := whole(b, 5)
		if ok != json.Valid(b) {
			t.Fatalf("Value(%q) = %v; encoding/json says %v", b, ok, !ok)
		}
		if !ok {
			return
		}
		fixed := Repair(nil, b)
		if !json.Valid(fixed) || !utf8.Valid(fixed) || !Valid(fixed, High|Escapes) {
			t.Fatalf("Repair(%q) = %q; want valid", b, fixed)
		}
		if Valid(b, found) != (string(fixed) == string(b)) {
			t.Fatalf("Valid(%q) = %v, Repair = %q", b, Valid(b, found), fixed)
		}
		if kind == record.Escaped {
			var want string
			if err := json.Unmarshal(fixed, &want); err != nil {
				t.Fatal(err)
			}
			from := Space(fixed, 0) + 1
			end, _ := String(fixed, from)
			if got := string(Unescape(nil, fixed[from:end])); got != want {
				t.Fatalf("Unescape(%q) = %q; want %q", fixed, got, want)
			}
		}
	})
}
