package record

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestAppendJSON(t *testing.T) {
	file := &File{Path: "/var/log/app.log", Input: "app", Gen: 7}
	tests := []struct {
		name string
		r    Record
		want string
	}{
		{"raw", Record{File: file, Offset: 12, Read: 1_500_000_000, Message: []byte("hi \"you\"\t\\\x01")},
			`{"@timestamp":"1970-01-01T00:00:01.500Z","message":"hi \"you\"\t\\\u0001","log":{"file":{"path":"/var/log/app.log"},"offset":12}}`},
		{"empty line", Record{File: file, Read: 1},
			`{"@timestamp":"1970-01-01T00:00:00.000000001Z","message":"","log":{"file":{"path":"/var/log/app.log"},"offset":0}}`},
		{"fields", Record{File: file, Time: 1e9, Level: Error, Flags: Multiline | Partial, Fields: []Field{
			{Key: "a", Value: []byte("1.50"), Kind: Literal}, {Key: "b\n", Value: []byte(`x\ty`), Kind: Escaped},
			{Key: "c", Value: []byte(`{"d":[]}`), Kind: Nested}, {Key: "e", Value: []byte("é")}}},
			`{"@timestamp":"1970-01-01T00:00:01.000Z","log":{"file":{"path":"/var/log/app.log"},"offset":0,"level":"error","flags":["partial","multiline"]},` +
				`"a":1.50,"b\n":"x\ty","c":{"d":[]},"e":"é"}`},
		{"no text", Record{File: file, Message: []byte("a\xffb\xe2\x82"), Time: 1e9},
			`{"@timestamp":"1970-01-01T00:00:01.000Z","message":"a` + "\ufffdb\ufffd\ufffd" + `","log":{"file":{"path":"/var/log/app.log"},"offset":0,"flags":["lossy"]}}`},
	}
	for _, tt := range tests {
		got := AppendJSON(nil, &tt.r)
		if string(got) != tt.want {
			t.Errorf("%s: AppendJSON = %s; want %s", tt.name, got, tt.want)
		}
		if !json.Valid(got) {
			t.Errorf("%s: AppendJSON = %s; want valid JSON", tt.name, got)
		}
	}
}

func FuzzAppendJSON(f *testing.F) {
	f.Add([]byte("hello \"world\" \x00\x1f\x7f"), "key", []byte("value \xff"))
	f.Add([]byte("日本語 ünï\r\n\u2028"), "k\xffy", []byte(""))
	f.Fuzz(func(t *testing.T, message []byte, key string, value []byte) {
		if message == nil {
			message = []byte{}
		}
		r := Record{File: &File{Path: key}, Message: message, Fields: []Field{{Key: "k" + key, Value: value}}}
		got := AppendJSON(nil, &r)
		if !json.Valid(got) || !utf8.Valid(got) {
			t.Fatalf("AppendJSON(%q) = %q; want valid JSON", message, got)
		}
		var doc map[string]any
		if err := json.Unmarshal(got, &doc); err != nil {
			t.Fatal(err)
		}
		if utf8.Valid(message) && doc["message"] != string(message) {
			t.Fatalf("message = %q; want %q", doc["message"], message)
		}
		valid := utf8.Valid(message) && utf8.ValidString(key) && utf8.Valid(value)
		if lossy := r.Flags&Lossy != 0; lossy == valid {
			t.Fatalf("lossy = %v for %q, %q, %q", lossy, message, key, value)
		}
	})
}

// TestEscapeAgreesWithEncodingJSON puts every byte at every place of a word.
func TestEscapeAgreesWithEncodingJSON(t *testing.T) {
	for length := range 20 {
		for at := range length {
			for c := range 256 {
				text := bytes.Repeat([]byte("#\x7f!"), length)[:length]
				text[at] = byte(c)
				got, lossy := AppendString(nil, string(text))
				var back string
				if err := json.Unmarshal(got, &back); err != nil {
					t.Fatalf("AppendString(%q) = %s: %v", text, got, err)
				}
				if want := strings.ToValidUTF8(string(text), "\ufffd"); back != want || lossy != (c >= 0x80) {
					t.Fatalf("AppendString(%q) = %q, %v; want %q", text, back, lossy, want)
				}
			}
		}
	}
	long := strings.Repeat("\x01\"é", 3000)
	if got, lossy := AppendString([]byte("x"), long); lossy || string(got) != "x"+strings.ReplaceAll(string(mustMarshal(t, long)), "\u2028", "") {
		t.Errorf("AppendString of a long text = %.80q…, %v", got, lossy)
	}
}

func mustMarshal(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAppendTime(t *testing.T) {
	for _, ns := range []int64{0, 1, -1, 999_999_999, 1_700_000_000_123_000_000, 951_782_400_000_000_000, -2_203_891_200_000_000_001,
		math.MaxInt64, math.MinInt64, 4_107_542_399_999_000_000} {
		layout := "2006-01-02T15:04:05.000Z"
		if ns%1e6 != 0 {
			layout = "2006-01-02T15:04:05.000000000Z"
		}
		if got, want := string(AppendTime(nil, ns)), time.Unix(0, ns).UTC().Format(layout); got != want {
			t.Errorf("AppendTime(%d) = %s; want %s", ns, got, want)
		}
	}
	for day := int64(-106_000); day < 106_000; day += 7 {
		ns := day*86400e9 + day%86400*1e9
		if got, want := string(AppendTime(nil, ns)), time.Unix(0, ns).UTC().Format("2006-01-02T15:04:05.000Z"); got != want {
			t.Fatalf("AppendTime(%d) = %s; want %s", ns, got, want)
		}
	}
}

func TestCommonStandsForTheFirstFields(t *testing.T) {
	r := Record{File: &File{Path: "/x"}, Time: 1e9, Message: []byte("m"), Common: &Common{N: 1, JSON: []byte(`,"k":{"p":"1"}`)},
		Fields: []Field{{Key: "k.p", Value: []byte("1")}, {Key: "a", Value: []byte("2"), Plain: true}}}
	want := `{"@timestamp":"1970-01-01T00:00:01.000Z","message":"m","log":{"file":{"path":"/x"},"offset":0},"k":{"p":"1"},"a":"2"}`
	if got := string(AppendJSON(nil, &r)); got != want {
		t.Errorf("AppendJSON = %s; want %s", got, want)
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	file := &File{Path: "/var/log/app/app.log"}
	plain := strings.Repeat("the quick brown fox jumps over ", 5)[:135]
	quoted := `{"ts":"2026-01-02T15:04:05.123Z","level":"info","msg":"request done","path":"/api/v1/items","status":200,"took":12.5,"user":"u-1234567"}`
	for name, line := range map[string]string{"plain": plain, "quoted": quoted} {
		b.Run(name, func(b *testing.B) {
			r := Record{File: file, Read: 1_700_000_000_123_000_000, Offset: 123456789, Message: []byte(line)}
			dst := make([]byte, 0, 4096)
			b.SetBytes(int64(len(line)))
			b.ReportAllocs()
			for b.Loop() {
				dst = AppendJSON(dst[:0], &r)
			}
		})
	}
}
