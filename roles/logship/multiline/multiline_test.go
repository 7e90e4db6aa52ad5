package multiline

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/roles/logship/record"
)

func words(list ...string) draft.Value {
	v := draft.Value{Place: "test", Shape: draft.List}
	for _, w := range list {
		v.Items = append(v.Items, draft.Of("test", w))
	}
	return v
}

func mapping(pairs ...string) draft.Value {
	v := draft.Value{Place: "test", Shape: draft.Map}
	for i := 0; i < len(pairs); i += 2 {
		v.Pairs = append(v.Pairs, draft.Pair{Key: pairs[i], Place: "test", Value: draft.Of("test", pairs[i+1])})
	}
	return v
}

func config(t testing.TB, v draft.Value) Config {
	t.Helper()
	c, err := Parse(v)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// events joins the lines of text, which is cut into blocks at the lines whose numbers are given.
func events(c Config, text string, from int64, cuts ...int) []Event {
	j := c.New()
	var out []Event
	keep := func(list []Event) {
		for _, e := range list {
			e.Text = bytes.Clone(e.Text)
			out = append(out, e)
		}
	}
	block := []byte(text)
	off := from
	for n := 0; int(off-from) < len(text); n++ {
		at := int(off - from)
		end := bytes.IndexByte(block[at:], '\n')
		next := at + end + 1
		if end < 0 {
			end, next = len(block)-at, len(block)
		}
		keep(j.Add(block[at:at+end], off, from+int64(next), 0))
		off = from + int64(next)
		if slices.Contains(cuts, n) {
			j.Hold(time.Now())
			old := block
			block = bytes.Clone(block)
			for i := range old {
				old[i] = 'X'
			}
		}
	}
	keep(j.Flush())
	return out
}

func TestPresets(t *testing.T) {
	tests := []struct {
		preset string
		text   string // events are marked with > at the start of their first line
	}{
		{"java", ">INFO one\n>ERROR two\njava.lang.IllegalStateException: odd\n\tat a.B.c(B.java:1)\n\t... 3 more\nCaused by: java.io.IOException\n\tat d\n>INFO three\n>{\"a\":1}\n"},
		{"python", ">INFO x\n>ERROR y\nTraceback (most recent call last):\n  File \"a.py\", line 1, in <module>\n    f()\nValueError: bad\n\n" +
			"During handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File \"a.py\"\nKeyError: 'x'\n>INFO z\n>INFO w\n"},
		{"go", ">log line\n>panic: oh no\n\ngoroutine 1 [running]:\nmain.main()\n\t/a/main.go:3 +0x1d\nexit status 2\n>http: panic serving 1.2.3.4:5: boom\ngoroutine 7 [running]:\n" +
			"net/http.(*conn).serve.func1(0xc0)\n\t/go/server.go:1 +0xbe\ncreated by net/http.(*Server).Serve\n\t/go/server.go:2\n>next line (here)\n>other\n"},
		{"ruby", ">I, [2026] INFO x\n>a.rb:1:in `b': no (RuntimeError)\n\tfrom a.rb:5:in `<main>'\napp/models/x.rb:10:in 'save'\n>done\n"},
		{"node", ">started\n>/app/index.js:10\n    throw new Error('x')\n    ^\n\nError: x\n    at f (/app/index.js:10:5)\n\nNode.js v20.1.0\n>TypeError: y\n    at g {\n  code: 1\n}\n>ok\n"},
		{"indent", ">a\n b\n\tc\n>d\n>\n>e\n"},
		{"date", ">2026-01-02 a\nb\n\nc\n>[2026/01/02 d\n>02/Jan/2026:1 e\n>Jan  2 10:00:00 f\ng\n>10:20:30 h\n"},
		{"cri", ">2026-01-01T00:00:00Z stdout P a\n2026-01-01T00:00:00Z stdout F b\n>2026-01-01T00:00:00Z stdout F c\n"},
	}
	for _, tt := range tests {
		want := rejoin(tt.text)
		text := strings.Join(want, "")
		var got []string
		for _, e := range events(config(t, words(tt.preset)), text, 0) {
			got = append(got, text[e.Off:e.Next])
			if trimmed := strings.TrimRight(text[e.Off:e.Next], "\n"); string(e.Text) != trimmed {
				t.Errorf("%s: Text = %q; want %q", tt.preset, e.Text, trimmed)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n got %q\nwant %q", tt.preset, got, want)
		}
	}
}

// rejoin cuts at > only where a line begins.
func rejoin(text string) []string {
	var parts []string
	for _, line := range strings.SplitAfter(text, "\n") {
		if rest, ok := strings.CutPrefix(line, ">"); ok {
			parts = append(parts, rest)
		} else if line != "" {
			parts[len(parts)-1] += line
		}
	}
	return parts
}

func TestPatterns(t *testing.T) {
	tests := []struct {
		config draft.Value
		text   string
		want   []string
	}{
		{mapping("start", `^\d{4}-`), "x\n2026-a\nb\n2027-c\n", []string{"x", "2026-a\nb", "2027-c"}},
		{mapping("start", `^\d{4}-.*!$`), "2026-a\nb\n2027-c!\n", []string{"2026-a\nb", "2027-c!"}},
		{mapping("start", `^\s`, "negate", "true"), "a\n b\nc\n", []string{"a\n b", "c"}},
		{mapping("continue", `^[ \t]+`), "a\n b\nc\n", []string{"a\n b", "c"}},
		{mapping("end", `;$`), "a\nb;\nc;\nd\n", []string{"a\nb;", "c;", "d"}},
		{mapping("start", `^\{`, "end", `^\}`), "x\ny\n{\na\n}\nz\n", []string{"x", "y", "{\na\n}", "z"}},
		{mapping("continue", `^ `, "lines", "2"), "a\n b\n c\n d\n", []string{"a\n b", " c\n d"}},
	}
	for _, tt := range tests {
		for cut := -1; cut < 4; cut++ {
			var got []string
			for _, e := range events(config(t, tt.config), tt.text, 0, cut) {
				got = append(got, string(e.Text))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%v, cut behind line %d: %q; want %q", tt.config.Pairs, cut, got, tt.want)
			}
		}
	}
}

func TestFlagsAndBounds(t *testing.T) {
	list := events(config(t, mapping("continue", "^ ", "lines", "2")), "a\n b\n c\nd\n", 100)
	got := fmt.Sprint(list[0].Flags, list[1].Flags, list[0].Off, list[0].Next, list[1].Next)
	if want := fmt.Sprint(record.Multiline|record.More, 0, 100, 105, 108); got != want {
		t.Errorf("flags and offsets = %s; want %s", got, want)
	}
	j := config(t, words("indent")).New()
	j.Add([]byte("a"), 0, 2, 0)
	list = j.Add([]byte(" long"), 2, 7, record.More)
	if len(list) != 2 || string(list[0].Text) != "a" || list[1].Flags != record.More {
		t.Errorf("a part of a long line gave %v", list)
	}
	if list = j.Flush(); len(list) != 0 {
		t.Errorf("Flush = %v; want nothing", list)
	}
}

func TestDue(t *testing.T) {
	j := config(t, mapping("continue", "^ ", "timeout", "3s")).New()
	now := time.Unix(1000, 0)
	if j.Hold(now); !j.Due().IsZero() {
		t.Errorf("Due = %v; want zero when nothing is pending", j.Due())
	}
	j.Add([]byte("a"), 0, 2, 0)
	j.Hold(now)
	if want := now.Add(3 * time.Second); !j.Due().Equal(want) {
		t.Errorf("Due = %v; want %v", j.Due(), want)
	}
	if list := j.Flush(); len(list) != 1 || !j.Due().IsZero() {
		t.Errorf("Flush = %v, Due = %v", list, j.Due())
	}
}

func TestParseRefuses(t *testing.T) {
	tests := []struct {
		v    draft.Value
		want string
	}{
		{words("jva"), `unknown preset "jva", did you mean java?`},
		{mapping("lines", "2"), "says not which lines"},
		{mapping("start", "("), "missing closing"},
		{mapping("strat", "x"), `unknown key "strat", did you mean start?`},
	}
	for _, tt := range tests {
		if _, err := Parse(tt.v); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Parse = %v; want %q", err, tt.want)
		}
	}
}

func TestPrefixSaysTheSameAsThePattern(t *testing.T) {
	lines := []string{"", "a", " x", "\t", "2026-01-02 x", "2026", "[INFO] x", "Zed", "é", "\xff", "20é6-"}
	for _, text := range []string{`^\d{4}-\d\d-\d\d`, `^\s`, `^\s+`, `^[A-Z]+`, `^\[INFO\]`, `^(\d)(\d)`, `^ab?`, `^`, `^a*`, `^[^a]`, `x`, `^a$`, `(?i)^a`, `^\d+-`} {
		r, err := newRule(draft.Of("test", text))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lines {
			if got, want := r.match([]byte(line)), r.re.MatchString(line); got != want {
				t.Errorf("%s matches %q = %v; want %v", text, line, got, want)
			}
		}
	}
	if prefix(`^\d{4}-\d\d-\d\d`) == nil || prefix(`^\s`) == nil || prefix("^[A-Z]+") == nil {
		t.Error("a simple pattern was not made a prefix")
	}
}

// FuzzJoiner: events tile the text, borders of blocks change nothing, and reading again from any event gives the same events.
func FuzzJoiner(f *testing.F) {
	f.Add("a\n b\n\nTraceback (most recent call last):\n  x\nE: y\n\npanic: z\n\ngoroutine 1 [running]:\nmain.f()\n", uint16(5), uint8(0))
	f.Add("2026-01-02 x\n{\n}\n;\n 2026-\n", uint16(2), uint8(3))
	configs := []Config{
		config(f, words("java", "python", "go", "ruby", "node")), config(f, words("date")), config(f, words("indent", "cri")),
		config(f, mapping("start", "^2", "end", ";$")), config(f, mapping("end", "^}")), config(f, mapping("continue", "^ ", "lines", "3", "bytes", "1024")),
		config(f, mapping("start", `\{`)),
	}
	f.Fuzz(func(t *testing.T, text string, cuts uint16, which uint8) {
		c := configs[int(which)%len(configs)]
		whole := events(c, text, 0)
		var at int64
		for _, e := range whole {
			if want := strings.TrimRight(text[e.Off:e.Next], "\n"); e.Off != at || string(e.Text) != want {
				t.Fatalf("event at %d (want %d) = %q; want %q", e.Off, at, e.Text, want)
			}
			at = e.Next
		}
		if at != int64(len(text)) {
			t.Fatalf("events end at %d of %d", at, len(text))
		}
		var list []int
		for i := range 16 {
			if cuts&(1<<i) != 0 {
				list = append(list, i)
			}
		}
		same := func(a, b Event) bool {
			return string(a.Text) == string(b.Text) && a.Off == b.Off && a.Next == b.Next && a.Flags == b.Flags
		}
		if got := events(c, text, 0, list...); !slices.EqualFunc(got, whole, same) {
			t.Fatalf("in blocks %v: %v; want %v", list, got, whole)
		}
		for i, e := range whole {
			if got := events(c, text[e.Off:], e.Off); !slices.EqualFunc(got, whole[i:], same) {
				t.Fatalf("from %d: %v; want %v", e.Off, got, whole[i:])
			}
		}
	})
}

func BenchmarkAdd(b *testing.B) {
	line := `2026-01-02T15:04:05.123Z INFO request done path=/api/v1/items status=200 took=12.5 user=u-1234567 and some more text for the length of it` + "\n"
	block := []byte(strings.Repeat(line, 1000))
	for name, c := range map[string]Config{"java": config(b, words("java")), "start": config(b, mapping("start", `^\d{4}-\d\d`))} {
		b.Run(name, func(b *testing.B) {
			j := c.New()
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				at := i % 1000 * len(line)
				j.Add(block[at:at+len(line)-1], int64(at), int64(at+len(line)), 0)
				i++
			}
		})
	}
}
