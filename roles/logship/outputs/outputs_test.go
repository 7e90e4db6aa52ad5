package outputs

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/roles/logship/out/elastic/estest"
	"github.com/sidecar-kit/sidecar/roles/logship/out/outtest"
)

func mapping(pairs ...any) draft.Value {
	v := draft.Value{Place: "x.yaml:1", Shape: draft.Map}
	for i := 0; i < len(pairs); i += 2 {
		var value draft.Value
		switch one := pairs[i+1].(type) {
		case string:
			value = draft.Of("x.yaml:2", one)
		case []string:
			value = draft.Value{Place: "x.yaml:2", Shape: draft.List}
			for _, s := range one {
				value.Items = append(value.Items, draft.Of("x.yaml:3", s))
			}
		}
		v.Pairs = append(v.Pairs, draft.Pair{Key: pairs[i].(string), Place: "x.yaml:2", Value: value})
	}
	return v
}

func TestParse(t *testing.T) {
	tests := []struct {
		in                 draft.Value
		kind, name, string string
		hosts, path, index string
		secure             bool
	}{
		{draft.Of("--to", "elasticsearch://es/logs"), "elasticsearch", "elasticsearch", "elasticsearch (elasticsearch at es:9200)", "es:9200", "", "logs", false},
		{draft.Of("--to", "elasticsearch+https://a:1,[::1],b/front/logs-%{+yyyy.MM.dd}?gzip=true&in-flight=2"), "elasticsearch", "elasticsearch", "", "a:1,[::1]:9200,b:9200", "/front", "logs-%{+yyyy.MM.dd}", true},
		{draft.Of("--to", "opensearch://os/front/?index=a-%d"), "opensearch", "opensearch", "", "os:9200", "/front", "a-%d", false},
		{mapping("name", "main", "kind", "elasticsearch", "to", []string{"https://a/x", "https://b:9243/x"}), "elasticsearch", "main", "main (elasticsearch at a:9200,b:9243)", "a:9200,b:9243", "", "x", true},
		{mapping("to", "elasticsearch://a/x", "tls", "true"), "elasticsearch", "elasticsearch", "", "a:9200", "", "x", true},
		{draft.Of("--to", "stdout"), "stdout", "stdout", "stdout (stdout)", "", "", "", false},
		{draft.Of("--to", "stdout?format=text"), "stdout", "stdout", "", "", "", "", false},
		{mapping("kind", "stdout"), "stdout", "stdout", "", "", "", "", false},
		{draft.Of("--to", "file:///a/b.log?max-size=1MiB"), "file", "file", "file (/a/b.log)", "", "/a/b.log", "", false},
	}
	for _, tt := range tests {
		s, err := Parse(tt.in)
		if err != nil {
			t.Errorf("Parse(%s) = %v; want nil", tt.in.Text, err)
			continue
		}
		a := s.o.address
		if s.Kind != tt.kind || s.Name != tt.name || strings.Join(a.hosts, ",") != tt.hosts || a.path != tt.path || s.o.index != tt.index || a.secure != tt.secure {
			t.Errorf("Parse(%s) = %s %s %v %q %q %t; want %s %s %s %q %q %t", tt.in.Text, s.Kind, s.Name, a.hosts, a.path, s.o.index, a.secure,
				tt.kind, tt.name, tt.hosts, tt.path, tt.index, tt.secure)
		}
		if tt.string != "" && s.String() != tt.string {
			t.Errorf("String() = %q; want %q", s, tt.string)
		}
	}
}

func TestParseComplainsOfEverythingAtOnce(t *testing.T) {
	v := mapping("name", "a b", "to", "elasticsearch://u@es/x", "gzp", "true", "batch-age", "5", "timeout", "1s", "timeout", "2s", "max-size", "1MiB", "backoff-min", "1m")
	_, err := Parse(v)
	if err == nil {
		t.Fatal("Parse = nil; want errors")
	}
	for _, want := range []string{
		`name "a b"`, `"gzp" is no option of elasticsearch, did you mean gzip?`, `batch-age: "5" is no time`, "timeout is given twice",
		"max-size is an option of file, not of elasticsearch", "a user needs a password", "backoff-min 1m0s is more than backoff-max 30s",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("Parse = %v; want %s in it", err, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"":                                       "is no output",
		"elasticsearch":                          "hint: KIND://HOST",
		"elastisearch://es/x":                    "did you mean elasticsearch?",
		"elasticsearch+ssl://es/x":               "elasticsearch+ssl:// is not known",
		"elasticsearch://u:geheim@es/x":          "password-file=FILE",
		"elasticsearch://u:geheim/x@es/x":        "password-file=FILE",
		"https://u:geheim?x@es/x":                "password-file=FILE",
		"loki://h?password=geheim":               "hint: password-file=FILE or password-env=NAME",
		"loki://h?api-key=geheim":                `"api-key" is no option of loki`,
		"https://h?k=geheim#headers=geheim":      "want NAME:VALUE",
		"https://h?k=geheim#headers=X=geheim":    "want NAME:VALUE",
		"https://h#headers=Authorization:geheim": "token-file=FILE",
		"https:/h?k=geheim":                      "is no output",
		"elasticsearch://es:99999/x":             "is no host and port",
		"elasticsearch:///x":                     "is no host and port",
		"elasticsearch://a b/x":                  "is no host and port",
		"elasticsearch://es/x?geheim":            "options are NAME=VALUE",
		"elasticsearch://es/x?ca=/a":             "elasticsearch+https://",
		"elasticsearch://es/x?index=y":           "end the path with a slash",
		"elasticsearch://es/x?setup-shard=1":     "did you mean setup-shards?",
		"file://var/log/x":                       "hint: a path begins with a slash: file:///var/log/x",
		"stdout?format=xml":                      "json, text, raw",
		"elasticsearch://es/x?keep=1":            "keep is an option of file",
		"elasticsearch://es/x?setup=yes":         "neither true nor false",
	} {
		_, err := Parse(draft.Of("--to", in))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "--to: ") && !strings.Contains(err.Error(), ": --to: ") {
			t.Errorf("Parse(%q) = %v; want --to: and %s", in, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "geheim") {
			t.Errorf("Parse(%q) = %v, which tells the secret", in, err)
		}
	}
}

func TestOptionsAreComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, o := range Options() {
		if o.Name == "" || o.Usage == "" || seen[o.Name] {
			t.Errorf("option %+v is not complete, or there twice", o)
		}
		seen[o.Name] = true
		for _, k := range o.Kinds {
			if _, ok := kindOf(k); !ok {
				t.Errorf("option %s is for %s, which is no kind", o.Name, k)
			}
		}
	}
}

func TestFromTheWordToTheServer(t *testing.T) {
	s := estest.New(t)
	s.Login = "Basic dTpw" // u:p
	word := strings.Replace(s.URL, "http://", "elasticsearch://u@", 1) + "/logs-%{input}?gzip=true&password-env=ES_PASSWORD"
	spec, err := Parse(draft.Of("--to", word))
	if err != nil {
		t.Fatal(err)
	}
	sink, err := spec.New(Env{Lookup: func(name string) (string, bool) { return map[string]string{"ES_PASSWORD": "p"}[name], true }})
	if err != nil {
		t.Fatal(err)
	}
	outtest.Deliver(t, sink, outtest.Batch(t, sink, 0, 10), 1)
	if s.Docs() != 10 {
		t.Errorf("%d documents; want 10", s.Docs())
	}
	if err := sink.Close(); err != nil {
		t.Errorf("Close = %v; want nil", err)
	}
}

func TestNewNamesTheOutput(t *testing.T) {
	for word, want := range map[string]string{
		"elasticsearch://es/Logs": "--to: output elasticsearch: index", "elasticsearch+https://es/x?ca=/nowhere": "/nowhere",
		"elasticsearch+https://u@es/x?password-env=NO": "environment variable NO", "file:///": "no absolute path of a file",
	} {
		spec, err := Parse(draft.Of("--to", word))
		if err != nil {
			t.Errorf("Parse(%s) = %v; want nil", word, err)
			continue
		}
		if _, err := spec.New(Env{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New of %s = %v; want %s", word, err, want)
		}
	}
}

func TestStdoutAndFile(t *testing.T) {
	var got bytes.Buffer
	path := filepath.Join(t.TempDir(), "a.log")
	for _, word := range []string{"stdout?format=text", "file://" + path + "?format=text"} {
		spec, err := Parse(draft.Of("--to", word))
		if err != nil {
			t.Fatal(err)
		}
		sink, err := spec.New(Env{Stdout: &got})
		if err != nil {
			t.Fatal(err)
		}
		outtest.Deliver(t, sink, outtest.Batch(t, sink, 0, 3), 1)
		_ = sink.Close()
	}
	data, err := os.ReadFile(path)
	if err != nil || string(data) != got.String() || strings.Count(got.String(), "level=info") != 3 {
		t.Errorf("file %q, %v, stdout %q; want three lines in both", data, err, got.String())
	}
}

// TestEveryKindCanBeMade makes one of each with as many options as go together.
func TestEveryKindCanBeMade(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{
		"elasticsearch+https://u@es/x?password-file=F&pipeline=p&setup=true&setup-retention=7d&op=create", "opensearch://es/x",
		"loki+https://l/?labels=app=%{input},level=%{level}&metadata=file=%{file}&tenant=t&token-file=F&headers=X-A:b", "loki://l:1",
		"otlp://c?service=shop&resource=a=b,c=d&gzip=true&headers=X-A:b", "otlp+https://c/otlp/v1/logs?insecure=true",
		"forward://f?tag=app.%{level}&shared-key-file=F", "forward+tls://u@f?password-file=F&shared-key-file=F&gzip=true",
		"kafka://a,b:1/logs?compression=snappy&record-key=%{path}", "kafka+tls://u@a/logs?password-file=F&sasl=SCRAM-SHA-512",
		"syslog://s?facility=daemon&app=shop&confirm=true&format=json", "syslog+tls://s",
		"s3://b/logs/%{input}?region=eu-1&access-key-file=F&secret-key-file=F&endpoint=http://minio:9000", "s3://b?access-key-file=F&secret-key-file=F&gzip=false&insecure=true",
		"http://h/in?a=b#array=true&method=PUT", "https://h#format=text&content-type=text/x&password-file=F&username=u", "stdout", "file:///tmp/x?max-size=1MiB&keep=2&no-sync=true",
	} {
		spec, err := Parse(draft.Of("--to", strings.ReplaceAll(word, "=F", "="+secret)))
		if err != nil {
			t.Errorf("Parse(%s) = %v; want nil", word, err)
			continue
		}
		sink, err := spec.New(Env{Host: "pod-1", Stdout: &bytes.Buffer{}})
		if err != nil {
			t.Errorf("New of %s = %v; want nil", word, err)
			continue
		}
		if b := outtest.Batch(t, sink, 0, 3); len(b.Body) == 0 {
			t.Errorf("%s: three events are nothing", word)
		}
		if err := sink.Close(); err != nil {
			t.Errorf("Close of %s = %v; want nil", word, err)
		}
	}
}

// FuzzParse gives any word: what is taken prints no secret, and a second reading gives the same.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"elasticsearch+https://a:1,b/c?gzip=true", "http://h/p?q#timeout=1s", "file:///x", "stdout", "s3://b/k?region=x", "loki://[::1]:1/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, word string) {
		s, err := Parse(draft.Of("--to", word))
		if err != nil {
			return
		}
		again, err := Parse(draft.Of("--to", word))
		if err != nil || again.String() != s.String() || s.Timeout < time.Millisecond || s.InFlight < 1 {
			t.Errorf("Parse(%q) = %v, then %v, %v", word, s, again, err)
		}
	})
}
