package textmap

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// show writes a page as text, types first.
func show(p model.Page) string {
	var b strings.Builder
	for _, f := range p.Families {
		fmt.Fprintf(&b, "# %s %s\n", f.Name, f.Type)
		for _, s := range f.Samples {
			b.WriteString(f.Name + s.Suffix)
			sep := "{"
			for _, l := range s.Labels {
				fmt.Fprintf(&b, "%s%s=%q", sep, l.Name, l.Value)
				sep = ","
			}
			if len(s.Labels) > 0 {
				b.WriteByte('}')
			}
			text := s.Text
			if text == "" {
				text = fmt.Sprint(s.Value)
			}
			b.WriteString(" " + text + "\n")
		}
	}
	return b.String()
}

func parse(t *testing.T, config string) *Map {
	t.Helper()
	v, err := draft.Parse("a.yaml", []byte(config))
	if err != nil {
		t.Fatal(err)
	}
	m, err := Parse(format(v))
	if err != nil {
		t.Fatalf("Parse(%s): %v", config, err)
	}
	return m
}

// format takes the key of that name out of v, as those who call Parse do.
func format(v draft.Value) (string, draft.Value) {
	word, out := "keyvalue", draft.Value{Place: v.Place, Shape: v.Shape}
	for _, p := range v.Pairs {
		if p.Key == "format" {
			word = p.Value.Text
		} else {
			out.Pairs = append(out.Pairs, p)
		}
	}
	return word, out
}

func TestFormats(t *testing.T) {
	for _, c := range []struct{ config, body, want string }{
		{"format: keyvalue", "# comment\na: 1\nb-c = 2.50\r\ns: text\nv: \"7\"\n\n", "# a unknown\na 1\n# b_c unknown\nb_c 2.50\n# v unknown\nv 7\n"},
		{"format: text", "up 1\na{b=\"x y: }\"} 2\n", "# up unknown\nup 1\n# a unknown\na{b=\"x y: }\"} 2\n"},
		{"format: keyvalue", "a{b=\"x=: y\",c=\"d\"}: 2\n", "# a unknown\na{b=\"x=: y\",c=\"d\"} 2\n"},
		{"{format: keyvalue, separator: space, prefix: x_}", "up 1\nMemFree   12 \n", "# x_up unknown\nx_up 1\n# x_MemFree unknown\nx_MemFree 12\n"},
		{"{format: keyvalue, sections: true, pairs: true}", "# Server\nup:1\n[Two]\ndb0:keys=1,expires=2\nurl:a=b,c\n", "# Server_up unknown\nServer_up 1\n# Two_db0_keys unknown\nTwo_db0_keys 1\n# Two_db0_expires unknown\nTwo_db0_expires 2\n"},
		{"{format: keyvalue, records: procs, map: [{each: '.procs[]', name: r, value: .requests, labels: {pid: .pid, pool: $root.pool}}]}", "pool: www\n\n***\npid: 7\nrequests: 3\n***\npid: 8\nrequests: 4\n", "# r unknown\nr{pid=\"7\",pool=\"www\"} 3\nr{pid=\"8\",pool=\"www\"} 4\n"},
		{`{format: regex, regex: '^(?P<name>\w+)\{(?P<host>\w+)\} took (?P<took>[0-9.]+)ms'}`, "x\ndb{a} took 1.5ms\nweb{b} took 2ms\n", "# took unknown\ntook{name=\"db\",host=\"a\"} 1.5\ntook{name=\"web\",host=\"b\"} 2\n"},
		{`{format: regex, regex: ['temp (?P<temp>\d+)', 'fan (?P<fan>\d+)'], prefix: hw_}`, "temp 3\nfan 4\n", "# hw_temp unknown\nhw_temp 3\n# hw_fan unknown\nhw_fan 4\n"},
		{"format: csv", "name,size,note\n\"a,\"\"b\",5,x\nc,6,\n", "# size unknown\nsize{name=\"a,\\\"b\",note=\"x\"} 5\nsize{name=\"c\"} 6\n"},
		{"{format: csv, separator: tab, columns: [host, up], comment: '#', map: [{each: '.[]', name: up, value: .up, labels: {h: .host}}]}", "#x\t1\na\t1\r\nb\t0", "# up unknown\nup{h=\"a\"} 1\nup{h=\"b\"} 0\n"},
		{"{format: csv, separator: ;}", "# a;b;\n1;\"x\ny\";\n", "# a unknown\na{b=\"x\\ny\"} 1\n"},
	} {
		p, drops, err := parse(t, c.config).Decode([]byte(c.body), model.Limits{})
		if got := show(p); got != c.want || err != nil || drops.Sum() != 0 {
			t.Errorf("%s of %q =\n%s%v %v; want\n%s", c.config, c.body, got, drops, err, c.want)
		}
	}
}

func TestWhatIsNoSuchTextIsRefused(t *testing.T) {
	for _, c := range []struct{ config, body, want string }{
		{"format: keyvalue", "<html>\n", "nothing of format keyvalue"},
		{"format: regex\nregex: '(?P<a>x)'", "y", "nothing of format regex"},
		{"format: csv", "", "nothing of format csv"},
		{"format: csv", "a,b\n\"x", "line 2: a quote is not closed"},
		{"format: csv", "a,b\n\"x\"y,1", "follows a quoted field"},
		{"format: keyvalue", "a: \xff", "no UTF-8"},
		{"format: nginx", "<html>Active connections</html>", "nothing of format regex"},
		{"format: phpfpm", "{", "not closed"},
	} {
		p, _, err := parse(t, c.config).Decode([]byte(c.body), model.Limits{})
		if err == nil || !strings.Contains(err.Error(), c.want) || p.Len() != 0 {
			t.Errorf("%s of %q = %v; want %s", c.config, c.body, err, c.want)
		}
	}
	p, drops, err := parse(t, "format: csv").Decode([]byte("a,b\n1,2\n1,2,3\n"), model.Limits{})
	if p.Len() != 2 || drops[model.Unreadable] != 1 || err != nil {
		t.Errorf("a long row: %s %v %v; want it counted", show(p), drops, err)
	}
	p, drops, err = parse(t, "format: keyvalue").Decode([]byte("a: 1\nnothing\n"), model.Limits{})
	if p.Len() != 1 || drops[model.Unreadable] != 1 || err != nil {
		t.Errorf("a line without separator: %s %v %v; want it counted", show(p), drops, err)
	}
}

func TestParseNamesWhatIsWrong(t *testing.T) {
	for config, want := range map[string]string{
		"format: keyval": "did you mean", "format: regex": "needs regex", "{format: regex, regex: '('}": "missing closing", "{format: regex, regex: 'a(b)'}": "no named group", "x": "want keys and values", "{format: csv, map: [{name: a b}]}": "cannot be the name",
		"{format: regex, regex: '(?P<a>.)', per: page}": "is none of", "{sections: maybe}": "neither true nor false",
	} {
		v, err := draft.Parse("a.yaml", []byte(config))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(format(v)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%s) = %v; want %s", config, err, want)
		}
	}
}

// TestPresets holds each preset's page of a body in testdata beside what the exporter that it stands for gives.
func TestPresets(t *testing.T) {
	if got := strings.Join(Presets(), " "); got != "haproxy-csv nginx phpfpm redis-info" {
		t.Errorf("Presets() = %s", got)
	}
	bodies, err := filepath.Glob("testdata/*.in")
	if err != nil || len(bodies) < 6 {
		t.Fatalf("testdata has %d bodies, %v", len(bodies), err)
	}
	for _, path := range bodies {
		base := filepath.Base(path)
		preset, _, _ := strings.Cut(strings.TrimSuffix(base, ".in"), "_")
		if Help(preset) == "" {
			t.Errorf("preset %s has no help", preset)
		}
		body, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want, _ := os.ReadFile(strings.TrimSuffix(path, ".in") + ".out")
		p, drops, err := parse(t, "format: "+preset).Decode(body, model.Limits{})
		if err != nil || drops.Sum() != 0 {
			t.Errorf("%s: %v, drops %v", base, err, drops)
		}
		var kept []string
		for _, line := range strings.SplitAfter(show(p), "\n") {
			if !strings.HasPrefix(line, "redis_start_time_seconds ") { // now
				kept = append(kept, line)
			}
		}
		if got := strings.Join(kept, ""); got != string(want) {
			t.Errorf("%s gives\n%s\nwant\n%s", base, got, want)
			if os.Getenv("UPDATE") != "" {
				_ = os.WriteFile(strings.TrimSuffix(path, ".in")+".out", []byte(got), 0o644)
			}
		}
		for _, f := range p.Families {
			if f.Help == "" {
				t.Errorf("%s: %s has no help", base, f.Name)
			}
		}
	}
}

func TestPresetsTakeMoreRules(t *testing.T) {
	m := parse(t, "format: nginx\nprefix: x_\nmap: {name: own, value: .active}")
	p, _, err := m.Decode([]byte("Active connections: 2 \nserver accepts handled requests\n 1 1 3 \nReading: 0 Writing: 1 Waiting: 1 \n"), model.Limits{})
	got := show(p)
	if err != nil || !strings.Contains(got, "x_nginx_connections_active 2\n") || !strings.Contains(got, "x_own 2\n") {
		t.Errorf("preset with a rule =\n%s%v", got, err)
	}
	if _, err := Preset("nginy"); err == nil || !strings.Contains(err.Error(), "did you mean nginx?") {
		t.Errorf("Preset(nginy) = %v; want a suggestion", err)
	}
}
