package jsonexporter

import (
	"fmt"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/sidecar-kit/sidecar/roles/adapter/jq"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// show writes a page as Prometheus' client library would.
func show(p model.Page) string {
	var b strings.Builder
	for _, f := range p.Families {
		name := f.Name + f.Samples[0].Suffix
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n", name, f.Help, name, strings.Replace(f.Type.String(), "unknown", "untyped", 1))
		for _, s := range f.Samples {
			b.WriteString(name)
			sep := "{"
			for _, l := range s.Labels {
				fmt.Fprintf(&b, "%s%s=%q", sep, l.Name, l.Value)
				sep = ","
			}
			if len(s.Labels) > 0 {
				b.WriteByte('}')
			}
			b.WriteString(" " + strconv.FormatFloat(s.Value, 'g', -1, 64))
			if s.Timed {
				fmt.Fprintf(&b, " %d", s.Time)
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

func decode(t *testing.T, metrics, body string) (string, model.Drops, error) {
	t.Helper()
	c, err := Load("a.yml", []byte("modules:\n  default:\n    metrics:\n"+metrics))
	if err != nil {
		t.Fatalf("Load(%s): %v", metrics, err)
	}
	p, drops, err := c.Modules["default"].Decode([]byte(body), model.Limits{})
	return show(p), drops, err
}

// planets is shaped as the document of json_exporter's own tests.
const planets = `{"total":1234,"when":1657568506,"big":1.657568506e+12,"site":"mars","none":null,"quoted":"\"x\"","empty":[],
"rows":[{"key":"row-1","n":1,"ok":true,"mode":"ON","tags":{"a.b":"dot"}},{"key":"row-2","n":2,"ok":true,"mode":"OFF"},{"key":"row-3","n":3,"ok":false,"mode":"ON","when":99}]}`

func TestPagesAreThoseOfJSONExporter(t *testing.T) {
	got, drops, err := decode(t, `
    - name: site_total
      path: "{ .total }"
      help: One value of the document
      valuetype: gauge
      labels:
        environment: beta # fixed
        location: "planet-{.site}"
    - name: row
      type: object
      help: Values of a list
      path: '{.rows[?(@.mode == "ON")]}'
      valuetype: counter
      labels:
        environment: beta
        key: '{.key}'
      values:
        active: 1
        n: '{.n}'
        flag: '{.ok}'
`, planets)
	want := `# HELP row_active Values of a list
# TYPE row_active counter
row_active{environment="beta",key="row-1"} 1
row_active{environment="beta",key="row-3"} 1
# HELP row_flag Values of a list
# TYPE row_flag counter
row_flag{environment="beta",key="row-1"} 1
row_flag{environment="beta",key="row-3"} 0
# HELP row_n Values of a list
# TYPE row_n counter
row_n{environment="beta",key="row-1"} 1
row_n{environment="beta",key="row-3"} 3
# HELP site_total One value of the document
# TYPE site_total gauge
site_total{environment="beta",location="planet-mars"} 1234
`
	if got != want || err != nil || drops.Sum() != 0 {
		t.Errorf("Decode =\n%s%v %v; want\n%s", got, drops, err, want)
	}
}

func TestMetrics(t *testing.T) {
	for _, c := range []struct {
		metrics, want string
		lost          uint64
	}{
		{"    - {name: a, path: '{.missing}'}", "", 1},
		{"    - {name: a, path: '{.missing}', allow_missing_key: true}", "", 0},
		{"    - {name: a, type: object, path: '{.rows[0]}', values: {m: '{.missing}'}}", "", 1},
		{"    - {name: a, type: object, path: '{.rows[0]}', allow_missing_key: true, values: {m: '{.missing}'}}", "", 0},
		{"    - {name: a, path: '{.none}'}", "", 1},
		{"    - {name: a, path: '{.site}'}", "", 1},
		{"    - {name: a, path: 'TRUE'}", "# HELP a a\n# TYPE a untyped\na 1\n", 0},
		{"    - {name: a_total, valuetype: counter, path: '{.total}'}", "# HELP a_total a_total\n# TYPE a_total counter\na_total 1234\n", 0},
		{"    - {name: a, path: '{.total}', epochTimestamp: '{.when}'}", "# HELP a a\n# TYPE a untyped\na 1234 1657568506\n", 0},
		{"    - {name: a, path: '{.total}', epochtimestamp: '{.big}'}", "# HELP a a\n# TYPE a untyped\na 1234 1657568506000\n", 0},
		{"    - {name: a, path: '{.total}', epochtimestamp: '{.nope}'}", "# HELP a a\n# TYPE a untyped\na 1234\n", 1},
		{"    - {name: a, path: '{.total}', labels: {x: '{.nope}', y: '{.when}', z: '{.rows[*].key}', q: '{.quoted}'}}", "# HELP a a\n# TYPE a untyped\na{q=\"x\",y=\"1657568506\",z=\"row-1 row-2 row-3\"} 1234\n", 0},
		{"    - {name: a, type: object, path: '{.rows[*]}', labels: {m: '{.mode}'}, values: {n: '{.n}'}}", "# HELP a_n a\n# TYPE a_n untyped\na_n{m=\"OFF\"} 2\na_n{m=\"ON\"} 1\n", 0},
		{"    - {name: a, type: object, path: '{ .rows[2] }', epochtimestamp: '{.when}', values: {n: '{.n}'}}", "# HELP a_n a\n# TYPE a_n untyped\na_n 3 99\n", 0},
		{"    - {name: a, type: object, path: 'x', values: {n: '{.n}'}}", "", 1},
	} {
		got, drops, err := decode(t, c.metrics, planets)
		if got != c.want || err != nil || drops[model.Unreadable] != c.lost {
			t.Errorf("%s =\n%s%v %v; want\n%s%d unreadable", c.metrics, got, drops, err, c.want, c.lost)
		}
	}
	got, _, err := decode(t, "    - {name: animal, type: object, path: '{ [*] }', labels: {name: '{ .noun }'}, values: {population: '{ .population }'}}", `[{"noun":"lion","population":123},{"noun":"deer","population":456}]`)
	if want := "# HELP animal_population animal\n# TYPE animal_population untyped\nanimal_population{name=\"deer\"} 456\nanimal_population{name=\"lion\"} 123\n"; got != want || err != nil {
		t.Errorf("a list at the top =\n%s%v; want\n%s", got, err, want)
	}
}

func TestPaths(t *testing.T) {
	doc, err := jq.Parse([]byte(`{"a":{"b":[1,2,3,4],"c d":{"e.f":"x"}},"l":[{"n":1,"s":"x","t":true},{"n":2,"s":"y"},{"n":3,"s":"z","sub":[{"n":7}]}],"s":"text","z":null}`), jq.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"plain": "plain", "{.s}": "text", "{$.s}": "text", "{@.s}": "text", "pre-{.s}-{.a.b[0]}": "pre-text-1", "{.a.b[0]}": "1", "{.a.b[-1]}": "4", "{.a.b[*]}": "1 2 3 4", "{.a.b}": "[1,2,3,4]", "{.a.b[1:3]}": "2 3",
		"{.a.b[:2]}": "1 2", "{.a.b[2:]}": "3 4", "{.a.b[::2]}": "1 3", "{.a.b[-2:]}": "3 4", "{.a.b[0,2]}": "1 3", "{.a.b[0:0]}": "", `{.a.c\ d.e\.f}`: "x", `{.a['c\ d'].e\.f}`: "x", `{.a["b"][0]}`: "1", "{..n}": "1 2 3 7", "{.l..n}": "1 2 3 7", "{.l[*].n}": "1 2 3",
		`{.l[?(@.s=="y")].n}`: "2", `{.l[?(@.s != "y")].n}`: "1 3", "{.l[?(@.n > 1)].n}": "2 3", "{.l[?(@.n<=2)].n}": "1 2", "{.l[?(@.sub)].n}": "3", "{.l[0:1][?(@.t==true)].n}": "only a list", "{.l[?(@.t==true)].n}": "t is not found", "{.l[?(@.n>=3)].sub[0].n}": "7", "{.l[?(@.s==')x')].n}": "", "{.l[*]['n','s']}": "1 2 3 x y z",
		"{.z}": "null", "{.l[0].*}": "1 x true", "{.a.b.[0]}": "1", "{ .s }": "text", "{.l[?(@.n==\"1\")].n}": "", "{'q'}": "q", "{[0:1]}": "want a list", "{.a.b[4]}": "no [4]", "{.a.b[3:9]}": "no [3]", "{.a.b[3:1]}": "begins", "{.nope}": "nope is not found", "{.s[?(@.x)]}": "only a list can be filtered",
		"{.l[?(@.q>1)].n}": "q is not found", "{.l[?(@..n>1)].n}": "one value",
	} {
		p, err := parsePattern(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		w := walk{left: 1000}
		got, err := w.text(p, doc.Root())
		if err != nil {
			got = err.Error()
		}
		if got != want && (err == nil || !strings.Contains(got, want)) {
			t.Errorf("%s = %q; want %q", path, got, want)
		}
	}
	for path, want := range map[string]string{
		"{.a": "not closed", "{.a[0}": "not closed", "{a}": "begins with a dot", "{range .a[*]}": "range is not available", "{.a[x]}": "no index", "{.a[]}": "[*] is all", "{....a}": "two ..", "{.a[?(@.b}": "not closed", "{.a[?(@.b=1)]}": "no comparison", "{.a[::0]}": "above 0",
		"{'x}": "not closed", "{%}": "not understood", "{.a[99999999999999999999]}": "no index", "{-}": "no number", "{.a[?(@.b==x)]}": "begins with a dot", "{.a\n}": "not closed",
		"{" + strings.Repeat(".a[?(@", 30) + strings.Repeat(")]", 30) + "}": "",
	} {
		if _, err := parsePattern(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s = %v; want %q", path, err, want)
		}
	}
	p, _ := parsePattern("{..n}")
	if _, err := (&walk{left: 5}).text(p, doc.Root()); err != errSteps {
		t.Errorf("5 steps = %v; want %v", err, errSteps)
	}
}

func TestNumbers(t *testing.T) {
	for text, want := range map[string]string{"1234": "1234", "1234.5": "1234.5", "true": "1", "TRUE": "1", "False": "0", "<nil>": "NaN", "abcd": "no number", "{}": "no number", "": "no number", "null": "no number", "1e999": "+Inf"} {
		f, err := number(text)
		got := strconv.FormatFloat(f, 'g', -1, 64)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("number(%q) = %s; want %s", text, got, want)
		}
	}
}

func TestClients(t *testing.T) {
	load := func(text string) HTTP {
		t.Helper()
		c, err := Load("a.yml", []byte("modules:\n  default:\n"+text))
		if err != nil {
			t.Fatalf("Load(%s): %v", text, err)
		}
		return c.Modules["default"].HTTP
	}
	h := load("    headers: {X-Dummy: test, accept: text/json}\n    valid_status_codes: [200, 503]\n    http_client_config: {basic_auth: {username: me, password: pw, password_file: /p}, tls_config: {ca_file: ca, cert_file: c, key_file: k, server_name: n, insecure_skip_verify: true, min_version: TLS12}, follow_redirects: false, enable_http2: true}")
	if h.Method != "GET" || !reflect.DeepEqual(h.Headers, map[string]string{"X-Dummy": "test", "accept": "text/json"}) || !reflect.DeepEqual(h.Status, []int{200, 503}) || h.User != "me" || h.Password.Reveal() != "pw" || h.PassFile != "/p" || h.CA+h.Cert+h.Key+h.ServerName != "cackn" || !h.Insecure || !h.NoRedirects {
		t.Errorf("module = %+v", h)
	}
	h = load("    http_client_config: {bearer_token: t}")
	if h.Token.Reveal() != "t" || h.AuthType != "Bearer" || h.Headers["Accept"] != "application/json" || strings.Contains(fmt.Sprint(h), "{t}") {
		t.Errorf("module = %+v", h)
	}
	h = load("    http_client_config: {oauth2: {client_id: a, client_secret: b, token_url: 'http://x/token', scopes: [c], endpoint_params: {d: e}, tls_config: {insecure_skip_verify: true}}}")
	if h.Tokens == nil {
		t.Errorf("oauth2 is read as %+v; want a client for tokens", h)
	}
	h = load("    http_client_config: {authorization: {type: ApiKey, credentials_file: /f}, http_headers: {X-A: {values: [b]}}}")
	if h.TokenFile != "/f" || h.AuthType != "ApiKey" || h.Headers["X-A"] != "b" {
		t.Errorf("module = %+v", h)
	}
}

func TestBodies(t *testing.T) {
	for body, want := range map[string]string{
		"{content: 'pi, {{ 3 }}'}": "pi, {{ 3 }}",
		"{content: '{{ upper `hello` }} and {{ lower `All Small` | trunc 3 }}', templatize: true}":                     "HELLO and all",
		"{content: 'pi has {{ .pi | first }} value', templatize: true}":                                                "pi has 3.14 value",
		"{content: 'pi has {{ .pi }} value, {{ .none | first | default `no` }}', templatize: true}":                    "pi has [3.14] value, no",
		"{content: '{{ upper `pi` | repeat 3 }} {{ add 1 2 }} {{ duration `95` }} {{ quote `a` }}', templatize: true}": `PIPIPI 3 1m35s "a"`,
	} {
		c, err := Load("a.yml", []byte("modules: {default: {body: "+body+"}}"))
		if err != nil {
			t.Errorf("Load(%s): %v", body, err)
			continue
		}
		got, err := c.Modules["default"].Render(url.Values{"pi": {"3.14"}})
		if got != want || err != nil || c.Modules["default"].Method != "POST" {
			t.Errorf("Render(%s) = %s, %v; want %s", body, got, err, want)
		}
	}
}

func TestWhatAsksForNothingIsTaken(t *testing.T) {
	if _, err := Load("a.yml", []byte("modules: {a: {http_client_config: {proxy_url: '', no_proxy: , proxy_from_environment: false}, metrics: [{name: a, path: '{.a}'}]}}")); err != nil {
		t.Errorf("Load = %v; want a file that loads", err)
	}
}

func TestLoadNamesPlaceAndRemedy(t *testing.T) {
	for text, want := range map[string]string{
		"modules: {}":                                                                                       "there is no module",
		"modules: {a: {metric: []}}":                                                                        "a.yml:1:15: unknown key \"metric\", did you mean metrics?",
		"modules: {a: {metrics: [{name: x}]}}":                                                              "a.yml:1:25: the metric has no path",
		"modules: {a: {metrics: [{path: x}]}}":                                                              "no name",
		"modules: {a: {metrics: [{name: 'x y', path: x}]}}":                                                 "cannot be the name of a metric",
		"modules: {a: {metrics: [{name: x, path: '{.a'}]}}":                                                 "a.yml:1:41: path \"{.a\": a { is not closed",
		"modules: {a: {metrics: [{name: x, path: x, type: list}]}}":                                         "is none of value, object",
		"modules: {a: {metrics: [{name: x, path: x, type: object}]}}":                                       "has values",
		"modules: {a: {metrics: [{name: x, path: x, values: {a: b}}]}}":                                     "belong to metrics of type object",
		"modules: {a: {metrics: [{name: x, path: x, labels: {a-b: c}}]}}":                                   "cannot be the name of a label",
		"modules: {a: {http_client_config: {oauth2: {}}}}":                                                  "the client's id is missing",
		"modules: {a: {http_client_config: {oauth2: {client_id: a, token_url: 'http://x', proxy_url: y}}}}": "not available",
		"modules: {a: {http_client_config: {bearer_token: t, oauth2: {client_id: a, client_secret: b, token_url: 'http://x'}}}}": "exclude each other",
		"modules: {a: {http_client_config: {proxy_url: x}}}":                                                                     "not available",
		"modules: {a: {http_client_config: {tls_config: {ca: x}}}}":                                                              "ca_file",
		"modules: {a: {http_client_config: {bearer_token: x, basic_auth: {username: y}}}}":                                       "exclude each other",
		"modules: {a: {body: {content: '{{ env `HOME` }}', templatize: true}}}":                                                  "function \"env\" not defined",
		"modules: {a: {http_client_config: {http_headers: {a: {files: [b]}}}}}":                                                  "one value",
	} {
		if _, err := Load("a.yml", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Load(%s) = %v; want %s", text, err, want)
		}
	}
}
