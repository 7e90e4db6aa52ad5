package jq

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/itchyny/gojq"
)

// byLibrary reads a text as encoding/json does, numbers as text.
func byLibrary(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, io.ErrUnexpectedEOF
	}
	return v, nil
}

// plainValue is v with numbers as text.
func plainValue(v Value) any {
	switch v.Kind() {
	case Null:
		return nil
	case False, True:
		return v.Kind() == True
	case String:
		s, _ := v.Str()
		return s
	case Number:
		_, text, _ := v.Number()
		return json.Number(text)
	case Array:
		list := []any{}
		v.Each(func(_, item Value) bool { list = append(list, plainValue(item)); return true })
		return list
	}
	m := map[string]any{}
	v.Each(func(key, item Value) bool { m[key.Text()] = plainValue(item); return true })
	return m
}

// FuzzParse holds the parser beside encoding/json, and what is written beside what was read.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		pools, `[1,2.5e3,-0,"a\u00e9\ud83d\ude00\ud800\n\"\\/",true,false,null,{}, []]`, `{"a":1,"a":{"b":2},"\u0061":3}`, "[1,]", `{"a"}`, "01", "1e", `"\x"`, "\ufeff1", "nul", "[[[[1]]]]", ` { "a" : [ ] } `, "\"\x01\"", "\"\xff\"", "1 2", "", "NaN", "-Infinity",
		`{"aa":1,"ab":2,"ba":3,"bb":4,"aa":5,"c":6,"d":7,"e":8,"f":9,"g":10,"h":11,"i":12,"j":13,"k":14,"l":15,"m":16,"n":17,"ab":18}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		doc, err := Parse(text, Limits{Depth: 100, Nodes: 10_000})
		want, wantErr := byLibrary(text)
		lenient := bytes.Contains(text, []byte("NaN")) || bytes.Contains(text, []byte("Infinity")) || bytes.HasPrefix(text, []byte("\ufeff")) || !utf8.Valid(text) ||
			bytes.Count(text, []byte("["))+bytes.Count(text, []byte("{")) >= 100
		if !lenient && (err == nil) != (wantErr == nil) {
			t.Fatalf("Parse(%q) = %v; encoding/json says %v", text, err, wantErr)
		}
		if err != nil {
			return
		}
		root := doc.Root()
		if got := plainValue(root); !lenient && !reflect.DeepEqual(got, want) {
			t.Fatalf("Parse(%q) = %v; want %v", text, got, want)
		}
		written := root.AppendJSON(nil)
		again, err := Parse(written, Limits{})
		if err != nil || !json.Valid(written) {
			t.Fatalf("%q was written as %q: %v", text, written, err)
		}
		if !lenient && !reflect.DeepEqual(plainValue(again.Root()), plainValue(root)) {
			t.Fatalf("%q was written as %q", text, written)
		}
		if x, err := Parse(Of(root.Any()).AppendJSON(nil), Limits{}); err != nil || x.Root().Len() != root.Len() {
			t.Fatalf("%q as Go values: %v", text, err)
		}
	})
}

// FuzzQuery holds the walker beside gojq, on a document whose members are in gojq's order.
func FuzzQuery(f *testing.F) {
	for _, q := range simpleQueries() {
		f.Add(q, pools)
		f.Add(q, `[{"a":[{"b":1}],"n":"x"}]`)
	}
	f.Fuzz(func(t *testing.T, text, body string) {
		if len(text) > 200 || len(body) > 2000 {
			return
		}
		q, err := Compile(text)
		if err != nil || !q.Simple() {
			return
		}
		doc, err := Parse([]byte(body), Limits{Depth: 50})
		if err != nil || strings.Contains(body, "N") || strings.Contains(body, "Infinity") {
			return
		}
		in := Of(doc.Root().Any())
		run := func(v Value) (string, error) {
			var b []byte
			err := Start(context.Background(), Budget{Steps: 100_000}).Each(q, v, nil, func(it Item) error {
				b = append(Of(it.Any()).AppendJSON(b), '\n')
				return nil
			})
			return string(b), err
		}
		got, err := run(in)
		ast, _ := gojq.Parse(text)
		code, cerr := gojq.Compile(ast)
		if cerr != nil {
			t.Fatalf("%q is walked, gojq says %v", text, cerr)
		}
		var want []byte
		var wantErr error
		for it := code.Run(in.Any()); ; {
			x, ok := it.Next()
			if !ok {
				break
			}
			if e, failed := x.(error); failed {
				wantErr = e
				break
			}
			want = append(Of(x).AppendJSON(want), '\n')
		}
		if got != string(want) || (err != nil) != (wantErr != nil) {
			t.Fatalf("%q on %s = %q, %v; gojq gives %q, %v", text, body, got, err, want, wantErr)
		}
		onNodes, err := run(doc.Root())
		// Members come in the order of the document: what an error lets through depends on it.
		if err == nil && len(onNodes) != len(got) || (err != nil) != (wantErr != nil) {
			t.Fatalf("%q on %s = %q, %v; on Go values %q", text, body, onNodes, err, got)
		}
	})
}
