package job

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestEveryKeyTakesItsExample keeps the table and the code together.
func TestEveryKeyTakesItsExample(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range Keys() {
		if seen[k.Name] || k.Doc == "" || k.Example == "" {
			t.Errorf("key %q: twice, or without a doc or an example", k.Name)
		}
		seen[k.Name] = true
		var j Job
		switch err := j.Set(k.Name, k.Example); {
		case k.Of <= OfJob && err != nil:
			t.Errorf("Set(%s, %s) = %v", k.Name, k.Example, err)
		case k.Of <= OfJob && reflect.DeepEqual(j, Job{}):
			t.Errorf("Set(%s, %s) changes nothing", k.Name, k.Example)
		case k.Of > OfJob && err == nil:
			t.Errorf("Set(%s) is accepted; it is read elsewhere", k.Name)
		}
		var p Policy
		if err := p.Set(k.Name, k.Example); (err == nil) != (k.Of == OfPolicy) {
			t.Errorf("Policy.Set(%s) = %v", k.Name, err)
		}
	}
}

func TestOptionValues(t *testing.T) {
	for _, tt := range []struct {
		key, value string
		want       Policy
	}{
		{"timeout", "90s", Policy{Timeout: 90 * time.Second}}, {"timeout", "0", Policy{}}, {"kill-after", "1m30s", Policy{KillAfter: 90 * time.Second}},
		{"overlap", "allow", Policy{Overlap: Allow}}, {"overlap", "forbid", Policy{}}, {"overlap", "replace", Policy{Overlap: Replace}},
		{"overlap", "queue", Policy{Overlap: Queue}}, {"overlap", "queue(5)", Policy{Overlap: Queue, Queue: 5}},
		{"retry", "0", Policy{}}, {"retry", "7", Policy{Retry: 7}}, {"retry-on", "1,75,1", Policy{RetryOn: []int{1, 75}}}, {"success", "0", Policy{Success: []int{0}}},
		{"jitter", "30s", Policy{Jitter: 30 * time.Second}}, {"jitter", "30s/random", Policy{Jitter: 30 * time.Second}}, {"jitter", "1m/stable", Policy{Jitter: time.Minute, Stable: true}},
		{"catchup", "none", Policy{}}, {"catchup", "last", Policy{Catchup: CatchupLast}}, {"catchup", "all", Policy{Catchup: CatchupAll}}, {"catchup", "all(3)", Policy{Catchup: CatchupAll, CatchupMax: 3}},
		{"ping", "https://hc.example/ping/uuid", Policy{Ping: "https://hc.example/ping/uuid"}}, {"output", "none", Policy{LogOutput: OutputNone}},
	} {
		var got Policy
		if err := got.Set(tt.key, tt.value); err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("Set(%s, %s) = %+v, %v; want %+v", tt.key, tt.value, got, err, tt.want)
		}
	}
}

func TestWrongOptions(t *testing.T) {
	for _, tt := range []struct{ key, value, want string }{
		{"timout", "5m", `unknown option "timout", did you mean timeout?`}, {"nonsense", "1", `unknown option "nonsense": must be one of name timeout`},
		{"timeout", "5", "the unit is missing"}, {"timeout", "5 minutes", "not a duration"}, {"timeout", "", "not a duration"}, {"timeout", "-1s", "must not be negative"},
		{"overlap", "forbit", "must be forbid, allow, replace or queue, did you mean forbid?"}, {"overlap", "queue(0)", "only queue takes"}, {"overlap", "queue(2", "only queue takes"}, {"overlap", "allow(2)", "only queue takes"},
		{"retry", "-1", "must be a number"}, {"retry", "many", "must be a number from 0 to 1000"}, {"weight", "0", "must be a number from 1"}, {"retry-on", "1,,2", "must be exit codes"}, {"success", "256", "must be exit codes"},
		{"jitter", "30s/stabl", "did you mean stable?"}, {"jitter", "x", "must begin with a duration"}, {"catchup", "all(-1)", "only all takes"}, {"catchup", "some", "must be none, last or all"},
		{"group", "a b", "must be 1 to 63"}, {"ping", "ftp://h/secret", "not an URL"}, {"ping", "file:relative", "must be absolute"}, {"output", "json", "must be log, raw, both or none"}, {"max-log-lines", "x", "must be a number"},
		{"name", "rm -rf", "must be 1 to 63"}, {"name", "-x", "must be 1 to 63"}, {"name", strings.Repeat("x", 64), "must be 1 to 63"}, {"dir", "tmp", "must be an absolute path"}, {"shell", "", "is empty"},
		{"enabled", "no", "must be true or false"}, {"user", "a:b", "not the name"}, {"user", "1000:", "not the name"}, {"tz", "UTC", "cannot be given here"},
	} {
		var j Job
		err := j.Set(tt.key, tt.value)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Set(%s, %s) = %v; want %s", tt.key, tt.value, err, tt.want)
			continue
		}
		if known, err2 := Find(tt.key); err2 == nil && !strings.Contains(err.Error(), known.Example) {
			t.Errorf("Set(%s, %s) = %v: no example", tt.key, tt.value, err)
		}
	}
	if err := new(Policy).Set("ping", "ftp://host/secret-token"); strings.Contains(fmt.Sprint(err), "secret-token") {
		t.Errorf("the secret is in the error: %v", err)
	}
}

func TestSetLeavesOtherJobsOfTheSamePolicy(t *testing.T) {
	shared := new(Defaults())
	a, b := &Job{Policy: shared}, &Job{Policy: shared}
	if err := a.Set("timeout", "5m"); err != nil {
		t.Fatal(err)
	}
	if a.Policy.Timeout != 5*time.Minute || b.Policy.Timeout != 0 || shared.Timeout != 0 {
		t.Errorf("timeouts = %v, %v, %v; want 5m, 0, 0", a.Policy.Timeout, b.Policy.Timeout, shared.Timeout)
	}
}
