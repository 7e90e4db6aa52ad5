package run

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sidecar-kit/sidecar/roles/cron/job"
)

func TestLongLinesAreCutIntoMarkedPieces(t *testing.T) {
	r := newRunner(t, Options{MaxLine: 1000})
	res := r.do(t, shell("head -c 1000000 /dev/zero | tr '\\0' x; echo; echo short; head -c 1000 /dev/zero | tr '\\0' y; echo; printf tail"))
	if res.Lines != 4 || res.Cut != 1 {
		t.Errorf("result = %+v; want 4 lines, one cut", res)
	}
	var whole strings.Builder
	records := r.log.records(t)
	for i, rec := range records[:1000] {
		if rec.Part != i+1 || rec.More != (i < 999) {
			t.Fatalf("piece %d is %d, more %v", i, rec.Part, rec.More)
		}
		whole.WriteString(rec.Message)
	}
	if whole.String() != strings.Repeat("x", 1000000) {
		t.Error("the pieces are not the line")
	}
	if rest := records[1000:]; len(rest) != 3 || rest[0].Message != "short" || rest[0].Part != 0 || len(rest[1].Message) != 1000 || rest[1].Part != 0 || rest[2].Message != "tail" {
		t.Errorf("after the long line came %+v", rest)
	}
}

func TestPiecesKeepCharactersWhole(t *testing.T) {
	r := newRunner(t, Options{MaxLine: 10})
	r.do(t, shell("echo ééééééééé")) // 18 bytes, the cut would be inside for odd limits
	if got := r.log.messages(t); got != "ééééé|éééé" {
		t.Errorf("pieces = %q", got)
	}
	r = newRunner(t, Options{MaxLine: 9})
	r.do(t, shell("echo ééééééééé"))
	if got := r.log.messages(t); got != "éééé|éééé|é" {
		t.Errorf("pieces = %q", got)
	}
}

func TestBinaryOutputIsShownSafely(t *testing.T) {
	j := shell(`printf 'a\000b\033[31m\377\tc\r\n\n\302\205\342\200\256'`)
	j.Policy.LogOutput = job.OutputBoth
	r := newRunner(t, Options{})
	r.do(t, j)
	if got, want := r.log.messages(t), "a\\u0000b\\u001b[31m\\xff\tc||\\u0085\\u202e"; got != want {
		t.Errorf("log = %q; want %q", got, want)
	}
	if got, want := r.out.String(), "a\x00b\x1b[31m\xff\tc\r\n\n\u0085\u202e\n"; got != want {
		t.Errorf("raw = %q; want %q", got, want)
	}
}

func TestWhereOutputGoes(t *testing.T) {
	tests := []struct {
		output        job.Output
		log, out, err string
	}{
		{job.OutputLog, "err|out", "", ""},
		{job.OutputRaw, "", "out\n", "err\n"},
		{job.OutputBoth, "err|out", "out\n", "err\n"},
		{job.OutputNone, "", "", ""},
	}
	for _, tt := range tests {
		r := newRunner(t, Options{Tail: 100})
		j := shell("echo out; echo err >&2")
		j.Policy.LogOutput = tt.output
		res := r.do(t, j)
		if res.Lines != 2 || len(res.Tail) != 8 || res.Dropped != 0 {
			t.Errorf("output %d: result = %+v; want two lines counted and kept", tt.output, res)
		}
		got := strings.Split(r.log.messages(t), "|")
		slices.Sort(got)
		if strings.Join(got, "|") != tt.log || r.out.String() != tt.out || r.err.String() != tt.err {
			t.Errorf("output %d: log %q, stdout %q, stderr %q; want %q, %q, %q", tt.output, got, r.out.String(), r.err.String(), tt.log, tt.out, tt.err)
		}
	}
}

func TestLogLinesOfARunAreLimited(t *testing.T) {
	for _, output := range []job.Output{job.OutputLog, job.OutputBoth} {
		r := newRunner(t, Options{})
		j := shell("i=0; while [ $i -lt 100 ]; do echo $i; i=$((i+1)); done")
		j.Policy.MaxLogLines, j.Policy.LogOutput = 3, output
		res := r.do(t, j)
		if res.Lines != 100 || res.Dropped != 97 {
			t.Errorf("result = %+v; want 100 lines, 97 dropped", res)
		}
		if got := r.log.messages(t); got != "0|1|2|lines of the job were not logged" {
			t.Errorf("log = %q", got)
		}
		if raw := r.out.String(); output == job.OutputBoth && raw != "0\n1\n2\n" {
			t.Errorf("raw = %q; want three lines", raw)
		}
	}
}

func TestTailKeepsTheEnd(t *testing.T) {
	for _, size := range []int{0, 1, 2, 7, 100} {
		text := ""
		tail := ring{limit: size}
		for i := range 40 {
			part := fmt.Sprint(i, strings.Repeat("x", i%13))
			text += part
			tail.write([]byte(part))
			if want := text[max(0, len(text)-size):]; string(tail.bytes()) != want {
				t.Fatalf("tail of %d after %q = %q; want %q", size, text, tail.bytes(), want)
			}
		}
	}
}

func TestCleanRemovesOurSettings(t *testing.T) {
	env := []string{"PATH=/bin", "SIDECAR_CRON_TOKEN=s", "AWS_KEY=k", "AWS_REGION=r", "A=1", "A=2", "=odd", "novalue"}
	tests := []struct{ allow, deny, want []string }{
		{nil, nil, []string{"PATH=/bin", "AWS_KEY=k", "AWS_REGION=r", "A=2"}},
		{[]string{"SIDECAR_*"}, nil, []string{"PATH=/bin", "SIDECAR_CRON_TOKEN=s", "AWS_KEY=k", "AWS_REGION=r", "A=2"}},
		{nil, []string{"AWS_*"}, []string{"PATH=/bin", "A=2"}},
		{[]string{"PATH", "AWS_REGION"}, []string{"*"}, []string{"PATH=/bin", "AWS_REGION=r"}},
	}
	for _, tt := range tests {
		if got := Clean(env, tt.allow, tt.deny); !slices.Equal(got, tt.want) {
			t.Errorf("Clean(allow %q, deny %q) = %q; want %q", tt.allow, tt.deny, got, tt.want)
		}
	}
}

// FuzzLines feeds output in any portions: the pieces make the lines again.
func FuzzLines(f *testing.F) {
	f.Add([]byte("one\ntwo\n"), uint8(3), uint8(4))
	f.Add([]byte("\xe2\x82\xac\xe2\x82\xac\n\n\xff"), uint8(1), uint8(2))
	f.Fuzz(func(t *testing.T, data []byte, portion, limit uint8) {
		var out bytes.Buffer
		r := &Runner{o: Options{Stdout: &out, MaxLine: int(limit) + 1}}
		x := &Run{r: r, task: Task{Job: &job.Job{Policy: &job.Policy{LogOutput: job.OutputRaw}}}}
		s := &stream{x: x}
		for rest := data; len(rest) > 0; {
			n := min(len(rest), int(portion)+1)
			s.take(rest[:n])
			rest = rest[n:]
			if len(s.partial) > r.o.MaxLine {
				t.Fatalf("%d bytes are kept, the limit is %d", len(s.partial), r.o.MaxLine)
			}
		}
		s.end()
		want := string(data)
		if want != "" && !strings.HasSuffix(want, "\n") {
			want += "\n"
		}
		if out.String() != want {
			t.Errorf("output %q came as %q", data, out.String())
		}
		if lines := int64(strings.Count(want, "\n")); x.lines != lines {
			t.Errorf("%d lines counted in %q; want %d", x.lines, data, lines)
		}
	})
}
