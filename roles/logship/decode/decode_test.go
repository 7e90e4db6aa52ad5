package decode

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/roles/logship/record"
)

// value makes a draft.Value of JSON: strings and numbers are words.
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
			for d.More() {
				if token == '[' {
					v.Shape = draft.List
					v.Items = append(v.Items, build())
					continue
				}
				v.Shape = draft.Map
				key := build().Text
				v.Pairs = append(v.Pairs, draft.Pair{Key: key, Place: "test", Value: build()})
			}
			_, err = d.Token()
		case string:
			v.Shape, v.Text = draft.Word, token
		case json.Number:
			v.Shape, v.Text = draft.Word, token.String()
		case bool:
			v.Shape, v.Text = draft.Word, map[bool]string{true: "true", false: "false"}[token]
		}
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return v
	}
	return build()
}

func parse(t testing.TB, text string) (Config, error) {
	t.Helper()
	var c Config
	var errs []error
	errs = append(errs, value(t, text).Each(Keys(), c.Parse))
	return c, errors.Join(errs...)
}

func chain(t testing.TB, text string) *Chain {
	t.Helper()
	c, err := parse(t, text)
	if err != nil {
		t.Fatalf("Parse(%s): %v", text, err)
	}
	ch, err := c.New([]string{"env"})
	if err != nil {
		t.Fatalf("New(%s): %v", text, err)
	}
	return ch
}

// document is what a line becomes, without what is the same in all.
func document(t testing.TB, c *Chain, line string) (doc string, result Result) {
	t.Helper()
	r := record.Record{File: &record.File{Path: "/x"}, Read: time.Date(2026, 11, 8, 12, 0, 0, 0, time.UTC).UnixNano(), Message: []byte(line)}
	result = c.Decode(&r)
	out := record.AppendJSON(nil, &r)
	if !json.Valid(out) || !utf8.Valid(out) {
		t.Fatalf("Decode(%q) = %q; want JSON", line, out)
	}
	doc = strings.Replace(string(out), `"log":{"file":{"path":"/x"},"offset":0`, `"log":{`, 1)
	doc = strings.Replace(strings.Replace(doc, `"log":{,`, `"log":{`, 1), `"@timestamp":"2026-11-08T12:00:00.000Z",`, "", 1)
	return strings.Replace(doc, `"log":{},`, "", 1), result
}

// decodeTest is a line and what becomes of it.
type decodeTest struct {
	config, line, want string
	result             Result
}

func TestDecodeJSON(t *testing.T) {
	testDecode(t, []decodeTest{
		{`{"decode":"raw"}`, `plain`, `{"message":"plain","log":{}}`, Good},
		{`{"decode":"json"}`, `{"msg":"a\tb","level":"WARN","n":1.50,"o":{"x":[1,2]},"s":"é","t":"2026-01-01T00:00:00Z"}`,
			`{"message":"a\tb","log":{"level":"warn"},"n":1.50,"o":{"x":[1,2]},"s":"é","t":"2026-01-01T00:00:00Z"}`, Good},
		{`{"decode":"json"}`, `{"a":1,"a":2}`, `{"a":2}`, Good},
		{`{"decode":"json"}`, `{"@timestamp":"x","_id":"1","host":"h","host.name":"i","kubernetes":{},"log":"l","env":"e","":0,"_x":1}`,
			`{"app_@timestamp":"x","app__id":"1","app_host":"h","app_host.name":"i","app_kubernetes":{},"app_log":"l","app_env":"e","app_":0,"_x":1}`, Good},
		{`{"decode":"json"}`, `{".a":1,"b.":2,".":3}`, `{"app_.a":1,"app_b._":2,"app_._":3}`, Good},
		{`{"decode":"json"}`, `{"a":1`, `{"message":"{\"a\":1","log":{}}`, Failed},
		{`{"decode":"json"}`, `{"a":1} x`, `{"message":"{\"a\":1} x","log":{}}`, Failed},
		{`{"decode":"json"}`, `text`, `{"message":"text","log":{}}`, Failed},
		{`{"decode":"auto"}`, `text`, `{"message":"text","log":{}}`, Good},
		{`{"decode":"json"}`, `{"message":{"a":1},"msg":"m","level":"odd"}`, `{"message":"m","app_message":{"a":1},"level":"odd"}`, Good},
		{`{"decode":{"json":{"depth":1}}}`, `{"a":{"b":1},"c":{"d":{}}}`, `{"a":{"b":1},"c":"{\"d\":{}}"}`, Good},
		{`{"decode":{"json":{"fields":2}}}`, `{"a":{"b":1,"c":2}}`, `{"a":"{\"b\":1,\"c\":2}"}`, Good},
		{`{"decode":{"json":{"fields":2}}}`, `{"a":{"b":1,"c":2},"d":[]}`, `{"a":"{\"b\":1,\"c\":2}","d":[]}`, Good},
		{`{"decode":{"json":{"fields":2}}}`, `{"a":1,"b":2,"c":3}`, `{"message":"{\"a\":1,\"b\":2,\"c\":3}","log":{}}`, Failed},
		{`{"decode":{"json":{"target":"app","message":"text"}}}`, `{"text":"m","a":1,"_id":2}`, `{"message":"m","app.a":1,"app._id":2}`, Good},
		{`{"decode":"json"}`, "{\"a\":\"\xff\\ud800\",\"k\xff\\n\":1}", `{"log":{"flags":["lossy"]},"a":"` + "\ufffd" + `\ufffd","k` + "\ufffd" + `\n":1}`, Good},
		{`{"decode":"zap"}`, `{"level":"info","ts":1700000000.25,"msg":"m","caller":"a.go:1"}`,
			`{"@timestamp":"2023-11-14T22:13:20.250Z","message":"m","log":{"level":"info"},"caller":"a.go:1"}`, Good},
		{`{"decode":"pino"}`, `{"level":50,"time":1700000000123,"pid":1,"msg":"m"}`,
			`{"@timestamp":"2023-11-14T22:13:20.123Z","message":"m","log":{"level":"error"},"pid":1}`, Good},
		{`{"decode":"log4j"}`, `{"instant":{"epochSecond":1700000000,"nanoOfSecond":5000000},"level":"INFO","message":"m"}`,
			`{"@timestamp":"2023-11-14T22:13:20.005Z","message":"m","log":{"level":"info"}}`, Good},
		{`{"decode":"ecs"}`, `{"@timestamp":"2026-01-01T00:00:00Z","log.level":"ERROR","message":"m","ecs.version":"1"}`,
			`{"@timestamp":"2026-01-01T00:00:00.000Z","message":"m","log":{"level":"error"},"app_ecs.version":"1"}`, Good},
		{`{"decode":["docker","json"]}`, `{"log":"{\"msg\":\"m\",\"a\":1}\n","stream":"stdout","time":"2026-01-01T00:00:00Z"}`,
			`{"@timestamp":"2026-01-01T00:00:00.000Z","message":"m","log":{},"stream":"stdout","a":1}`, Good},
		{`{"decode":"docker"}`, `{"log":"a \\\n","stream":"stdout"}`, `{"message":"a \\","stream":"stdout"}`, Good},
		{`{"decode":"json","timestamp":{"key":"ts","layout":"rfc3339","within":"1h"}}`, `{"ts":"2020-01-01T00:00:00Z","msg":"m"}`, `{"message":"m","log":{}}`, BadTime},
		{`{"decode":"json","timestamp":{"key":"ts"}}`, `{"ts":"soon"}`, `{"ts":"soon"}`, BadTime},
		{`{"decode":"json","level":{"key":"sev","words":{"loud":"error"}}}`, `{"sev":"loud","level":"info"}`, `{"log":{"level":"error"},"level":"info"}`, Good},
	})
}

func TestDecodeText(t *testing.T) {
	testDecode(t, []decodeTest{
		{`{"decode":"logfmt"}`, `level=info msg="a \"b\"" n=5 empty= k="x y"`, `{"message":"a \"b\"","log":{"level":"info"},"n":"5","empty":"","k":"x y"}`, Good},
		{`{"decode":{"logfmt":{"numbers":["n"]}}}`, `n=5 msg=x`, `{"message":"x","n":5}`, Good},
		{`{"decode":"logfmt"}`, `hello a=b`, `{"message":"hello a=b","log":{}}`, Failed},
		{`{"decode":"logfmt"}`, `a="open`, `{"message":"a=\"open","log":{}}`, Failed},
		{`{"decode":{"regex":"^(?P<level>[A-Z]+) (?P<http__status>\\d+) (?P<message>.*)$"}}`, `WARN 404 gone`,
			`{"message":"gone","log":{"level":"warn"},"http.status":"404"}`, Good},
		{`{"decode":{"regex":"(?P<n>\\d+)"}}`, `none`, `{"message":"none","log":{}}`, Failed},
		{`{"decode":{"csv":{"columns":["time","level","message","x"]}}}`, `2026-01-01T00:00:00Z,error,"a ""b"", c",`,
			`{"@timestamp":"2026-01-01T00:00:00.000Z","message":"a \"b\", c","log":{"level":"error"},"x":""}`, Good},
		{`{"decode":{"csv":{"columns":["a","b"],"separator":";"}}}`, `1;2;3`, `{"message":"1;2;3","log":{}}`, Failed},
		{`{"decode":{"csv":{"columns":["a","b"]}}}`, `1`, `{"message":"1","log":{}}`, Failed},
		{`{"decode":"nginx"}`, `1.2.3.4 - bob [10/Oct/2023:13:55:36 -0700] "GET /a?b=1 HTTP/1.1" 404 12 "-" "curl/8" "9.9.9.9"`,
			`{"@timestamp":"2023-10-10T20:55:36.000Z","message":"1.2.3.4 - bob [10/Oct/2023:13:55:36 -0700] \"GET /a?b=1 HTTP/1.1\" 404 12 \"-\" \"curl/8\" \"9.9.9.9\"",` +
				`"log":{"level":"warn"},"source.address":"1.2.3.4","user.name":"bob","http.request.method":"GET","url.original":"/a?b=1","http.version":"1.1",` +
				`"http.response.status_code":404,"http.response.body.bytes":12,"user_agent.original":"curl/8","network.forwarded_ip":"9.9.9.9"}`, Good},
		{`{"decode":"common"}`, `::1 - - [10/Oct/2023:13:55:36 -0700] "\x16\x03" 400 -`,
			`{"@timestamp":"2023-10-10T20:55:36.000Z","message":"::1 - - [10/Oct/2023:13:55:36 -0700] \"\\x16\\x03\" 400 -","log":{"level":"warn"},` +
				`"source.address":"::1","url.original":"\\x16\\x03","http.response.status_code":400}`, Good},
		{`{"decode":"nginx"}`, `nonsense [x] "y" 200`, `{"message":"nonsense [x] \"y\" 200","log":{}}`, Failed},
		{`{"decode":"nginx_error"}`, `2026/01/02 15:04:05 [error] 12#34: *789 open() failed, client: 1.2.3.4, server: x, request: "GET / HTTP/1.1", host: "h"`,
			`{"@timestamp":"2026-01-02T15:04:05.000Z","message":"open() failed","log":{"level":"error"},"process.pid":12,"process.thread.id":34,` +
				`"nginx.error.connection_id":789,"source.address":"1.2.3.4","url.domain":"x","http.request.line":"GET / HTTP/1.1","http.request.host":"h"}`, Good},
		{`{"decode":"klog"}`, `W0102 15:04:05.123456    1234 file.go:123] it broke`,
			`{"@timestamp":"2026-01-02T15:04:05.123456000Z","message":"it broke","log":{"level":"warn"},"process.thread.id":1234,"log.origin.file.name":"file.go","log.origin.file.line":123}`, Good},
		{`{"decode":"cri"}`, `2016-10-06T00:17:09.669794202Z stderr F text here`,
			`{"@timestamp":"2016-10-06T00:17:09.669794202Z","message":"text here","log":{},"stream":"stderr"}`, Good},
		{`{"decode":"cri"}`, "2016-10-06T00:17:09Z stdout P one \n2016-10-06T00:17:09Z stdout F two",
			`{"@timestamp":"2016-10-06T00:17:09.000Z","message":"one two","log":{},"stream":"stdout"}`, Good},
		{`{"decode":"syslog"}`, `<34>Oct 11 22:14:15 mymachine su[12]: 'su root' failed`,
			`{"@timestamp":"2026-10-11T22:14:15.000Z","message":"'su root' failed","log":{"level":"critical"},"syslog.facility":4,"syslog.severity":2,` +
				`"host.name":"mymachine","process.pid":12,"process.name":"su"}`, Good},
		{`{"decode":"syslog"}`, `<165>1 2003-10-11T22:14:15.003Z h app - ID47 [ex@32473 iut="3" t="a\"\]"][o@1 a="1"] ` + "\xef\xbb\xbf" + `An event`,
			`{"@timestamp":"2003-10-11T22:14:15.003Z","message":"An event","log":{"level":"notice"},"syslog.facility":20,"syslog.severity":5,"host.name":"h",` +
				`"process.name":"app","event.code":"ID47","syslog.data.ex@32473.iut":"3","syslog.data.ex@32473.t":"a\"]","syslog.data.o@1.a":"1"}`, Good},
		{`{"decode":"syslog"}`, `<999>x`, `{"message":"<999>x","log":{}}`, Failed},
		{`{"timestamp":"%Y-%m-%d %H:%M:%S,%f","level":"detect"}`, `2026-01-02 03:04:05,067 ERROR no`,
			`{"@timestamp":"2026-01-02T03:04:05.067Z","message":"2026-01-02 03:04:05,067 ERROR no","log":{"level":"error"}}`, Good},
		{`{"decode":"nginx","timestamp":"none"}`, `1.2.3.4 - - [odd] "GET / HTTP/1.1" 200 1`,
			`{"message":"1.2.3.4 - - [odd] \"GET / HTTP/1.1\" 200 1","log":{"level":"info"},"source.address":"1.2.3.4","http.request.method":"GET",` +
				`"url.original":"/","http.version":"1.1","http.response.status_code":200,"http.response.body.bytes":1}`, Good},
	})
}

func testDecode(t *testing.T, tests []decodeTest) {
	t.Helper()
	for _, tt := range tests {
		got, result := document(t, chain(t, tt.config), tt.line)
		got = strings.Replace(got, `"log":{},`, "", 1)
		if want := strings.Replace(tt.want, `"log":{},`, "", 1); strings.Replace(got, `,"log":{}`, "", 1) != strings.Replace(want, `,"log":{}`, "", 1) || result != tt.result {
			t.Errorf("%s: Decode(%s) = %v\n got %s\nwant %s", tt.config, tt.line, result, got, tt.want)
		}
	}
}

func TestConfigRefuses(t *testing.T) {
	tests := []struct{ config, want string }{
		{`{"decode":"jsno"}`, `test: decode: unknown decoder "jsno", did you mean json?`},
		{`{"decode":{"json":{"fields":0}}}`, `"0" is no whole number from 1 to 10000`},
		{`{"decode":{"json":{"colums":"a"}}}`, `unknown key "colums"`},
		{`{"decode":"csv"}`, `csv needs the names`},
		{`{"decode":"regex"}`, `regex needs a pattern`},
		{`{"decode":{"regex":"(a)"}}`, `names no part`},
		{`{"decode":{"regex":"("}}`, `missing closing`},
		{`{"decode":{"csv":{"columns":["a"],"separator":"::"}}}`, `is not one byte`},
		{`{"decode":{"json":{"target":"log.x"}}}`, `a name that is ours`},
		{`{"timestamp":"%Q"}`, `%Q`},
		{`{"timestamp":{"zone":"Mars/Base"}}`, `zone "Mars/Base" is not known`},
		{`{"level":{"words":{"x":"erorr"}}}`, `"erorr" is no level, did you mean error?`},
		{`{"prefix":"a.b"}`, `is no prefix`},
	}
	for _, tt := range tests {
		if _, err := parse(t, tt.config); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Parse(%s) = %v; want %q", tt.config, err, tt.want)
		}
	}
}

func TestLevel(t *testing.T) {
	for word, want := range map[string]record.Level{
		"INFO": record.Info, "Warning": record.Warn, "fatal": record.Critical, "60": record.Critical, "7": record.Debug, "emerg": record.Emergency,
		"": record.Unknown, "verbose": record.Unknown, "averyverylongword": record.Unknown,
	} {
		if got := Level([]byte(word)); got != want {
			t.Errorf("Level(%q) = %v; want %v", word, got, want)
		}
	}
	s := &state{}
	for line, want := range map[string]record.Level{
		"2026-01-02 [error] x": record.Error, "an error occurred": record.Unknown, "x level=warn y": record.Warn, "12:00 INFO WARN": record.Info,
	} {
		if got := s.detect([]byte(line)); got != want {
			t.Errorf("detect(%q) = %v; want %v", line, got, want)
		}
	}
}

// FuzzDecode: whatever the line, the document is valid and has no key twice; what was not understood is there as it came.
func FuzzDecode(f *testing.F) {
	configs := []string{
		`{"decode":"json"}`, `{"decode":["docker","json"]}`, `{"decode":{"json":{"target":"a","depth":2,"fields":5}},"timestamp":"auto"}`, `{"decode":"log4j"}`,
		`{"decode":"logfmt"}`, `{"decode":{"csv":{"columns":["a","b"]}}}`, `{"decode":{"regex":"(?P<a>\\w+)=(?P<message>.*)"}}`,
		`{"decode":"nginx"}`, `{"decode":"nginx_error"}`, `{"decode":["cri","auto"]}`, `{"decode":["syslog","json"]}`, `{"decode":"klog"}`,
		`{"timestamp":"rfc3339","level":"detect"}`,
	}
	f.Add(uint8(0), []byte(`{"a":"b","level":"info","c":[1,{"d":"\ud800"}],"a":null,"log":1}`))
	f.Add(uint8(4), []byte(`a=b c="d\u00e9" level=warn`))
	f.Add(uint8(5), []byte(`"a""b",c`))
	f.Add(uint8(7), []byte(`1.2.3.4 - - [10/Oct/2023:13:55:36 -0700] "GET / HTTP/1.1" 200 1 "a" "b"`))
	f.Add(uint8(8), []byte(`2026/01/02 15:04:05 [error] 12#34: *789 x, client: 1.2.3.4`))
	f.Add(uint8(9), []byte("2016-10-06T00:17:09Z stdout P one\n2016-10-06T00:17:09Z stdout F two"))
	f.Add(uint8(10), []byte(`<165>1 2003-10-11T22:14:15.003Z h app 1 ID47 [ex@32473 iut="3"] {"host.name":1}`))
	f.Add(uint8(11), []byte(`W0102 15:04:05.123456    1234 file.go:123] it broke`))
	chains := make([]*Chain, len(configs))
	for i, c := range configs {
		chains[i] = chain(f, c)
	}
	f.Fuzz(func(t *testing.T, which uint8, line []byte) {
		c := chains[int(which)%len(chains)]
		r := record.Record{File: &record.File{Path: "/x"}, Read: 1e18, Message: bytes.Clone(line)}
		result := c.Decode(&r)
		if result == Failed && len(c.steps) == 1 && (!bytes.Equal(r.Message, line) || len(r.Fields) > 0) {
			t.Fatalf("a line that is not understood became %q, %v", r.Message, r.Fields)
		}
		doc := record.AppendJSON(nil, &r)
		if !json.Valid(doc) || !utf8.Valid(doc) {
			t.Fatalf("Decode(%q) = %q; want JSON", line, doc)
		}
		seen := map[string]bool{"@timestamp": true, "message": true, "log": true}
		for _, field := range r.Fields {
			if seen[field.Key] {
				t.Fatalf("Decode(%q) has %q twice", line, field.Key)
			}
			seen[field.Key] = true
		}
	})
}

// FuzzJSON: an object is accepted when encoding/json accepts it, and its fields mean the same.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"a":"b","c":[1,{"d":"\ud800"}],"a":null,"é":"\n"}`, `{}`, ` { "x" : -1.5e3 } `, "{\"\xff\":\"\xff\"}", `{"a":1,}`, `{"m":true,"z":{"":{}}}`} {
		f.Add([]byte(s))
	}
	c := chain(f, `{"decode":{"json":{"message":[],"level":[],"depth":100,"fields":10000}},"prefix":"p-"}`)
	f.Fuzz(func(t *testing.T, line []byte) {
		r := record.Record{File: &record.File{}, Read: 1, Message: bytes.Clone(line)}
		ok := c.Decode(&r) == Good
		var want map[string]any
		err := json.Unmarshal(line, &want)
		if accept := err == nil && want != nil; ok != accept {
			t.Fatalf("Decode(%q) = %v; encoding/json says %v", line, ok, err)
		}
		if !ok {
			return
		}
		var got map[string]any
		if err := json.Unmarshal(record.AppendJSON(nil, &r), &got); err != nil {
			t.Fatal(err)
		}
		for key, value := range want {
			n := c.steps[0].(*jsonLines).names
			if n.find(key, hash(key))&reserved != 0 {
				if key = "p-" + key; key[len(key)-1] == '.' {
					key += "_"
				}
				if _, clash := want[key]; clash {
					continue
				}
			}
			a, _ := json.Marshal(value)
			b, _ := json.Marshal(got[key])
			if !bytes.Equal(a, b) {
				t.Fatalf("Decode(%q): %q = %s; want %s", line, key, b, a)
			}
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	lines := map[string]string{
		`{"decode":"json"}`:    `{"ts":"2026-01-02T15:04:05.123Z","level":"info","msg":"request done","path":"/api/v1/items","status":200,"took":12.5,"user":"u-1234567"}`,
		`{"decode":"zerolog"}`: `{"time":"2026-01-02T15:04:05.123Z","level":"info","msg":"request done","path":"/api/v1/items","status":200,"took":12.5,"user":"u-12345"}`,
		`{"decode":"logfmt"}`:  `time=2026-01-02T15:04:05.123Z level=info msg="request done" path=/api/v1/items status=200 took=12.5 user=u-1234567`,
		`{"decode":"nginx"}`:   `1.2.3.4 - - [10/Oct/2023:13:55:36 -0700] "GET /api/v1/items HTTP/1.1" 200 1234 "https://example.org/" "Mozilla/5.0"`,
	}
	for config, line := range lines {
		b.Run(config, func(b *testing.B) {
			c := chain(b, config)
			r := record.Record{File: &record.File{Path: "/x"}}
			b.SetBytes(int64(len(line)))
			b.ReportAllocs()
			for b.Loop() {
				r.Reset()
				r.Message, r.Read = []byte(line), 1e18
				if c.Decode(&r) != Good {
					b.Fatal("failed")
				}
			}
		})
	}
}
