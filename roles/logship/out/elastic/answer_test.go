package elastic

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/sidecar-kit/sidecar/roles/logship/out"
	"github.com/sidecar-kit/sidecar/roles/logship/out/outtest"
	"github.com/sidecar-kit/sidecar/roles/logship/out/web"
)

// offline is a sink that connects to nobody.
func offline(t testing.TB) *Sink {
	s, err := New(Config{Index: "logs", Web: web.Config{Targets: []*url.URL{target(t, "http://localhost:9200")}}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// reply is what a real server answers; of makes the rest of a result.
func reply(s *Sink, b *out.Batch, of func(i int) string) string {
	var text strings.Builder
	text.WriteString(`{"took":30,"errors":false,"items":[`)
	a := newAnswer()
	a.batch, a.idAt = b, s.idAt
	for i := range b.Items {
		if i > 0 {
			text.WriteByte(',')
		}
		fmt.Fprintf(&text, `{"create":{"_index":"logs","_id":"%s",%s}}`, a.id(i), of(i))
	}
	return text.String() + "]}"
}

func whole(i int) string {
	return fmt.Sprintf(`"_version":1,"result":"created","_shards":{"total":2,"successful":1,"failed":0},"_seq_no":%d,"_primary_term":1,"status":201`, i)
}

func TestAnswerHasNoAllocationPerEvent(t *testing.T) {
	s := offline(t)
	b := outtest.Batch(t, s, 0, 3000)
	slim := `{"errors":false,"items":[` + strings.TrimSuffix(strings.Repeat(`{"create":{"status":201}},`, 3000), ",") + `]}`
	for name, text := range map[string]string{"whole": reply(s, b, whole), "slim": slim, "errors": strings.Replace(reply(s, b, whole), "false", "true", 1)} {
		a, r := newAnswer(), strings.NewReader(text)
		read := func() {
			r.Reset(text)
			if pause, err := a.read(r, b, s.idAt, s.judge); err != nil || pause != "" {
				t.Fatalf("read = %q, %v; want nil", pause, err)
			}
		}
		read()
		if n := testing.AllocsPerRun(5, read); n > 20 {
			t.Errorf("%s: %v allocations for 3,000 results; want no more than 20", name, n)
		}
		if done, _, _ := outtest.Count(b); done != 3000 {
			t.Errorf("%s: %d done; want 3000", name, done)
		}
	}
}

// TestHopSeesForeignResults: what the shortcut skips is only what names our events one after the other.
func TestHopSeesForeignResults(t *testing.T) {
	s := offline(t)
	b := outtest.Batch(t, s, 0, 100)
	good := reply(s, b, func(int) string { return `"status":201` })
	bad := reply(s, b, func(i int) string {
		if i == 50 {
			return `"status":429`
		}
		return `"status":201`
	})
	fewer := strings.Replace(good, good[strings.Index(good, `,{"create"`):strings.Index(good, `,{"create"`)+strings.Index(good[strings.Index(good, `,{"create"`)+1:], `,{"create"`)+1], "", 1)
	for name, tt := range map[string]struct {
		text string
		done int
	}{"good": {good, 100}, "one is missing": {fewer, 99}, "a lie among the last": {strings.Replace(bad, "false", "true", 1), 99}} {
		if pause, err := newAnswer().read(iotest.OneByteReader(strings.NewReader(tt.text)), b, s.idAt, s.judge); err != nil || pause != "" {
			t.Errorf("%s: read = %q, %v; want nil", name, pause, err)
		}
		if done, _, _ := outtest.Count(b); done != tt.done {
			t.Errorf("%s: %d done; want %d", name, done, tt.done)
		}
	}
}

// FuzzAnswer compares with encoding/json: of every answer that is valid JSON the same events are done, and every answer leaves each event
// with one verdict.
func FuzzAnswer(f *testing.F) {
	s := offline(f)
	b := outtest.Batch(f, s, 0, 4)
	f.Add(reply(s, b, whole))
	for _, seed := range []string{
		`{"errors":false,"items":[{"create":{"status":201}},{"create":{"status":201}},{"create":{"status":409}},{"create":{"status":200}}]}`,
		`{"items":[{"index":{"status":400,"error":{"type":"x","reason":"a \"b\" \\ \u0041","caused_by":{"type":"y"}}}},{"create":{"status":429,"error":"old"}}],"errors":true}`,
		`{"errors":true,"items":[{"create":{"status":201.0}},{"create":{"status":"201"}},{"create":{}},{}]}`, `{"items":[]}`, `{}`, `[`, `{"items":[null]}`,
		`{"error":{"root_cause":[{"type":"x"}]},"status":400}`, `{"items":[{"create":{"status":201}}]`, `{"a":[[[{"b":"]"}]]],"items":[{"c":{"status":201}}]} x`,
	} {
		f.Add(seed)
	}
	a := newAnswer()
	f.Fuzz(func(t *testing.T, text string) {
		for _, src := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text)), iotest.DataErrReader(strings.NewReader(text))} {
			pause, err := a.read(src, b, s.idAt, s.judge)
			done, again, reject := outtest.Count(b)
			if done+again+reject != 4 || err != nil && done > 0 {
				t.Fatalf("%d, %d, %d and %v", done, again, reject, err)
			}
			want, valid := oracle([]byte(text))
			if !valid || pause != "" {
				continue
			}
			if len(want) > 4 || len(want) == 0 {
				if err == nil {
					t.Fatalf("%d results of %q; want an error", len(want), text)
				}
				continue
			}
			for i, it := range b.Items {
				if good := i < len(want) && (want[i]/100 == 2 || want[i] == 409); good != (it.Verdict == out.Done) {
					t.Fatalf("event %d of %q: %d %s; want done %t", i, text, it.Verdict, it.Reason, good)
				}
			}
		}
	})
}

// oracle are the statuses of an answer, -1 where there is none. Answers with a key that is there twice, or another shape, are not valid.
func oracle(text []byte) ([]int, bool) {
	if !json.Valid(text) || bytes.Contains(text, []byte(`\u`)) {
		return nil, false
	}
	var doc map[string]json.RawMessage
	if json.Unmarshal(text, &doc) != nil || doc == nil || strings.Count(string(text), `"items"`) != 1 || doc["items"] == nil {
		return nil, false
	}
	var items []map[string]json.RawMessage
	if json.Unmarshal(doc["items"], &items) != nil {
		return nil, false
	}
	var all []int
	for _, it := range items {
		status := -1
		if it == nil || len(it) != 1 {
			return nil, false
		}
		for _, v := range it {
			var result map[string]json.RawMessage
			if json.Unmarshal(v, &result) != nil || bytes.Count(v, []byte(`"status"`)) > 1 {
				return nil, false
			}
			if n, err := strconv.Atoi(string(result["status"])); err == nil && n >= 0 && n < 1e8 {
				status = n
			}
		}
		all = append(all, status)
	}
	return all, bytes.Count(text, []byte(`"status"`)) <= len(all)+1
}

func BenchmarkAnswer(b *testing.B) {
	s := offline(b)
	batch := outtest.Batch(b, s, 0, 5000)
	slim := `{"errors":false,"items":[` + strings.TrimSuffix(strings.Repeat(`{"create":{"status":201}},`, 5000), ",") + `]}`
	full := reply(s, batch, func(i int) string { return whole(i + 1000000) })
	for name, text := range map[string]string{"slim": slim, "whole": full, "errors": strings.Replace(full, "false", "true", 1)} {
		b.Run(name, func(b *testing.B) {
			a, r := newAnswer(), strings.NewReader(text)
			b.ReportAllocs()
			for b.Loop() {
				r.Reset(text)
				if _, err := a.read(r, batch, s.idAt, s.judge); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/5000, "ns/event")
		})
	}
}
