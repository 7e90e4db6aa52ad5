package jsonexporter

import (
	"testing"

	"github.com/sidecar-kit/sidecar/roles/adapter/jq"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// FuzzPath reads paths and walks them.
func FuzzPath(f *testing.F) {
	for _, s := range []string{
		"plain", "pre-{.a}-{.b[0]}", "{.a[1:3].b}", "{..n}", `{.l[?(@.s=="y")].n}`, "{.l[?(@.a.b)]}", "{.a[0,2]['x','y']}", `{.a\.b}`, "{[*]}", "{.*}", "{'q'}", "{.l[?(@.n >= -1.5)]}", "{.a[::2]}", "{[?([?(@)])]}", "{range .a}", "{.a[?(@.b", "{", "{.a[-1]}", "{.l[?(@.t != true)]}",
	} {
		f.Add(s, planets)
	}
	f.Fuzz(func(t *testing.T, path, body string) {
		p, err := parsePattern(path)
		if err != nil || len(path) > 500 {
			return
		}
		doc, err := jq.Parse([]byte(body), jq.Limits{Nodes: 1000})
		if err != nil {
			return
		}
		for _, allow := range []bool{false, true} {
			w := walk{left: 10_000, allow: allow}
			text, err := w.text(p, doc.Root())
			if p.plain && err == nil {
				found, err := (&walk{left: 10_000, allow: allow}).find([]jq.Value{doc.Root()}, p.parts[0].nodes)
				if err != nil || len(found) > 1 || len(found) == 1 && bare(printed(found[0])) != text || len(found) == 0 && text != "" {
					t.Fatalf("%q on %q = %q alone, %d others, %v", path, body, text, len(found), err)
				}
			}
		}
	})
}

// FuzzLoad reads configurations.
func FuzzLoad(f *testing.F) {
	for _, s := range []string{
		"modules: {default: {metrics: [{name: a, path: '{.b}', labels: {c: d}, valuetype: gauge, epochtimestamp: '{.t}'}]}}", "modules: {a: {metrics: [{name: a, type: object, path: '{.values[*]}', values: {c: '{.n}', d: 1}}]}}",
		"modules: {a: {http_client_config: {basic_auth: {username: a}, tls_config: {ca_file: b}}, body: {content: '{{ .a | first }}', templatize: true}, valid_status_codes: [200]}}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Load("a.yml", text)
		if err != nil {
			return
		}
		for _, name := range c.Names() {
			m := c.Modules[name]
			p, _, err := m.Decode([]byte(planets), model.Limits{Series: 100})
			if err != nil || p.Len() > 100 {
				t.Fatalf("%q: %v, %d series", text, err, p.Len())
			}
		}
	})
}
