package run

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/roles/cron/job"
)

// patience is how long a test waits for what happens at once on an idle machine.
const patience = 60 * time.Second

// buffer is a log that runs write while a test reads it.
type buffer struct {
	mu   sync.Mutex
	data bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.String()
}

// record is a line of the log.
type record struct {
	Message, Job, Run, Stream, Level string
	Part                             int
	More, Late                       bool
}

func (b *buffer) records(t *testing.T) []record {
	t.Helper()
	var out []record
	for line := range strings.Lines(b.String()) {
		var r record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("log line %q: %v", line, err)
		}
		out = append(out, r)
	}
	return out
}

func (b *buffer) messages(t *testing.T) string {
	t.Helper()
	var out []string
	for _, r := range b.records(t) {
		out = append(out, r.Message)
	}
	return strings.Join(out, "|")
}

// runner is a Runner of a test with its log.
type runner struct {
	*Runner
	log buffer
	out buffer
	err buffer
}

func newRunner(t *testing.T, o Options) *runner {
	t.Helper()
	r := &runner{}
	o.Log, o.Stdout, o.Stderr = zerolog.New(&r.log), &r.out, &r.err
	if o.Env == nil {
		o.Env = []string{"PATH=" + os.Getenv("PATH"), "SHELL="}
	}
	var err error
	if r.Runner, err = New(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(t.Context()); err != nil && t.Context().Err() == nil {
			t.Errorf("Close() = %v; want nil", err)
		}
	})
	return r
}

// start starts a job; the channel gives its result.
func (r *runner) start(t *testing.T, j *job.Job) (*Run, <-chan Result) {
	t.Helper()
	if j.Name == "" {
		j.Name = "j"
	}
	done := make(chan Result, 1)
	x, err := r.Start(Task{Job: j, ID: "run-" + j.Name}, func(res Result) { done <- res })
	if err != nil {
		t.Fatal(err)
	}
	return x, done
}

func (r *runner) do(t *testing.T, j *job.Job) Result {
	t.Helper()
	_, done := r.start(t, j)
	return await(t, done)
}

func await[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatal("nothing happened")
		panic("unreachable")
	}
}

func shell(text string) *job.Job {
	j := &job.Job{Kind: job.Shell, Command: text, Policy: new(job.Defaults())}
	return j
}

func TestShellJob(t *testing.T) {
	r := newRunner(t, Options{Tail: 100})
	res := r.do(t, shell("echo one; echo two >&2; exit 3"))
	if res.Code != 3 || res.Signal != 0 || res.Err != nil || res.Lines != 2 || res.Took <= 0 || res.CPU <= 0 || res.MaxRSS <= 0 {
		t.Errorf("result = %+v; want code 3, 2 lines, time and memory", res)
	}
	if got := r.log.records(t); len(got) != 2 || got[0].Job != "j" || got[0].Run != "run-j" || got[0].Level != "info" {
		t.Errorf("log = %+v; want two lines with job and run", got)
	}
	for _, rec := range r.log.records(t) {
		if want := map[string]string{"one": "stdout", "two": "stderr"}[rec.Message]; rec.Stream != want {
			t.Errorf("stream of %q = %q; want %q", rec.Message, rec.Stream, want)
		}
	}
}
