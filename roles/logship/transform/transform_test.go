package transform

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/roles/logship/decode/scan"
	"github.com/sidecar-kit/sidecar/roles/logship/record"
)

func found(f finder, text string) []string {
	var out []string
	b := []byte(text)
	for start, end := f(b, 0); start >= 0; start, end = f(b, end) {
		out = append(out, text[start:end])
	}
	return out
}

func TestFinders(t *testing.T) {
	d := &redactor{}
	for _, key := range []string{"password", "API-Key"} {
		d.keys.add(key)
	}
	tests := []struct {
		name string
		find finder
		text string
		want []string
	}{
		{"email", email("@"), "a@b.c x.y+z@ex-ample.co.uk. @no.de no@ no@no me@host.", []string{"a@b.c", "x.y+z@ex-ample.co.uk"}},
		{"email", email("@"), "ü@ö.de,a@b@c.de", []string{"ü@ö.de", "b@c.de"}},
		{"email", email("@"), "Ann.O'Neil@x.de from='bob@y.de'", []string{"Ann.O'Neil@x.de", "bob@y.de"}},
		{"email", email("%40"), "?mail=a.b%40c.de&x=%40c.de&y=d%40e%40f.de", []string{"a.b%40c.de", "e%40f.de"}},
		{"card", card, "4111111111111111 4111-1111-1111-1111,378282246310005 5500005555555559", []string{"4111111111111111", "4111-1111-1111-1111", "378282246310005", "5500005555555559"}},
		{"card", card, "4111111111111112 41111111111111111111111 x4111111111111111 1700000000123 2026-01-02 15:04:05", nil},
		{"card", card, "12 4111 1111 1111 1111 34", []string{"4111 1111 1111 1111"}},
		{"bearer", scheme('B'), "Authorization: Bearer  abcdefgh.ij-k, Basic dXNlcjpwYXNz Bearer short xBearer abcdefghij", []string{"abcdefgh.ij-k", "dXNlcjpwYXNz"}},
		{"bearer", scheme('b'), "bearer abcdefghijkl bear", []string{"abcdefghijkl"}},
		{"bearer", scheme('B'), "AUTHORIZATION: BEARER abcdefghijkl, BASIC dXNlcjpwYXNz", []string{"abcdefghijkl", "dXNlcjpwYXNz"}},
		{"jwt", jwt, "t=eyJhbGciOi.eyJzdWIi.c2ln- eyJ no eyJhbGciOi.only", []string{"eyJhbGciOi.eyJzdWIi.c2ln-"}},
		{"aws", aws("AKIA"), "AKIAIOSFODNN7EXAMPLE AKIAIOSFODNN7EXAMPLEX xAKIAIOSFODNN7EXAMPLE AKIA", []string{"AKIAIOSFODNN7EXAMPLE"}},
		{"ipv4", ipv4, "10.0.0.1:80 256.1.1.1 1.2.3 1.2.3.4.5 v1.2.3.4 (255.255.255.255).", []string{"10.0.0.1", "255.255.255.255"}},
		{"key", d.byKey, `password=a b "user.Password" : "x \" y" api-key: k,passwords=n password=`, []string{"a", `x \" y`, "k"}},
		{"key", d.byKey, `{\"password\":\"in json in json\"} password: 'z'`, []string{`in json in json`, "z"}},
		{"key", d.byKey, `{\"password\":\"it said \\\"no\\\" twice\",\"x\":1`, []string{`it said \\\"no\\\" twice`}},
		{"key", d.byKey, `{\\\"password\\\":\\\"json in json in json\\\",\\\"x\\\":1`, []string{`json in json in json`}},
		{"key", d.byKey, `{"password": {"a": "}", "b": ["x"]}, "x":1,"password":["y\"]","z"],"x":1`, []string{`{"a": "}", "b": ["x"]}`, `["y\"]","z"]`}},
		{"key", d.byKey, `{\"password\":[\"a]\"],\"x\":1 "password":{"cut": "o`, []string{`[\"a]\"]`, `{"cut": "o`}},
		{"key", d.byKey, "\"password\"\t:\t\"tabs\" 'password': b'bytes' :password=>\"ruby\" password := go", []string{"tabs", "bytes", "ruby", "go"}},
	}
	for _, tt := range tests {
		if got := found(tt.find, tt.text); !slices.Equal(got, tt.want) {
			t.Errorf("%s: in %q found %q; want %q", tt.name, tt.text, got, tt.want)
		}
	}
}

func TestWithout(t *testing.T) {
	tests := []struct{ object, path, want string }{
		{`{"a":1}`, "a", `{}`},
		{`{"a":1,"b":2}`, "a", `{"b":2}`},
		{`{"a":1 , "b" : "x\"}" }`, "b", `{"a":1 }`},
		{`{"a":{"b":{"c":[1,{}]},"d":2}}`, "a.b", `{"a":{"d":2}}`},
		{`{"a":{"b":1}}`, "a.c", `{"a":{"b":1}}`},
		{`{"x\"":0,"q":{"a":"","b\\":2}}`, "q.a", `{"x\"":0,"q":{"b\\":2}}`},
	}
	for _, tt := range tests {
		if got := string(without([]byte(tt.object), tt.path)); got != tt.want {
			t.Errorf("without(%s, %s) = %s; want %s", tt.object, tt.path, got, tt.want)
		}
	}
}

// FuzzWithout: what is left of an object is valid, and smaller if the member was there.
func FuzzWithout(f *testing.F) {
	f.Add(`{"a":{"b":"\\","c":[]},"d":null}`, "a.b")
	f.Add(` {"":{"":1} , "a\"":"x"}`, "")
	f.Fuzz(func(t *testing.T, object, path string) {
		b := bytes.TrimSpace([]byte(object))
		if !json.Valid(b) || b[0] != '{' {
			return
		}
		before := bytes.Clone(b)
		_, _, ok := scan.Find(b, path)
		got := without(b, path)
		if !json.Valid(got) || ok != (len(got) < len(b)) || !bytes.Equal(b, before) {
			t.Fatalf("without(%s, %q) = %s", b, path, got)
		}
	})
}

// FuzzCondition: a condition is refused or can be asked of any record; it never panics, and asking twice gives the same.
func FuzzCondition(f *testing.F) {
	for _, s := range []string{`level < info and not (a.b == "x" or has c)`, `a in (b, 'c d') || m =~ '^x' && n >= 1.5e3`, `! ! message contains ''`, `((((`} {
		f.Add(s, `{"b":"x"}`)
	}
	f.Fuzz(func(t *testing.T, text, nested string) {
		n, err := parseCondition(draft.Of("test", text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "test: ") {
				t.Fatalf("%v has no place", err)
			}
			return
		}
		r := record.Record{Message: []byte(nested), Level: record.Warn, Fields: []record.Field{{Key: "n", Value: []byte("12"), Kind: record.Literal}}}
		if json.Valid([]byte(nested)) && strings.HasPrefix(nested, "{") {
			r.Fields = append(r.Fields, record.Field{Key: "a", Value: []byte(nested), Kind: record.Nested})
		}
		first := n.holds(&r)
		if second := n.holds(&r); first != second {
			t.Fatalf("%q holds and does not", text)
		}
		if inverse, err := parseCondition(draft.Of("test", "not ("+text+")")); err == nil && inverse.holds(&r) == n.holds(&r) {
			t.Fatalf("not (%s) is the same as without", text)
		}
	})
}

// FuzzFinders: places are in order, not empty and within the text.
func FuzzFinders(f *testing.F) {
	f.Add([]byte("a@b.de 4111-1111-1111-1111 eyJa.b.c 1.2.3.4 Bearer abcdefgh password=\"x"))
	f.Add([]byte(`a%40b.de {\"password\":{\"a\":[\"}`))
	d := &redactor{}
	d.keys.add("password")
	finders := []finder{email("@"), email("%40"), card, scheme('B'), scheme('b'), jwt, aws("AKIA"), ipv4, d.byKey}
	f.Fuzz(func(t *testing.T, b []byte) {
		for i, find := range finders {
			at := 0
			for start, end := find(b, 0); start >= 0; start, end = find(b, at) {
				if start < at || end <= start || end > len(b) {
					t.Fatalf("finder %d in %q from %d: %d to %d", i, b, at, start, end)
				}
				at = end
			}
		}
	})
}

func TestExpand(t *testing.T) {
	getenv := func(name string) (string, bool) { v, ok := map[string]string{"A": "1", "E": ""}[name]; return v, ok }
	for text, want := range map[string]string{"${A}x": "1x", "$A$$": "$A$", "${E:-d}${N:-}": "d", "a$": "a$", "${N}": "error", "${A": "error"} {
		got, err := expand(text, getenv)
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("expand(%q) = %q, %v; want %q", text, got, err, want)
		}
	}
}

func TestCommonMakesObjectsOfDots(t *testing.T) {
	fields := []record.Field{{Key: "a.b", Value: []byte("1")}, {Key: "c", Value: []byte("\"")}, {Key: "a.d.e", Value: nil}, {Key: "c.x", Value: []byte("2")}}
	if got, want := string(common(fields).JSON), `,"a":{"b":"1","d":{"e":""}},"c":"\"","c.x":"2"`; got != want {
		t.Errorf("common = %s; want %s", got, want)
	}
}

func TestLimitForgetsBuckets(t *testing.T) {
	l := &limit{limitConfig: &limitConfig{perSecond: 1, burst: 1, by: []string{"message"}}, buckets: map[string]*bucket{}}
	for i := range 3 * maxBuckets {
		r := record.Record{Message: []byte{byte(i), byte(i >> 8)}, Read: int64(i)}
		l.passes(&r)
		if len(l.buckets) > maxBuckets {
			t.Fatalf("%d buckets; want at most %d", len(l.buckets), maxBuckets)
		}
	}
}
