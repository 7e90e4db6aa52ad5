package kind

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/roles/adapter/check"
	"github.com/sidecar-kit/sidecar/roles/adapter/expo"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
	"github.com/sidecar-kit/sidecar/roles/adapter/source"
)

func parse(t *testing.T, text string, e *Env) (*check.Spec, error) {
	t.Helper()
	v, err := draft.Parse("c.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if e == nil {
		e = &Env{Sources: []string{"app", "other"}}
	}
	return Parse("db", v, e)
}

func TestComplaints(t *testing.T) {
	for text, want := range map[string]string{
		"{}":                                                  "want one of dns, exec, file",
		"{tcp: 'a:1', exec: [x]}":                             "want one of",
		"{tcpp: 'a:1'}":                                       `unknown key "tcpp", did you mean tcp?`,
		"{tcp: 'a:1', every: 1ms}":                            "every",
		"{tcp: 'a:1', every: 10s, max-age: 5s}":               "max-age 5s is less than every and timeout",
		"{tcp: 'a:1', groups: [readiness]}":                   "did you mean ready?",
		"{tcp: 'a:1', groups: ['a b']}":                       "want a name of letters",
		"{http: {url: 'http://a/', expect: '.['}}":            "expect",
		"{http: {url: 'http://a/', cache: 1s}}":               "has no cache",
		"{http: {url: 'http://a/', match: '('}}":              "missing closing",
		"{exec: []}":                                          "want a program",
		"{exec: 'echo hi'}":                                   "there is no shell",
		"{metric: {metric: a, above: 1}}":                     "want source",
		"{metric: {source: ap, metric: a, above: 1}}":         "did you mean app?",
		"{metric: {source: app, above: 1}}":                   "want metric",
		"{metric: {source: app, metric: a}}":                  "want above or below",
		"{metric: {source: app, metric: 'a{b=c}', above: 1}}": "want NAME or NAME{LABEL",
		"{tls: {min-valid: 1h}}":                              "want address",
		"{tls: {address: 'a:1', min-vald: 1h}}":               "did you mean",
		"{process: {}}":                                       "want one of name",
		"{mysql: {address: 'u:hunter2@h'}}":                   "user and password-file are keys of their own",
		"{mysql: 'u:hunter2@h'}":                              "user and password-file are keys of their own",
		"{redis: 'redis://u:hunter2@h'}":                      "user and password-file are keys of their own",
		"{postgres: {query: 'x'}}":                            "want address or dsn-file",
		"{redis: {address: 'a', role: slave}}":                "role",
	} {
		_, err := parse(t, text, nil)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "c.yaml:1:") {
			t.Errorf("Parse(%s) = %v; want c.yaml:1: and %q", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Parse(%s) shows a password: %v", text, err)
		}
	}
}

func TestDefaults(t *testing.T) {
	s, err := parse(t, "{tcp: '127.0.0.1:1'}", nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.Every != 10*time.Second || s.Timeout != time.Second || s.MaxAge != 31*time.Second || s.Rise != 1 || s.Fall != 1 || !slices.Equal(s.Groups, []string{"ready"}) || s.Remote || s.Kind != "tcp" {
		t.Errorf("spec = %+v", s)
	}
	if s, err = parse(t, "{tls: {address: 'db.example:443', min_valid: 24h}, groups: [live, batch]}", nil); err != nil || !s.Remote || len(s.Groups) != 2 {
		t.Errorf("spec = %+v, %v; want a remote one of two groups", s, err)
	}
}

func TestExec(t *testing.T) {
	for text, want := range map[string]check.Result{
		"{exec: [sh, -c, 'echo fine']}":                                         {OK: true, Detail: "fine"},
		"{exec: [sh, -c, 'echo bad; exit 4']}":                                  {Detail: "4"},
		"{exec: {command: [sh, -c, 'test \"$A\" = b'], env: {A: b}}}":           {OK: true},
		"{exec: [/nonexistent]}":                                                {Detail: "no such file"},
		"{exec: [sh, -c, 'sleep 600'], timeout: 50ms}":                          {Detail: "did not end within 50ms"},
		"{exec: [sh, -c, 'yes | head -c 100000; echo http://u:hunter2@h >&2']}": {OK: true},
	} {
		s, err := parse(t, text, nil)
		if err != nil {
			t.Fatal(err)
		}
		limit := max(s.Timeout, 30*time.Second)
		if strings.Contains(text, "50ms") {
			limit = s.Timeout
		}
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		got := s.Do(ctx)
		cancel()
		if got.OK != want.OK || !strings.Contains(got.Detail, want.Detail) || len(got.Detail) > 20_000 || strings.Contains(got.Detail, "hunter2") {
			t.Errorf("%s = %+v; want %+v", text, got, want)
		}
	}
}

func TestHTTP(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bad" {
			w.WriteHeader(500)
		}
		_, _ = w.Write([]byte(`{"state": "green", "nodes": 3}`))
	}))
	defer server.Close()
	for more, want := range map[string]check.Result{
		"/, expect: '.nodes == 3'": {OK: true, Detail: "holds"},
		"/, expect: '.nodes > 3'":  {Detail: "does not hold"},
		"/, match: 'gr..n'":        {OK: true},
		"/, match: 'red'":          {Detail: "does not match"},
		"/bad":                     {Detail: "status 500"},
		"/bad, status: [500]":      {OK: true},
		"/, expect: '.a.b.c[0]'":   {Detail: "does not hold"},
	} {
		path, rest, _ := strings.Cut(more, ",")
		if rest != "" {
			rest = "," + rest
		}
		s, err := parse(t, "{http: {url: '"+server.URL+path+"'"+rest+"}}", nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Do(t.Context()); got.OK != want.OK || !strings.Contains(got.Detail, want.Detail) {
			t.Errorf("%s = %+v; want %+v", more, got, want)
		}
	}
}

func TestACheckOverHTTPHasTheTimeoutOfTheCheck(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer server.Close()
	s, err := parse(t, "{http: {url: '"+server.URL+"/', expect: '.'}, timeout: 50ms}", nil)
	if err != nil {
		t.Fatal(err)
	}
	if r := s.Do(t.Context()); r.OK || !strings.Contains(r.Detail, "no answer within 150ms") {
		t.Errorf("Do = %+v; want no answer soon after 50ms, the timeout of the check", r)
	}
}

func TestWhatIsShownOfAnAnswerIsOneLine(t *testing.T) {
	long := "[" + strings.Repeat("\"é\",", 100) + "1]"
	for document, want := range map[string]string{"{\n[+] fine: ok\n}": "{; [+] fine: ok; }", "\x1b[2J": "\\u001b[2J", "{}": "{}"} {
		if got := short([]byte(document)); got != want {
			t.Errorf("short(%q) = %q; want %q", document, got, want)
		}
	}
	for i := range 4 {
		if got := short([]byte(strings.Repeat(" ", i) + long)); strings.Contains(got, "\\x") || !strings.HasSuffix(got, "…") {
			t.Errorf("short = %q; want whole letters", got)
		}
	}
}

func TestSelector(t *testing.T) {
	for _, text := range []string{"a", "a_b:c", `a{b="c"}`, `a{b!="c",d=~"e|f",g!~"h.*"}`, `a{b="}\",{"}`} {
		var s selector
		if err := s.parse(text); err != nil || s.String() != text {
			t.Errorf("parse(%s) = %s, %v", text, s.String(), err)
		}
	}
	for _, text := range []string{"", "{}", "a b", `a{b}`, `a{b=c}`, `a{b="c"`, `a{="c"}`, `a{b=~"("}`, `a{b='c'}`} {
		var s selector
		if err := s.parse(text); err == nil {
			t.Errorf("parse(%s) = %s; want an error", text, s.String())
		}
	}
}

func FuzzSelector(f *testing.F) {
	for _, text := range []string{"a", `a{b="c",d=~"e|f"}`, `a{b!~""}`, `a{b="\u00e4"}`, `{`, `a{,}`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var s, again selector
		if s.parse(text) != nil {
			return
		}
		if err := again.parse(s.String()); err != nil || again.String() != s.String() {
			t.Errorf("%q is written as %q, which reads as %q, %v", text, s.String(), again.String(), err)
		}
	})
}

func pageOf(t *testing.T, text string) *model.Page {
	t.Helper()
	p, _, err := expo.Decode([]byte(text), model.Text, model.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return &p
}

func TestMetric(t *testing.T) {
	const body = "# TYPE errors_total counter\nerrors_total{code=\"500\"} 6\nerrors_total{code=\"503\"} 4\nerrors_total{code=\"404\"} 90\n# TYPE requests_total counter\nrequests_total 200\nq NaN\n"
	for more, want := range map[string]check.Result{
		`metric: 'errors_total{code=~"5.."}', above: 9`:                        {Detail: "10 is above 9"},
		`metric: 'errors_total{code=~"5.."}', above: 10`:                       {OK: true, Detail: "10 is within bounds"},
		`metric: 'errors_total{code=~"5.."}', below: 11`:                       {Detail: "10 is below 11"},
		`metric: 'errors_total{code=~"5.."}', aggregate: max, above: 5`:        {Detail: "6 is above 5"},
		`metric: 'errors_total', aggregate: min, below: 5`:                     {Detail: "4 is below 5"},
		`metric: 'errors_total', aggregate: count, below: 4`:                   {Detail: "3 is below 4"},
		`metric: 'errors_total{code!="404"}', aggregate: avg, above: 4`:        {Detail: "5 is above 4"},
		`metric: 'errors_total{code=~"5.."}', of: requests_total, above: 0.04`: {Detail: "0.05 is above 0.04"},
		`metric: 'nothing', above: 1`:                                          {Detail: "is not there"},
		`metric: 'nothing', above: 1, missing: ok`:                             {OK: true, Detail: "is not there"},
		`metric: 'q', above: 1`:                                                {Detail: "NaN"},
		`metric: 'errors_total', above: 1, for: 1h`:                            {OK: true, Detail: "which counts after 1h"},
	} {
		e := &Env{Sources: []string{"app"}, Fetch: func(context.Context, string) source.Result { return source.Result{Page: pageOf(t, body)} }}
		s, err := parse(t, "{metric: {"+more+"}}", e)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Do(t.Context()); got.OK != want.OK || !strings.Contains(got.Detail, want.Detail) {
			t.Errorf("%s = %+v; want %+v", more, got, want)
		}
	}
	e := &Env{Sources: []string{"app"}, Fetch: func(context.Context, string) source.Result { return source.Result{Err: errors.New("down")} }}
	s, err := parse(t, "{metric: {metric: a, above: 1}}", e)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Do(t.Context()); got.OK || !strings.Contains(got.Detail, "down") {
		t.Errorf("with a source that is down = %+v", got)
	}
}

func TestAShareThatIsNone(t *testing.T) {
	th := &threshold{aggregate: "sum", above: 1, missing: "fail", of: &selector{}}
	if err := errors.Join(th.metric.parse("a"), th.of.parse("b")); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{"b 1\n": "a is not there", "a 1\n": "a is there, b is not", "a 1\nb 0\n": "a is a share of nothing"} {
		if got := th.look(pageOf(t, text), time.Unix(1000, 0)); got.OK || got.Detail != want {
			t.Errorf("look at %q = %+v; want %s", text, got, want)
		}
	}
}

func TestMetricOverTime(t *testing.T) {
	th := &threshold{aggregate: "sum", above: 2, below: -1, rate: 10 * time.Second, lasting: 10 * time.Second, missing: "fail"}
	if err := th.metric.parse("hits_total"); err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1000, 0)
	for i, step := range []struct {
		value string
		ok    bool
		text  string
	}{
		{"100", false, "hits_total was seen once"}, // one point is no rate
		{"110", true, "within"},                    // 2 per second
		{"135", true, "counts after"},              // 3.5
		{"160", true, "counts after"},
		{"190", false, "above"}, // since 10 s
		{"10", true, "within"},  // began again: 40 within 10 s would be 4; 10 within 5 s and 30 before
	} {
		now := at.Add(time.Duration(i) * 5 * time.Second)
		got := th.look(pageOf(t, "# TYPE hits_total counter\nhits_total "+step.value+"\n"), now)
		if i == 5 {
			if got.Value != "4" {
				t.Errorf("after a restart = %+v; want 4 a second: 30 and 10 in 10 s", got)
			}
			continue
		}
		if got.OK != step.ok || !strings.Contains(got.Detail, step.text) {
			t.Errorf("step %d = %+v; want %v, %q", i, got, step.ok, step.text)
		}
	}
}
