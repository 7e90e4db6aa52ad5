package logship

import (
	"strings"
	"testing"

	"github.com/sidecar-kit/sidecar/internal/draft"
)

func TestPlacesThatWouldBeReadAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		why  string
		edit func(*Config)
		want string // "": it is fine
	}{
		{"state in its own folder", func(c *Config) { c.Paths = []string{"/logs/**"} }, ""},
		{"state where everything is read", func(c *Config) { c.Paths, c.State = []string{"/logs/**"}, "/logs/st" }, "own files in /logs/st"},
		{"state is the folder of logs", func(c *Config) { c.State = "/logs" }, "in --state /logs, where nothing is read"},
		{"state is above the logs", func(c *Config) { c.State = "/" }, "in --state /, where nothing is read"},
		{"state is a neighbour", func(c *Config) { c.State = "/logs-state" }, ""},
		{"dead letters beside the logs", func(c *Config) { c.DeadLetter = "/logs/dead.ndjson" }, ""},
		{"dead letters are logs", func(c *Config) { c.DeadLetter = "/logs/dead.log" }, "would read /logs/dead.log, the dead letters"},
		{"an output into the logs", func(c *Config) { c.To = []string{"file:///logs/all.log"} }, "would read /logs/all.log, the file of output file"},
		{"an output beside the logs", func(c *Config) { c.To = []string{"file:///logs/all.out"} }, ""},
	} {
		conf := Default()
		conf.Paths, conf.To = []string{"/logs/*.log"}, []string{"stdout"}
		c.edit(&conf)
		err := conf.Validate()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: Validate() = %v; want %q", c.why, err, c.want)
		}
	}
}

func TestWhatOutputsWouldRefuseAtTheStartIsFoundByTheCheck(t *testing.T) {
	t.Parallel()
	conf := Default()
	conf.Paths = []string{"/logs/*.log"}
	conf.To = []string{
		"elasticsearch://es:9200/_bad", "elasticsearch://es:9200", "elasticsearch://bob@es.example:9200/x?password-file=/run/pw",
		"s3://bucket", "elasticsearch://127.0.0.1:9200/x?api-key-env=NOT_SET_HERE",
	}
	err := conf.Validate()
	if err == nil {
		t.Fatal("Validate() = nil; want complaints")
	}
	for _, want := range []string{`"_bad"`, "no index", "would travel unencrypted", "no access key"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("Validate() = %v; want %q in it", err, want)
		}
	}
	if strings.Contains(err.Error(), "NOT_SET_HERE") {
		t.Errorf("Validate() = %v; want it not to ask for secrets", err)
	}
}

func TestKeysThatNobodyReadsAreRefused(t *testing.T) {
	t.Parallel()
	pair := func(key, text string) draft.Pair {
		return draft.Pair{Key: key, Place: "here", Value: draft.Of("here", text)}
	}
	_, err := parseInput(draft.Value{Shape: draft.Map, Pairs: []draft.Pair{pair("paths", "/logs/a"), pair("delete", "true"), pair("rotate-keep", "2")}})
	if err == nil || !strings.Contains(err.Error(), `"rotate-keep"`) {
		t.Errorf("parseInput with rotate-keep = %v; want a complaint: nothing would keep to it", err)
	}
	if err != nil && strings.Contains(err.Error(), `"delete"`) {
		t.Errorf("parseInput with delete = %v; want no complaint", err)
	}
}
