package jq

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sort"
	"strings"
	"testing"

	"github.com/itchyny/gojq"
)

func parse(t testing.TB, text string) Value {
	t.Helper()
	doc, err := Parse([]byte(text), Limits{})
	if err != nil {
		t.Fatalf("Parse(%s): %v", text, err)
	}
	return doc.Root()
}

// results is what a query gives, one JSON text a line, and its error.
func results(q *Query, in Value) (string, error) {
	all, err := q.All(context.Background(), in)
	var b []byte
	for _, v := range all {
		b = append(v.AppendJSON(b), '\n')
	}
	return string(b), err
}

// byGojq is what gojq alone gives for a text that encoding/json read.
func byGojq(t testing.TB, query, text string) (string, error) {
	t.Helper()
	ast, err := gojq.Parse(query)
	if err != nil {
		t.Fatal(err)
	}
	var in any
	if err := json.Unmarshal([]byte(text), &in); err != nil {
		t.Fatal(err)
	}
	var b []byte
	for it := ast.Run(in); ; {
		x, ok := it.Next()
		if !ok {
			return string(b), nil
		}
		if err, failed := x.(error); failed {
			return string(b), err
		}
		b = append(Of(x).AppendJSON(b), '\n')
	}
}

// sorted is results in an order of their own: members of a document come in its order, those of Go values by key.
func sorted(t testing.TB, results string) string {
	t.Helper()
	lines := strings.SplitAfter(results, "\n")
	for i, line := range lines {
		if line != "" {
			lines[i] = string(Of(parse(t, line).Any()).AppendJSON(nil))
		}
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

const pools = `{"a":{"b":[{"c":1},{"c":"x"},null]},"k":{"p":{"size":3},"q":{"size":4}},"n":5,"s":"te\u0078t\n","t":true,"z":null,"e":[],"f":-1.5e3}`

func simpleQueries() []string {
	return []string{
		".", ".a", ".a.b", ".a.b[0]", ".a.b[0].c", ".a.b[-1]", ".a.b[9]", ".a.b[-9]", ".a.b[].c", ".a.b[]", `.["k"]`, `."k".p`, `.k["p"].size`, ".k[].size", ".k|to_entries[]",
		".k|to_entries[]|.key", ".k|to_entries[].value.size", ".k|to_entries[]|.value.size", ".k|to_entries[]|.[]", ".missing", ".missing.deeper", ".missing[0]", ".n.x", ".n.x?", ".n[]?", ".n[0]?", ".n[]", ".z[]",
		".a|.b|.[1]|.c", ".a.b[]|.c?", ".a.b[]?.c?", ".n < 10", ".n >= 5", ".n == 5.0", `.s == "text\n"`, ".z == null", ".t != true", ".k[].size > 3", ".f < -1", "(.a).b", "(.a|.b)[0].c", "1", `"x"`, "-3", "true", ".a|7", "null",
		".s|.[0]?", ".n.a.b?", ".n?.a", ".e[]", ".t.x?", `.a["b"][1]["c"]`, ".[]", ".[]?", "to_entries[]", ".a.b[0]|to_entries[]|.key", "(.k).p.size?", ".s[]?|.x", `.["a","b"]`,
		`.a.b[] | select(.c == 1)`, `.a.b[] | select(.c) | .c`, `.k[] | select(.size > 3) | .size`, `.a.b[] | select(.c == "x") | .c`, ".n * 2", ".n + 1.5", ".n / 2", "10 | . / 5", ".n - 7", ".f * 2", ".missing + 3", ".s + 1", ".missing * 2", ".k[].size * 1000", ".n // 3", ".missing // 3", ".n.x // 3",
		".z // \"d\"", ".a.b[] | .c // 0", ".n | . // 1 | . + 1", "select(.n == 5) | .s", "select(.n?) | .n", ".[] | . // 1", ".n * 2 < 11", "(.missing // 4) * 2", "-.5 + 1", ".n / 3", ".n.a.b?", ".A.A??", ".A|.?", ".[0]?", ".n?",
		`.s | startswith("te")`, `.s | endswith("\n")`, `.s | test("^te.t$")`, `.s | test("\\d")`, `.n | startswith("5")`, `.n | test("5")`, `to_entries[] | select(.key | test("^[kn]$")) | .key`, `to_entries[] | select(.key | startswith("k")) | .value.p.size`,
		".s[1:]", ".s[:2]", ".s[1:3]", ".s[-2:]", ".s[:-1]", ".s[3:1]", ".s[9:]", ".a.b[1:]", ".a.b[:1]", ".a.b[-1:]", ".z[1:]", ".n[1:]", ".n[1:]?", ".a.b[1:][].c", `"äöü" | .[1:2]`, ".[:1]",
		`.s | IN("a", "text\n")`, `.n | IN(1, 2)`, `.n | IN(5)`, ".z | IN(null)", `if .n == 5 then 1 else 0 end`, `if .s | IN("x") then "a" else "b" end`, "if .n.x then 1 else 2 end", "if .n.x? then 1 else 2 end", ".k[] | if .size > 3 then 1 else 0 end",
	}
}

func TestPathsAreWalkedAsGojqWouldRunThem(t *testing.T) {
	docs := []string{pools, `[1,2,{"a":3}]`, `5`, `"s"`, `null`, `{"a":5,"k":[1,2]}`, `{"a":[{"b":[{"c":1}]}]}`}
	for _, text := range simpleQueries() {
		q, err := Compile(text)
		if err != nil {
			t.Fatal(err)
		}
		if !q.Simple() && text != `.["a","b"]` && text != ".A.A??" && text != ".A|.?" {
			t.Errorf("Compile(%q) is left to gojq; want a path", text)
		}
		for _, doc := range docs {
			got, err := results(q, parse(t, doc))
			want, wantErr := byGojq(t, text, doc)
			if sorted(t, got) != sorted(t, want) || (err != nil) != (wantErr != nil) {
				t.Errorf("%s on %s = %q, %v; want %q, %v", text, doc, got, err, want, wantErr)
			}
			// The same on Go values, where the order is gojq's.
			if got, err := results(q, Of(parse(t, doc).Any())); got != want || (err != nil) != (wantErr != nil) {
				t.Errorf("%s on the Go value of %s = %q, %v; want %q, %v", text, doc, got, err, want, wantErr)
			}
		}
	}
}

func TestRestRunsInGojq(t *testing.T) {
	for query, want := range map[string]string{
		`.k[] // 3`:         "{\"size\":3}\n{\"size\":4}\n",
		`[.k[].size] | add`: "7\n",
		`.missing // .n`:    "5\n",
		`.k[] | select(.size > $root.k.p.size) | .size`: "4\n",
		`.k | keys[]`:                               "\"p\"\n\"q\"\n",
		`.. | numbers`:                              "1\n-1500\n3\n4\n5\n",
		`[.a.b[:2] | length, (now > 0)]`:            "[2,true]\n",
		`$root.n + .n`:                              "10\n",
		`.s | test("^TE"; "i")`:                     "true\n",
		`reduce .k[].size as $x (0; . + $x)`:        "7\n",
		`"2020-01-02T03:04:05Z" | fromdateiso8601`:  "1577934245\n",
		`if .t then "\(.n)" else error("no") end`:   "\"5\"\n",
		`.k as {p: {size: $x}} | {x: $x, $root} .x`: "3\n",
	} {
		q, err := Compile(query, "$root")
		if err != nil {
			t.Errorf("Compile: %v", err)
			continue
		}
		in := parse(t, pools)
		var b []byte
		err = Start(t.Context(), Budget{}).Each(q, in, []Value{in}, func(it Item) error {
			b = append(it.AppendJSON(b), '\n')
			return nil
		})
		if string(b) != want || err != nil || q.Simple() {
			t.Errorf("%s = %q, %v; want %q", query, b, err, want)
		}
	}
}

func TestQueriesStayWithinTheirDocument(t *testing.T) {
	for _, query := range []string{
		"env", "env.HOME", "$ENV", "$ENV.HOME", `"\($ENV.HOME)"`, "input", "[inputs]", "debug", ".a|debug(.b)", "stderr", "input_filename", "$__loc__", "halt", `"x"|halt_error`, "modulemeta", "get_search_list",
		`import "x" as x; .`, `include "x"; .`, "def f: env; f", "reduce .[] as $x (env; .)", "foreach .[] as $x (0; env; .)", "{a: env}", "{(env|tostring): 1}", "{$ENV}", "[env]", "-env", "if env then 1 else 2 end", "if . then input else 2 end",
		"try env catch .", ".[env]", ".a[env:]", "label $x | env", ". as [$a, {b: $c}] | env", ". as {(env): $c} | $c", ". as {\"x\\(env)\": $c} | $c", "@base64 \"\\(env)\"", ".a // env", "path(env)", "(env)", "env?",
	} {
		if _, err := Compile(query); err == nil || !strings.Contains(err.Error(), "is not available") {
			t.Errorf("Compile(%s) = %v; want it refused by name", query, err)
		}
	}
	for query, want := range map[string]string{".a |": "ends too early", ".a )": `")"`, "$x": "$x", "nosuch": "nosuch"} {
		if _, err := Compile(query); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Compile(%s) = %v; want %s", query, err, want)
		}
	}
}

func TestBudgets(t *testing.T) {
	endless, err := Compile("[range(1; infinite)]")
	if err != nil {
		t.Fatal(err)
	}
	run := Start(t.Context(), Budget{Steps: 10_000})
	if err := run.Each(endless, Value{}, nil, func(Item) error { return nil }); !errors.Is(err, ErrSteps) {
		t.Errorf("endless query = %v; want %v", err, ErrSteps)
	}
	many, _ := Compile(".[]")
	list := parse(t, "["+strings.Repeat("1,", 5000)+"1]")
	if err := Start(t.Context(), Budget{Results: 100}).Each(many, list, nil, func(Item) error { return nil }); !errors.Is(err, ErrResults) {
		t.Errorf("5001 results = %v; want %v", err, ErrResults)
	}
	if err := Start(t.Context(), Budget{Steps: 100}).Each(many, list, nil, func(Item) error { return nil }); !errors.Is(err, ErrSteps) {
		t.Errorf("5001 items in 100 steps = %v; want %v", err, ErrSteps)
	}
	var text strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&text, `"k%d":%d,`, i, i)
	}
	wide := parse(t, "{"+text.String()+`"last":1}`)
	last, _ := Compile(".last")
	run = Start(t.Context(), Budget{Steps: 100_000})
	var err2 error
	for range 1000 {
		if _, _, err2 = run.First(last, wide, nil); err2 != nil {
			break
		}
	}
	if !errors.Is(err2, ErrSteps) {
		t.Errorf("1000 ways through 20000 members in 100000 steps = %v; want %v", err2, ErrSteps)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, q := range []*Query{endless, many} {
		if err := Start(ctx, Budget{}).Each(q, list, nil, func(Item) error { return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("%s after the end = %v; want %v", q, err, context.Canceled)
		}
	}
}

func TestItemsKnowTheirParentAndKey(t *testing.T) {
	in := parse(t, `{"pools":{"x":{"name":"p","disks":[{"d":1},{"d":2}]}}}`)
	q, err := Compile(".pools[].disks[].d")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	err = Start(t.Context(), Budget{}).Each(q, in, nil, func(it Item) error {
		got = append(got, it.Parent.Text()+" "+it.Key.Text()+" "+it.Text())
		return nil
	})
	if want := []string{`{"d":1} 0 1`, `{"d":2} 1 2`}; !reflect.DeepEqual(got, want) || err != nil {
		t.Errorf("items = %q, %v; want %q", got, err, want)
	}
	q, _ = Compile(".pools[].disks[]")
	_ = Start(t.Context(), Budget{}).Each(q, in, nil, func(it Item) error {
		if name, _ := it.Parent.Get("name"); name.Text() != "p" {
			t.Errorf("parent of %s = %s; want the pool", it.Text(), it.Parent.Text())
		}
		return nil
	})
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"": "empty", " ": "empty", "{": "line 1, column 1: the object is not closed", "[1,\n2": "the list is not closed", `{"a"}`: "colon", `{"a":}`: "no value", `{a:1}`: "a key belongs", "[1 2]": "a comma or ]", `{"a":1 "b":2}`: "a comma or }",
		"[1,]": `"]" is no value`, `{"a":1,}`: "a key belongs", "01": "no number", "1.": "no number", "-": "no number", "1e": "no number", "nul": "no value", "1 2": "follows", `"a`: "not closed", "\"a\nb\"": "control character", `"\x"`: "no character",
		`"\u12g4"`: "no character", `"\u12`: "no character", "\"a\xff\"": "column 3: the text is no UTF-8", `"\`: "not closed", "+1": "no value", "[[[[[": "more than 4", "[1,2,3,4,5,6,7,8,9,10,11]": "more than 10 values",
		`"0123456789012345678901234567890123456789"`: "more than the limit of 40", "\n\n  x": "line 3, column 3", "\"\\u0041\n\"": "control character", "{\"\\": "not closed",
	} {
		if _, err := Parse([]byte(text), Limits{Bytes: 40, Depth: 4, Nodes: 10}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%q) = %v; want %q", text, err, want)
		}
	}
}

func TestParseKeeps(t *testing.T) {
	for text, want := range map[string]string{
		`{"a":1,"a":2}`:                              `{"a":2}`,
		`{"a":1,"\u0061":{"b":2,"c":3},"b":1}`:       `{"a":{"b":2,"c":3},"b":1}`,
		"\ufeff [ 1 , 2 ] ":                          `[1,2]`,
		`[12345678901234567890,1.50,1e999,-0,-0.0]`:  `[12345678901234567890,1.50,1e999,-0,-0.0]`,
		`[NaN,Infinity,-Infinity]`:                   `["NaN","+Inf","-Inf"]`,
		`"\ud83d\ude00\ud83d\u0041\"\\\/\b\f\n\r\t"`: "\"😀\ufffdA\\\"\\\\/\\u0008\\u000c\\n\\r\\t\"",
		`"<é\u2028>"`:                                `"\u003cé\u2028\u003e"`,
	} {
		if got := string(parse(t, text).AppendJSON(nil)); got != want {
			t.Errorf("Parse(%s) = %s; want %s", text, got, want)
		}
	}
	wide := `{"k":0,` + strings.Repeat(`"x":1,`, 40) + `"k":2}`
	if got := string(parse(t, wide).AppendJSON(nil)); got != `{"x":1,"k":2}` {
		t.Errorf("many equal keys = %s; want the last of each", got)
	}
}
