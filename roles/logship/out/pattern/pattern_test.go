package pattern

import (
	"strings"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/roles/logship/record"
)

func event() *record.Record {
	return &record.Record{
		File: &record.File{Path: "/var/log/app/a.log", Input: "app"}, Level: record.Error,
		Time:   time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixNano(),
		Fields: []record.Field{{Key: "team", Value: []byte("blue")}},
	}
}

func TestAppend(t *testing.T) {
	tests := []struct{ pattern, want string }{
		{"", ""},
		{"logs", "logs"},
		{"logs-%{+yyyy.MM.dd}", "logs-2026.01.02"},
		{"logs-%Y.%m.%d-%H%M%S-%j", "logs-2026.01.02-030405-002"},
		{"%{+xxxx.ww} %G.%V %F %b", "2026.01 2026.01 2026-01-02 Jan"},
		{"%{input}/%{file}/%{level}/%{team}/%{path}", "app/a.log/error/blue//var/log/app/a.log"},
		{"%{none}-%{none:-x}", "unknown-x"},
		{"100%", "100%"},
		{"100%%-%%{x}", "100%-%{x}"},
	}
	for _, tt := range tests {
		p, err := Parse(tt.pattern, nil)
		if err != nil {
			t.Errorf("Parse(%q) = %v; want nil", tt.pattern, err)
			continue
		}
		if got := string(p.Append(nil, event())); got != tt.want {
			t.Errorf("%q for the event = %q; want %q", tt.pattern, got, tt.want)
		}
	}
}

func TestTimeGoesOn(t *testing.T) {
	p, err := Parse("%{+yyyy.MM.dd}", nil)
	if err != nil {
		t.Fatal(err)
	}
	r := event()
	var got []string
	for _, ns := range []int64{-1, 0, int64(day) - 1, int64(day), 5} {
		r.Time = ns
		if ns == 0 {
			r.Read = 0
		}
		got = append(got, string(p.Append(nil, r)))
	}
	want := "1969.12.31 1970.01.01 1970.01.01 1970.01.02 1970.01.01"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("names = %q; want %q", s, want)
	}
}

func TestCleanIsForValuesOnly(t *testing.T) {
	p, err := Parse("A-%{team}", func(dst, v []byte) []byte { return append(dst, strings.ToUpper(string(v))...) })
	if err != nil {
		t.Fatal(err)
	}
	if got := string(p.Append(nil, event())); got != "A-BLUE" {
		t.Errorf("name = %q; want A-BLUE", got)
	}
}

func TestParseComplains(t *testing.T) {
	for _, text := range []string{"%{", "%{}", "%q", "%{+}", "%{+yyyyy}", "%{:-x}"} {
		if _, err := Parse(text, nil); err == nil {
			t.Errorf("Parse(%q) = nil; want an error", text)
		}
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	p, err := Parse("logs-%{+yyyy.MM.dd}", nil)
	if err != nil {
		t.Fatal(err)
	}
	r, dst := event(), make([]byte, 0, 100)
	if n := testing.AllocsPerRun(100, func() { dst = p.Append(dst[:0], r) }); n > 0 {
		t.Errorf("Append makes %v allocations; want 0", n)
	}
}
