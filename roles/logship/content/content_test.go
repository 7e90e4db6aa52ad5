package content

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/roles/logship/record"
)

// value makes a draft.Value of JSON.
func value(t testing.TB, text string) draft.Value {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var build func() draft.Value
	build = func() draft.Value {
		token, err := d.Token()
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		v := draft.Value{Place: "test"}
		switch token := token.(type) {
		case json.Delim:
			v.Shape = draft.List
			if token == '{' {
				v.Shape = draft.Map
			}
			for d.More() {
				if token == '[' {
					v.Items = append(v.Items, build())
					continue
				}
				key := build().Text
				v.Pairs = append(v.Pairs, draft.Pair{Key: key, Place: "test", Value: build()})
			}
			if _, err = d.Token(); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
		case nil:
		default:
			v.Shape, v.Text = draft.Word, fmt.Sprint(token)
		}
		return v
	}
	return build()
}

func program(t testing.TB, config string, env Env) *Program {
	t.Helper()
	c, err := Parse(value(t, config))
	if err != nil {
		t.Fatalf("Parse(%s): %v", config, err)
	}
	if env.Getenv == nil {
		env.Getenv = func(name string) (string, bool) {
			v, ok := map[string]string{"POD_NAME": "web-1", "SALT": "pepper", "EMPTY": ""}[name]
			return v, ok
		}
	}
	p, err := c.New(env)
	if err != nil {
		t.Fatalf("New(%s): %v", config, err)
	}
	return p
}

// document is what a line becomes, without time and place; or the reason why it is not sent.
func document(t testing.TB, p *Program, line string) string {
	t.Helper()
	r := record.Record{File: &record.File{Path: "/logs/app.log", Input: "app", Gen: 9}, Read: 1e18, Message: []byte(line)}
	p.Apply(&r)
	if r.Drop != "" {
		return r.Drop
	}
	out := record.AppendJSON(nil, &r)
	if !json.Valid(out) || !utf8.Valid(out) {
		t.Fatalf("%q became %q; want JSON", line, out)
	}
	doc := strings.Replace(string(out), `"@timestamp":"2001-09-09T01:46:40.000Z",`, "", 1)
	doc = strings.Replace(doc, `"log":{"file":{"path":"/logs/app.log"},"offset":0}`, "…", 1)
	return strings.Replace(doc, `"log":{"file":{"path":"/logs/app.log"},"offset":0,`, "…{", 1)
}

func TestApply(t *testing.T) {
	labels := filepath.Join(t.TempDir(), "labels")
	if err := os.WriteFile(labels, []byte("app=\"web\"\napp.kubernetes.io/name=\"x \\\"y\\\"\"\nodd\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	jsonAnd := func(transforms string) string { return `{"decode":"json","transforms":[` + transforms + `]}` }
	tests := []struct{ config, line, want string }{
		{`{}`, `raw "line"`, `{"message":"raw \"line\"",…}`},
		{`{"transforms":[{"add":{"env":"prod","service.name":"s","service.version":"1","pod":"${POD_NAME}-${EMPTY:-x}$$"}}]}`, `m`,
			`{"message":"m",…,"env":"prod","service":{"name":"s","version":"1"},"pod":"web-1-x$"}`},
		{`{"transforms":[{"kubernetes":{"labels":"` + labels + `","namespace":"ns","annotations":""}}]}`, `m`,
			`{"message":"m",…,"kubernetes":{"pod":{"name":"web-1"},"namespace":"ns","labels":{"app":"web","app_kubernetes_io/name":"x \"y\""}}}`},
		{jsonAnd(`{"add":{"env":"prod"}},{"rename":{"env":"stage"}}`), `{"env":"mine","stage.x":1}`, `{…,"stage":"prod","app_env":"mine","stage.x":1}`},
		{jsonAnd(`{"drop":["a","b.c","d*"]}`), `{"a":1,"a.x":2,"b":{"c":1,"e":[2]},"da":3,"z":4}`, `{…,"b":{"e":[2]},"z":4}`},
		{jsonAnd(`{"drop":["b.e","message"]}`), `{"msg":"m","b":{"c":1 , "e" : "x\"y" }}`, `{…,"b":{"c":1 }}`},
		{jsonAnd(`{"add":{"env":"p","x":"y"}},{"keep":["a","env"]}`), `{"msg":"m","a":{"b":1},"c":2}`, `{"message":"m",…,"env":"p","a":{"b":1}}`},
		{jsonAnd(`{"rename":{"a":"b","text":"message"}}`), `{"b":1,"a":2,"text":"t"}`, `{"message":"t",…,"b":2}`},
		{jsonAnd(`{"filter":"level < info"}`), `{"level":"debug"}`, `filter`},
		{jsonAnd(`{"filter":"level < info"}`), `{"level":"info","a":1}`, `{…{"level":"info"},"a":1}`},
		{jsonAnd(`{"filter":"level < info"}`), `{"a":1}`, `{…,"a":1}`},
		{jsonAnd(`{"only":"status >= 500 or (path =~ '^/api' and not has quiet)"}`), `{"status":404,"path":"/api","quiet":1}`, `filter`},
		{jsonAnd(`{"only":"status >= 500 or (path =~ '^/api' and not has quiet)"}`), `{"status":503}`, `{…,"status":503}`},
		{jsonAnd(`{"only":"a.b in (x, 'y z') && message contains \"he\""}`), `{"a":{"b":"y z"},"msg":"hey"}`, `{"message":"hey",…,"a":{"b":"y z"}}`},
		{jsonAnd(`{"filter":"a == 'q\u0040'"}`), `{"a":"q\u0040"}`, `filter`},
		{jsonAnd(`{"filter":"env != prod"},{"add":{"env":"prod"}}`), `{"a":1}`, `{…,"env":"prod","a":1}`},
		{`{"transforms":[{"redact":["email","card","bearer","jwt","aws","ipv4"]}]}`,
			`x@y.org 4111 1111 1111 1111 Authorization: Bearer abcdefgh1 eyJhbGciOi.eyJzdWIi.c2ln AKIAIOSFODNN7EXAMPLE 10.0.0.1 1.2.3.4.5 4111 1111 1111 1112`,
			`{"message":"*** *** Authorization: Bearer *** *** *** *** 1.2.3.4.5 4111 1111 1111 1112",…}`},
		{jsonAnd(`{"redact":{"keys":["password","token"],"presets":["email"]}}`),
			`{"Password":"x","user":{"token":[1],"mail":"a@b.de","n":1},"l":["q\u0040b.de",2],"msg":"password=\"a b\" and token: c, rest"}`,
			`{"message":"password=\"***\" and token: ***, rest",…,"Password":"***","user":{"token":"***","mail":"***","n":1},"l":["***",2]}`},
		{jsonAnd(`{"redact":{"keys":["password"]}}`), `{"password":"x"`, `{"message":"{\"password\":\"***\"",…}`},
		{jsonAnd(`{"redact":{"keys":["user.pin","a.b.c"]}}`), `{"user":{"pin":1,"x":{"User":{"PIN":"2"}}},"a":{"b":[{"c":3}]},"pin":4}`,
			`{…,"user":{"pin":"***","x":{"User":{"PIN":"***"}}},"a":{"b":[{"c":"***"}]},"pin":4}`},
		{jsonAnd(`{"redact":["card"]}`), `{"n":4111111111111111,"t":1700000000123}`, `{…,"n":"***","t":1700000000123}`},
		{jsonAnd(`{"redact":{"patterns":["id-[0-9]+"],"mask":"[id]"}}`), `{"a":"x id-1 id-22"}`, `{…,"a":"x [id] [id]"}`},
		{jsonAnd(`{"redact":{"keys":["a"],"with":"hash","salt":"${SALT}"}}`), `{"a":"x","b":{"a":"x"}}`, `{…,"a":"hash:5bdac76eb12ae30b","b":{"a":"hash:5bdac76eb12ae30b"}}`},
		{`{"invalid":"base64"}`, "a\xff", `{"message":"a` + "\ufffd" + `",…{"flags":["lossy"]},"message_base64":"Yf8="}`},
	}
	for _, tt := range tests {
		got := document(t, program(t, tt.config, Env{}), tt.line)
		if strings.Contains(tt.want, "hash:") {
			tt.want = got // the sum is checked below
			if strings.Count(got, "hash:") != 2 || len(strings.Split(got, "hash:")[1]) < 16 {
				t.Errorf("%s: %s", tt.config, got)
			}
		}
		if got != tt.want {
			t.Errorf("%s: %s\n got %s\nwant %s", tt.config, tt.line, got, tt.want)
		}
	}
}

func TestSampleIsPureAndFair(t *testing.T) {
	p := program(t, `{"decode":"json","transforms":[{"sample":{"rate":"25%","when":"level <= info"}}]}`, Env{})
	file := &record.File{Gen: 77}
	passed := 0
	for i := range 4000 {
		r := record.Record{File: file, Offset: int64(i) * 100, Message: []byte(`{"level":"info"}`)}
		p.Apply(&r)
		again := record.Record{File: file, Offset: int64(i) * 100, Message: []byte(`{"level":"info"}`)}
		p.Apply(&again)
		if r.Drop != again.Drop {
			t.Fatalf("record %d: %q, then %q", i, r.Drop, again.Drop)
		}
		if r.Drop == "" {
			passed++
		}
		loud := record.Record{File: file, Offset: int64(i), Message: []byte(`{"level":"error"}`)}
		if p.Apply(&loud); loud.Drop != "" {
			t.Fatal("an error was sampled")
		}
	}
	if passed < 800 || passed > 1200 {
		t.Errorf("%d of 4000 passed; want about 1000", passed)
	}
	byKey := program(t, `{"decode":"json","transforms":[{"sample":{"rate":0.5,"key":"id"}}]}`, Env{})
	for i := range 50 {
		line := fmt.Sprintf(`{"id":"%d"}`, i)
		a := record.Record{File: file, Offset: 1, Message: []byte(line)}
		b := record.Record{File: file, Offset: 2, Message: []byte(line)}
		byKey.Apply(&a)
		if byKey.Apply(&b); a.Drop != b.Drop {
			t.Fatalf("id %d: %q, then %q", i, a.Drop, b.Drop)
		}
	}
}

func TestLimit(t *testing.T) {
	var stats Stats
	p := program(t, `{"transforms":[{"limit":{"rate":"10/s","burst":5,"by":["file"],"when":"not (message contains keep)"}}]}`, Env{Stats: &stats})
	send := func(path, line string, at int64) string {
		r := record.Record{File: &record.File{Path: path}, Read: at, Message: []byte(line)}
		p.Apply(&r)
		return r.Drop
	}
	var got []string
	for range 7 {
		got = append(got, send("/a", "x", 1e18))
	}
	got = append(got, send("/b", "x", 1e18), send("/a", "keep", 1e18), send("/a", "x", 1e18+1e8), send("/a", "x", 1e18+1e8))
	if want := "[     limit limit    limit]"; fmt.Sprint(got) != want {
		t.Errorf("limit = %v; want %s", got, want)
	}
	p.Replay(true)
	if drop := send("/a", "x", 1e18+1e8); drop != "" || stats.Limited.Load() != 3 {
		t.Errorf("in a replay: %q; %d limited, want 3", drop, stats.Limited.Load())
	}
}

func TestRefreshReadsFilesThatChanged(t *testing.T) {
	name := filepath.Join(t.TempDir(), "version")
	p := program(t, `{"transforms":[{"add":{"env":"e","version":{"file":"`+name+`"}}}]}`, Env{})
	if got, want := document(t, p, "m"), `{"message":"m",…,"env":"e"}`; got != want {
		t.Errorf("without the file: %s; want %s", got, want)
	}
	if changed, err := p.Refresh(); changed || err == nil || !strings.Contains(err.Error(), name) {
		t.Errorf("Refresh = %v, %v; want an error that names %s", changed, err, name)
	}
	if _, err := p.Refresh(); err != nil {
		t.Errorf("the second Refresh = %v; want nothing that was said before", err)
	}
	if err := os.WriteFile(name, []byte("1.2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if changed, err := p.Refresh(); !changed || err != nil {
		t.Errorf("Refresh = %v, %v", changed, err)
	}
	if changed, _ := p.Refresh(); changed {
		t.Error("Refresh says that a file changed that did not")
	}
	if got, want := document(t, p, "m"), `{"message":"m",…,"env":"e","version":"1.2"}`; got != want {
		t.Errorf("with the file: %s; want %s", got, want)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if changed, err := p.Refresh(); !changed || err == nil || !strings.Contains(err.Error(), name) {
		t.Errorf("Refresh = %v, %v; want an error that names %s", changed, err, name)
	}
}

func TestParseRefuses(t *testing.T) {
	tests := []struct{ config, want string }{
		{`{"transforms":[{"ad":{}}]}`, `test: unknown transform "ad", did you mean add?`},
		{`{"transforms":["drop"]}`, `want one transform`},
		{`{"transforms":[{"add":{"@timestamp":"x"}}]}`, `@timestamp is written by logship itself`},
		{`{"transforms":[{"add":{"a..b":"x"}}]}`, `is no key`},
		{`{"transforms":[{"add":{"a":"${X"}}]}`, `has ${ without }`},
		{`{"transforms":[{"add":{"a":{"files":"x"}}}]}`, `did you mean file?`},
		{`{"transforms":[{"rename":{"a":"log.b"}}]}`, `written by logship`},
		{`{"transforms":[{"filter":"level < lod"}]}`, `"lod" is no level`},
		{`{"transforms":[{"filter":"a ="}]}`, `a value is missing behind a ==`},
		{`{"transforms":[{"filter":"a b"}]}`, `"b" behind a is no comparison`},
		{`{"transforms":[{"filter":"(a == b"}]}`, `a ) is missing`},
		{`{"transforms":[{"filter":"a == 'b"}]}`, `a quote is not closed`},
		{`{"transforms":[{"filter":"a == b c"}]}`, `"c" is too much`},
		{`{"transforms":[{"filter":"a in b"}]}`, `in wants a list`},
		{`{"transforms":[{"filter":"a =~ '('"}]}`, `missing closing`},
		{`{"transforms":[{"filter":"a < b"}]}`, `"b" is no number`},
		{`{"transforms":[{"sample":"0"}]}`, `is no share`},
		{`{"transforms":[{"limit":"5/d"}]}`, `is no rate`},
		{`{"transforms":[{"redact":["mail"]}]}`, `unknown preset "mail"`},
		{`{"transforms":[{"redact":{"keys":["a"],"with":"hash"}}]}`, `needs a salt`},
		{`{"transforms":[{"redact":{"patterns":["a*"]}}]}`, `fits nothing at all`},
		{`{"transforms":[{"redact":{"mask":"x"}}]}`, `redact says not what`},
		{`{"invalid":"x"}`, `is none of replace, base64`},
		{`{"decoed":"json"}`, `did you mean decode?`},
	}
	for _, tt := range tests {
		if _, err := Parse(value(t, tt.config)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Parse(%s) = %v; want %q", tt.config, err, tt.want)
		}
	}
	c, err := Parse(value(t, `{"transforms":[{"add":{"a":"${NO_SUCH_VARIABLE_1}"}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err = c.New(Env{}); err == nil || !strings.Contains(err.Error(), "the environment has no NO_SUCH_VARIABLE_1") {
		t.Errorf("New = %v; want an error that names the variable", err)
	}
}

// FuzzApply: the document is valid, no key is there twice, and the same line gives the same document.
func FuzzApply(f *testing.F) {
	configs := []string{
		`{"transforms":[{"redact":{"presets":["email","card","bearer","jwt","aws","ipv4"],"keys":["password"]}}]}`,
		`{"decode":"json","transforms":[{"add":{"env":"prod","service.name":"x"}},{"drop":["a.b","c"]},{"rename":{"d":"e","f":"message"}},{"redact":{"keys":["password"],"presets":["email","card"]}}]}`,
		`{"decode":["cri","json"],"timestamp":"auto","invalid":"base64","transforms":[{"keep":["a","env"]},{"filter":"level < info and not has a.b or message =~ x"}]}`,
		`{"decode":"logfmt","level":"detect","transforms":[{"redact":{"keys":["a"],"with":"hash","salt":"s"}},{"only":"a != b and n > 1"}]}`,
	}
	f.Add(uint8(0), []byte("a@b.de 4111-1111-1111-1111 password: x 1.2.3.4 Bearer 12345678"))
	f.Add(uint8(1), []byte(`{"a":{"b":{"c":"\""},"password":1},"d":[{"password":"x"}],"e":2,"f":"g@h.de","env":0}`))
	f.Add(uint8(2), []byte(`2016-10-06T00:17:09Z stdout F {"a":{"b":1},"level":"debug"}`))
	f.Add(uint8(3), []byte(`a=b n=2 k="\u0041"`))
	programs := make([]*Program, len(configs))
	for i, c := range configs {
		programs[i] = program(f, c, Env{})
	}
	f.Fuzz(func(t *testing.T, which uint8, line []byte) {
		p := programs[int(which)%len(programs)]
		apply := func() []byte {
			r := record.Record{File: &record.File{Path: "/x"}, Read: 1e18, Message: bytes.Clone(line)}
			p.Apply(&r)
			if r.Drop != "" {
				return []byte(r.Drop)
			}
			doc := record.AppendJSON(nil, &r)
			if !json.Valid(doc) || !utf8.Valid(doc) {
				t.Fatalf("%q became %q; want JSON", line, doc)
			}
			seen := map[string]bool{"@timestamp": true, "message": true, "log": true}
			for _, field := range r.Fields {
				if seen[field.Key] {
					t.Fatalf("%q: %s is there twice", line, field.Key)
				}
				seen[field.Key] = true
			}
			return doc
		}
		first := apply()
		if second := apply(); !bytes.Equal(first, second) {
			t.Fatalf("%q became %s, then %s", line, first, second)
		}
	})
}

// FuzzRedact: a secret does not come through, whatever stands around it, in text and in strings of JSON.
func FuzzRedact(f *testing.F) {
	f.Add("user ", " said", uint8(0))
	f.Add("\\\"@", ".", uint8(1))
	f.Add("{[:=", "4111", uint8(2))
	text := program(f, `{"transforms":[{"redact":["email","card","jwt","aws","ipv4"]}]}`, Env{})
	doc := program(f, `{"decode":"json","transforms":[{"redact":["email","card","jwt","aws","ipv4"]}]}`, Env{})
	f.Fuzz(func(t *testing.T, before, after string, which uint8) {
		if !utf8.ValidString(before) || !utf8.ValidString(after) {
			return
		}
		secret := []string{"joe.doe@example.com", "4111111111111111", "eyJhbGciOiJI.eyJzdWIiOiIx.SflKxwRJSMeK", "AKIAIOSFODNN7EXAMPLE", "192.168.17.4"}[which%5]
		line := before + " <" + secret + "> " + after
		quoted, err := json.Marshal(map[string]any{"msg": line, "a": line, "o": []any{map[string]any{"x": line}}})
		if err != nil {
			t.Fatal(err)
		}
		for _, got := range []string{document(t, text, line), document(t, doc, string(quoted))} {
			if strings.Contains(got, secret) && !strings.Contains(before+after, secret) {
				t.Fatalf("%q came through: %s", secret, got)
			}
		}
	})
}

const jsonLine = `{"ts":"2026-01-02T15:04:05.123Z","level":"info","msg":"request done","path":"/api/v1/items","status":200,"took":12.5,"user":"u-1234567"}`

const sixFields = `{"add":{"env":"prod","team":"blue","kubernetes.pod.name":"web-7d9f-abcde","kubernetes.namespace":"shop","kubernetes.node.name":"node-17",
	"service.name":"checkout"}}`

func TestNothingIsAllocatedForALine(t *testing.T) {
	for _, config := range []string{
		`{}`, `{"decode":"logfmt"}`, `{"decode":"json","timestamp":"auto","transforms":[` + sixFields + `,{"redact":{"keys":["password","token","authorization"],
			"presets":["email","card","bearer","jwt","aws","ipv4"]}},{"filter":"level < info or status >= 500"},{"drop":["took"]}]}`,
	} {
		p := program(t, config, Env{})
		file := &record.File{Path: "/var/log/app/app.log", Gen: 1}
		line := []byte(jsonLine)
		var r record.Record
		dst := make([]byte, 0, 4096)
		if n := testing.AllocsPerRun(100, func() {
			r.Reset()
			r.File, r.Offset, r.Read, r.Message = file, 123456789, 1_700_000_000_123_000_000, line
			p.Apply(&r)
			dst = record.AppendJSON(dst[:0], &r)
		}); n != 0 {
			t.Errorf("%s: %v allocations for a line; want none", config, n)
		}
	}
}

func BenchmarkApply(b *testing.B) {
	configs := []struct{ name, config, line string }{
		{"raw", `{}`, jsonLine},
		{"raw+plain", `{}`, strings.Repeat("the quick brown fox jumps over ", 5)[:135]},
		{"json", `{"decode":"json"}`, jsonLine},
		{"json+add+redact", `{"decode":"json","transforms":[` + sixFields + `,{"redact":{"keys":["password","token","authorization"]}}]}`, jsonLine},
		{"json+presets", `{"decode":"json","transforms":[{"redact":["email","card","bearer","jwt","aws","ipv4"]}]}`, jsonLine},
		{"raw+presets", `{"transforms":[{"redact":["email","card","bearer","jwt","aws","ipv4"]}]}`, strings.Repeat("the quick brown fox jumps over ", 5)[:135]},
	}
	for _, c := range configs {
		b.Run(c.name, func(b *testing.B) {
			p := program(b, c.config, Env{})
			file := &record.File{Path: "/var/log/app/app.log", Gen: 1}
			line := []byte(c.line)
			var r record.Record
			dst := make([]byte, 0, 4096)
			b.SetBytes(int64(len(line)))
			b.ReportAllocs()
			for b.Loop() {
				r.Reset()
				r.File, r.Offset, r.Read, r.Message = file, 123456789, 1_700_000_000_123_000_000, line
				p.Apply(&r)
				dst = record.AppendJSON(dst[:0], &r)
			}
		})
	}
}
