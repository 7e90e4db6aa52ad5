package plain

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/sidecar-kit/sidecar/roles/logship/record"
)

func TestLine(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "a\tb": "a\tb", "a\nb": `a\nb`, "\x1b[31mred\r\x00\x7f": `\x1b[31mred\x0d\x00\x7f`, "é\u0085\xff": `é\xc2\x85\xff`,
	} {
		if got := string(Line(nil, []byte(in))); got != want {
			t.Errorf("Line(%q) = %q; want %q", in, got, want)
		}
	}
}

func TestMessageWithoutOneIsTheDocument(t *testing.T) {
	r := &record.Record{File: &record.File{Path: "/a"}, Fields: []record.Field{{Key: "x", Value: []byte("1"), Kind: record.Literal}}}
	if got := Message(nil, r); !json.Valid(got) || !bytes.Contains(got, []byte(`"x":1`)) {
		t.Errorf("Message = %s; want the document", got)
	}
	r.Message, r.Kind = []byte(`a\n\"b\"`), record.Escaped
	if got := string(Message(nil, r)); got != "a\n\"b\"" {
		t.Errorf("Message = %q; want the decoded text", got)
	}
}

// FuzzValue compares with encoding/json for what is the inside of a JSON string, and makes UTF-8 of everything.
func FuzzValue(f *testing.F) {
	for _, s := range []string{`a`, `\n\t\"\\\/\b\f\r`, `\u00e9\ud83d\ude00`, `\ud83d`, `\ud83d\u0041`, `\u12`, `\`, "é\xff", `\ude00\ud83d`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		got := Value(nil, value, record.Escaped)
		var want string
		if json.Unmarshal(append(append([]byte{'"'}, value...), '"'), &want) == nil && utf8.Valid(value) && string(got) != want {
			t.Errorf("Value(%q) = %q; want %q", value, got, want)
		}
		if !utf8.Valid(UTF8(nil, value)) || !utf8.Valid(Line(nil, value)) || bytes.ContainsAny(Line(nil, value), "\n\r\x1b") {
			t.Errorf("UTF8 or Line of %q is not what it has to be", value)
		}
		if utf8.Valid(value) && !bytes.Equal(UTF8(nil, value), value) {
			t.Errorf("UTF8(%q) changes text", value)
		}
	})
}
