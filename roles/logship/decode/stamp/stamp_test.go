package stamp

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata"
)

func TestParse(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		layout string
		zone   *time.Location
		text   string
		want   string // RFC 3339 in UTC; empty: refused
		n      int
	}{
		{"rfc3339", nil, "2026-01-02T03:04:05.123456789Z rest", "2026-01-02T03:04:05.123456789Z", 30},
		{"rfc3339", nil, "2026-01-02T03:04:05+02:00", "2026-01-02T01:04:05Z", 25},
		{"iso8601", nil, "2026-01-02 03:04:05,5 INFO", "2026-01-02T03:04:05.5Z", 21},
		{"iso8601", nil, "2026-01-02 03:04:05 -0130 x", "2026-01-02T04:34:05Z", 25},
		{"iso8601", berlin, "2026-07-02 03:04", "2026-07-02T01:04:00Z", 16},
		{"rfc3339", nil, "2026-02-29T03:04:05Z", "", 0},
		{"rfc3339", nil, "2026-01-02T24:04:05Z", "", 0},
		{"rfc3339", nil, "20x6-01-02T03:04:05Z", "", 0},
		{"auto", nil, "1700000000", "2023-11-14T22:13:20Z", 10},
		{"auto", nil, "1700000000123", "2023-11-14T22:13:20.123Z", 13},
		{"auto", nil, "1700000000.25", "2023-11-14T22:13:20.25Z", 13},
		{"auto", nil, "1700000000123456", "2023-11-14T22:13:20.123456Z", 16},
		{"auto", nil, "1700000000123456789", "2023-11-14T22:13:20.123456789Z", 19},
		{"epoch_ms", nil, "17", "1970-01-01T00:00:00.017Z", 2},
		{"epoch_s", nil, "1.7e+09", "2023-11-14T22:13:20Z", 7},
		{"epoch", nil, "99999999999999999999", "", 0},
		{"epoch_s", nil, "99999999999", "", 0},
		{"http", nil, "10/Oct/2023:13:55:36 -0700] x", "2023-10-10T20:55:36Z", 26},
		{"syslog", nil, "Nov  9 10:00:00 host", "2026-11-09T10:00:00Z", 15},
		{"syslog", nil, "Dec 31 23:59:59 host", "2025-12-31T23:59:59Z", 15},
		{"syslog", nil, "Feb 29 10:00:00 host", "2024-02-29T10:00:00Z", 15},
		{"2006-01-02 15:04:05.000", nil, "2026-01-02 03:04:05.250!", "2026-01-02T03:04:05.25Z", 23},
		{"02 Jan 06 03:04PM MST", nil, "05 Mar 26 12:30AM UTC", "2026-03-05T00:30:00Z", 21},
		{"2006/002 15:04", nil, "2026/060 01:02", "2026-03-01T01:02:00Z", 14},
		{"%Y-%m-%d %H:%M:%S,%f", nil, "2026-01-02 03:04:05,067 x", "2026-01-02T03:04:05.067Z", 23},
		{"%d/%b/%Y:%T %z", nil, "10/Oct/2023:13:55:36 +0000", "2023-10-10T13:55:36Z", 26},
		{"%F %I:%M %p", nil, "2026-01-02 11:04 pm", "2026-01-02T23:04:00Z", 19},
		{"%a %b %e %H:%M:%S %Y", berlin, "Fri Jan  2 03:04:05 2026", "2026-01-02T02:04:05Z", 24},
		{"%s.%L", nil, "1700000000.5", "2023-11-14T22:13:20.5Z", 12},
		{"%m/%d %R", nil, "13/01 10:00", "", 0},
	}
	near := time.Date(2026, 11, 8, 12, 0, 0, 0, time.UTC).UnixNano()
	for _, tt := range tests {
		l, err := Compile(tt.layout, tt.zone)
		if err != nil {
			t.Errorf("Compile(%q): %v", tt.layout, err)
			continue
		}
		ns, n, ok := l.Parse([]byte(tt.text), near)
		got := ""
		if ok {
			got = time.Unix(0, ns).UTC().Format(time.RFC3339Nano)
		}
		if got != tt.want || ok && n != tt.n {
			t.Errorf("%s: Parse(%q) = %s, %d; want %s, %d", tt.layout, tt.text, got, n, tt.want, tt.n)
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	for layout, want := range map[string]string{
		"15:04:05": "no day", "%Q": "%Q", "%Y-%": "ends within", "rfc33339": "no day", "": "no day", "2006-01-02": "no day",
	} {
		if _, err := Compile(layout, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Compile(%q) = %v; want an error with %q", layout, err, want)
		}
	}
}

// FuzzParse: what Go reads as RFC 3339 is read as the same moment, every layout reads what Go writes, and nothing panics.
func FuzzParse(f *testing.F) {
	f.Add("2026-01-02T03:04:05.123Z", int64(1), uint8(0))
	f.Add("Nov  9 10:00:00", int64(1700000000123456789), uint8(1))
	f.Add("1.7e9", int64(-5), uint8(2))
	layouts := []string{time.RFC3339Nano, "2006-01-02 15:04:05.000 -0700", time.RFC1123Z, "Mon Jan _2 15:04:05 2006", "02/Jan/2006:15:04:05 -0700", "2006-1-2 3:4:5 PM"}
	f.Fuzz(func(t *testing.T, text string, ns int64, which uint8) {
		for _, word := range append(Words(), layouts...) {
			l, err := Compile(word, time.UTC)
			if err != nil {
				t.Fatal(err)
			}
			if _, n, ok := l.Parse([]byte(text), ns); ok && (n <= 0 || n > len(text)) {
				t.Fatalf("%s: Parse(%q) took %d", word, text, n)
			}
		}
		rfc, _ := Compile("rfc3339", nil)
		if want, err := time.Parse(time.RFC3339Nano, text); err == nil && text[13] == ':' && want.Year() > 1678 && want.Year() < 2261 {
			got, n, ok := rfc.Parse([]byte(text), 0)
			if !ok || n != len(text) || got != want.UnixNano() {
				t.Fatalf("Parse(%q) = %d, %d, %v; want %d", text, got, n, ok, want.UnixNano())
			}
		}
		layout := layouts[int(which)%len(layouts)]
		at := time.Unix(0, ns).In(time.FixedZone("", int(which)*60))
		if at.Year() < 1680 || at.Year() > 2260 {
			return
		}
		l, _ := Compile(layout, nil)
		written := at.Format(layout)
		want, err := time.Parse(layout, written)
		if err != nil {
			t.Fatal(err)
		}
		if got, n, ok := l.Parse([]byte(written), 0); !ok || n != len(written) || got != want.UnixNano() {
			t.Fatalf("%s: Parse(%q) = %d, %d, %v; want %d", layout, written, got, n, ok, want.UnixNano())
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for layout, text := range map[string]string{"rfc3339": "2026-01-02T03:04:05.123Z", "http": "10/Oct/2023:13:55:36 -0700", "epoch": "1700000000.123"} {
		b.Run(layout, func(b *testing.B) {
			l, err := Compile(layout, nil)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, _, ok := l.Parse([]byte(text), 0); !ok {
					b.Fatal("refused")
				}
			}
		})
	}
}
