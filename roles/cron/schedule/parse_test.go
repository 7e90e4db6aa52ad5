package schedule

import (
	"errors"
	"fmt"
	"math/bits"
	"strings"
	"testing"
	"time"
)

// must parses what a test writes itself.
func must(t testing.TB, text string, o Options) *Schedule {
	t.Helper()
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	s, err := Parse(text, o)
	if err != nil {
		t.Fatalf("Parse(%q) = %v", text, err)
	}
	return s
}

func set(values ...int) (mask uint64) {
	for _, v := range values {
		mask |= 1 << v
	}
	return mask
}

func upTo(first, last int) (mask uint64) {
	for v := first; v <= last; v++ {
		mask |= 1 << v
	}
	return mask
}

// TestFieldsBecomeSets reads each way to write a field, in the field it is for.
func TestFieldsBecomeSets(t *testing.T) {
	tests := []struct {
		kind kind
		text string
		want uint64
	}{
		{minute, "*", upTo(0, 59)}, {minute, "?", upTo(0, 59)}, {minute, "5", set(5)}, {minute, "05", set(5)},
		{minute, "5-5", set(5)}, {minute, "5-7", set(5, 6, 7)}, {minute, "5-6/2", set(5)}, {minute, "5-7/2", set(5, 7)},
		{minute, "5-7/1", set(5, 6, 7)}, {minute, "1,5-7/2,3", set(1, 5, 7, 3)}, {minute, "*/20", set(0, 20, 40)},
		{minute, "*/59", set(0, 59)}, {minute, "50/5", set(50, 55)}, {minute, "0-10/20", set(0)}, {minute, "15/35", set(15, 50)},
		{hour, "*", upTo(0, 23)}, {hour, "22-2", set(22, 23, 0, 1, 2)}, {hour, "22-2/2", set(22, 0, 2)}, {hour, "21-3/2", set(21, 23, 1, 3)},
		{hour, "23-0", set(23, 0)}, {hour, "1/2", set(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23)},
		{dom, "*", upTo(1, 31)}, {dom, "*/10", set(1, 11, 21, 31)}, {dom, "1-31/15", set(1, 16, 31)}, {dom, "*/31", set(1)},
		{month, "*", upTo(1, 12)}, {month, "02", set(2)}, {month, "jan,MAR,Sept-Nov", 0}, {month, "jan,MAR,September-Nov", set(1, 3, 9, 10, 11)},
		{month, "nov-feb", set(11, 12, 1, 2)}, {month, "11-2", set(11, 12, 1, 2)}, {month, "oct-dec", set(10, 11, 12)},
		{month, "feb-nov/2", set(2, 4, 6, 8, 10)}, {month, "*/12", set(1)}, {month, "3/3", set(3, 6, 9, 12)},
		{dow, "*", upTo(0, 6)}, {dow, "?", upTo(0, 6)}, {dow, "0", set(0)}, {dow, "7", set(0)}, {dow, "0-7", upTo(0, 6)}, {dow, "5-7", set(5, 6, 0)},
		{dow, "6-7", set(6, 0)}, {dow, "7-1", set(0, 1)}, {dow, "fri-mon", set(5, 6, 0, 1)}, {dow, "mon-sun", upTo(0, 6)}, {dow, "fri-sun", set(5, 6, 0)},
		{dow, "sun-tue", set(0, 1, 2)}, {dow, "5-0", set(5, 6, 0)}, {dow, "6-1", set(6, 0, 1)}, {dow, "*/2", set(0, 2, 4, 6)}, {dow, "*/7", set(0)},
		{dow, "mon/2", set(1, 3, 5)}, {dow, "1-7/3", set(1, 4, 0)}, {dow, "7/2", set(0)}, {dow, "Wednesday,thu", set(3, 4)}, {dow, "sat-mon/2", set(6, 1)},
	}
	for _, tt := range tests {
		fields := []string{"0", "0", "0", "*", "*", "*", "*"}
		fields[tt.kind] = tt.text
		s, err := Parse(strings.Join(fields, " "), Options{Zone: time.UTC})
		if tt.want == 0 {
			if err == nil {
				t.Errorf("%s %q is accepted", tt.kind.limits().name, tt.text)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s %q: %v", tt.kind.limits().name, tt.text, err)
			continue
		}
		got := []uint64{s.second, s.minute, uint64(s.hour), uint64(s.days), uint64(s.month), uint64(s.weekdays)}[tt.kind]
		if got != tt.want {
			t.Errorf("%s %q = %b; want %b", tt.kind.limits().name, tt.text, got, tt.want)
		}
	}
}

// TestParseErrors has the column, the field and a part of the problem for each.
func TestParseErrors(t *testing.T) {
	seconds, quartz := Options{Seconds: true}, Options{Dialect: Quartz}
	tests := []struct {
		text string
		o    Options
		want string
	}{
		{"", Options{}, "1 schedule: is empty"},
		{" \t", Options{}, "3 schedule: is empty"},
		{"xyz", Options{}, "1 schedule: 1 word, must be 5"},
		{"* foo", Options{}, "1 schedule: 2 words"},
		{"* * * *", Options{}, "1 schedule: 4 words"},
		{"* * * *", seconds, "1 schedule: 4 words, must be 5 fields, 6 with seconds"},
		{"* * * * * *", Options{}, "1 schedule: 6 words, which may mean"},
		{"* * * * *", quartz, "1 schedule: 5 words, the quartz dialect"},
		{"* * * * * * * *", Options{}, "1 schedule: 8 words"},
		{"60 * * * *", Options{}, "1 minute: must be 0-59"},
		{"0 24 * * *", Options{}, "3 hour: must be 0-23"},
		{"0 0 0 * *", Options{}, "5 day of month: must be 1-31"},
		{"0 0 32 * *", Options{}, "5 day of month: must be 1-31"},
		{"0 0 * 13 *", Options{}, "7 month: must be 1-12"},
		{"0 0 * 0 *", Options{}, "7 month: must be 1-12"},
		{"0 0 * * 8", Options{}, "9 weekday: must be 0-7"},
		{"0 0 * * XYZ", Options{}, "9 weekday: neither 0-7 nor a name"},
		{"0 0 * * mo", Options{}, "9 weekday: neither"},
		{"0 0 0 ? * 0", quartz, "11 weekday: must be 1-7"},
		{"0 0 * jan-x *", Options{}, "11 month: neither"},
		{"1,,2 * * * *", Options{}, "3 minute: an item of the list is empty"},
		{",1 * * * *", Options{}, "1 minute: an item of the list is empty"},
		{"1, * * * *", Options{}, "3 minute: an item of the list is empty"},
		{", , , , ,", Options{}, "1 minute: an item; 2 minute: an item; 3 hour: an item"},
		{"*/0 * * * *", Options{}, "3 minute: the step must be 1 or more"},
		{"*/60 * * * *", Options{}, "3 minute: the step is greater"},
		{"*/61 * * * *", Options{}, "3 minute: the step is greater"},
		{"2/60 * * * *", Options{}, "3 minute: the step is greater"},
		{"2-20/61 * * * *", Options{}, "6 minute: the step is greater"},
		{"*/60 * * * * * *", Options{}, "3 second: the step is greater"},
		{"* */24 * * *", Options{}, "5 hour: the step is greater"},
		{"*/-12 * * * *", Options{}, "3 minute: the step must be a number"},
		{"*//2 * * * *", Options{}, "3 minute: the step must be a number"},
		{"*/ * * * *", Options{}, "3 minute: the step must be a number"},
		{"/5 * * * *", Options{}, "1 minute: a value is missing"},
		{"5--5 * * * *", Options{}, "3 minute: must be 0-59"},
		{"-5 * * * *", Options{}, "1 minute: a value is missing"},
		{"5- * * * *", Options{}, "3 minute: a value is missing"},
		{"+5 * * * *", Options{}, "1 minute: must be 0-59"},
		{"5.0 * * * *", Options{}, "1 minute: must be 0-59"},
		{"** * * * *", Options{}, "1 minute: must be 0-59"},
		{"*-5 * * * *", Options{}, "1 minute: must be 0-59"},
		{"30-10 * * * *", Options{}, "1 minute: the range runs backwards"},
		{"0 0 20-10 * *", Options{}, "5 day of month: the range runs backwards"},
		{"45 4 * * 6-5", Options{}, "10 weekday: the range runs backwards through every"},
		{"45 10-9 * * *", Options{}, "4 hour: the range runs backwards through every"},
		{"45 4 * * sat-fri", Options{}, "10 weekday: the range runs backwards through every"},
		{"0 0 L-31 * *", Options{}, "5 day of month: L may be followed"},
		{"0 0 Lx * *", Options{}, "5 day of month: L may be followed"},
		{"0 0 W * *", Options{}, "5 day of month: W must follow"},
		{"0 0 32W * *", Options{}, "5 day of month: W must follow"},
		{"0 0 * * 6#6", Options{}, "11 weekday: the weekday of a month"},
		{"0 0 * * 6#0", Options{}, "11 weekday: the weekday of a month"},
		{"0 0 * * #2", Options{}, "9 weekday: a value is missing"},
		{"0 0 * * L", Options{}, "9 weekday: L must follow"},
		{"0 0 * * 8L", Options{}, "9 weekday: must be 0-7"},
		{"L * * * *", Options{}, "1 minute: must be 0-59"},
		{"H(5 * * * *", Options{}, "1 minute: H takes a range"},
		{"H(5) * * * *", Options{}, "1 minute: H takes a range"},
		{"H(9-70) * * * *", Options{}, "5 minute: must be 0-59"},
		{"9~70 * * * *", Options{}, "3 minute: must be 0-59"},
		{"9~3 * * * *", Options{}, "1 minute: the range runs backwards"},
		{"0 0 0 1 1 * ~", Options{}, "13 year: a year cannot be drawn"},
		{"0 0 0 1 1 * 1969", Options{}, "13 year: must be 1970-2199"},
		{"0 0 0 1 1 * 1980", Options{}, "1 schedule: never comes"},
		{"0 0 31 2 *", Options{}, "1 schedule: never comes"},
		{"TZ=America/New_York 30 2 * 3 */7,sun#2", Options{DST: Skip}, ""},
		{"TZ=America/New_York 30 2 * 3 sun#2", Options{DST: Skip}, "21 schedule: never comes"}, // each is in the gap
		{"0 0 30 2 ?", Options{}, "1 schedule: never comes"},
		{"59 23 31 2 *", Options{}, "1 schedule: never comes"},
		{"0 0 31 apr,jun,9,11 *", Options{}, "1 schedule: never comes"},
		{"TZ=UTC", Options{}, "7 schedule: a zone without a schedule"},
		{"TZ= * * * * *", Options{}, "4 TZ: the name of the zone is missing"},
		{"CRON_TZ=../etc/passwd * * * * *", Options{}, "9 CRON_TZ: not the name of a zone"},
		{"CRON_TZ=/etc/localtime * * * * *", Options{}, "9 CRON_TZ: not the name"},
		{"CRON_TZ=No/Where * * * * *", Options{}, "9 CRON_TZ: unknown time zone"},
		{"TZ=UTC TZ=UTC * * * * *", Options{}, "8 schedule: 6 words"},
		{"@unrecognized", Options{}, "1 schedule: unknown name"},
		{"@dayly", Options{}, "1 schedule: unknown name, did you mean @daily?"},
		{"@daily x", Options{}, "8 schedule: nothing may follow"},
		{"@every", Options{}, "1 schedule: must be followed"},
		{"@every Xm", Options{}, "8 @every: not a duration"},
		{"@every 0s", Options{}, "8 @every: must be at least 1s"},
		{"@every -5m", Options{}, "8 @every: must be at least 1s"},
		{"@every 1500ms", Options{}, "8 @every: must be whole seconds"},
		{"* 5 j * * *", seconds, "5 hour: must be 0-23"},
		{"* * * * 7", Options{Dialect: Robfig}, "9 weekday: end of range (7) above maximum"},
		{"*/61 * * * *", Options{Dialect: Robfig}, "1 minute: the step is greater"},
		{"0\v,\v\v 0 1 1 0", Options{Dialect: Robfig}, "2 minute: a character that no field has"},
		{"1,,2 * * * *", Options{Dialect: Robfig}, "3 minute: an item of the list is empty"},
		{"@reboot", Options{Dialect: Robfig}, "1 schedule: the robfig dialect has no @reboot"},
		{"TZ=UTC TZ=Asia/Tokyo 0 5 * * *", Options{Dialect: Robfig, Seconds: true}, "10 second: a character that no field has"},
		{"* * * * * * *", Options{Dialect: Robfig, Seconds: true}, "1 schedule: 7 words, must be 5 fields, or 6"},
		{"0 0 31 2 *", Options{Dialect: Robfig}, "1 schedule: never comes"},
		{strings.Repeat("1,", 600) + "1 * * * *", Options{}, "1 schedule: longer than 1024 bytes"},
	}
	for _, tt := range tests {
		_, err := Parse(tt.text, tt.o)
		if tt.want == "" && err == nil {
			continue // beside a row that is wrong, one that is not
		}
		if err == nil {
			t.Errorf("Parse(%q) is accepted; want %s", tt.text, tt.want)
			continue
		}
		list := err.(interface{ Unwrap() []error }).Unwrap()
		for i, want := range strings.Split(tt.want, "; ") {
			var e *Error
			if i >= len(list) || !errors.As(list[i], &e) {
				t.Errorf("Parse(%q) = %v; want %s", tt.text, err, want)
				continue
			}
			if got := fmt.Sprintf("%d %s: %s", e.Column, e.Field, e.Problem); !strings.HasPrefix(got, want) {
				t.Errorf("Parse(%q) = %s; want %s", tt.text, got, want)
			}
			if e.Example == "" || !strings.Contains(e.Error(), e.Example) {
				t.Errorf("Parse(%q) = %v: no example", tt.text, e)
			}
		}
	}
}

// TestNoSetIsEmpty: an empty one would be searched for ever, or give nonsense.
func TestNoSetIsEmpty(t *testing.T) {
	for _, dialect := range []Dialect{Vixie, Robfig, Quartz} {
		for _, part := range []string{"*", "1", "?", "1-1", "*/2", "L", "1W", "1#1", "1L"} {
			for i := range 6 {
				fields := []string{"0", "0", "0", "*", "*", "*"}
				fields[i] = part
				s, err := Parse(strings.Join(fields, " "), Options{Dialect: dialect, Seconds: true, Zone: time.UTC})
				if err == nil && (s.second == 0 || s.minute == 0 || s.hour == 0 || s.month == 0 || s.days == 0 && s.weekdays == 0 && s.special == nil) {
					t.Errorf("%s in the dialect %s has an empty set", s, dialect)
				}
			}
		}
	}
}

// TestDrawnValues has H and ~: in range, stable, and spread over seeds.
func TestDrawnValues(t *testing.T) {
	for text, check := range map[string]func(s *Schedule) bool{
		"H * * * *":             func(s *Schedule) bool { return bits.OnesCount64(s.minute) == 1 },
		"~ * * * *":             func(s *Schedule) bool { return bits.OnesCount64(s.minute) == 1 && s.minute < 1<<60 },
		"0~30 * * * *":          func(s *Schedule) bool { return s.minute <= 1<<30 },
		"~9 * * * *":            func(s *Schedule) bool { return s.minute <= 1<<9 },
		"50~ * * * *":           func(s *Schedule) bool { return s.minute >= 1<<50 },
		"H(40-49) * * * *":      func(s *Schedule) bool { return s.minute >= 1<<40 && s.minute <= 1<<49 },
		"H/15 * * * *":          func(s *Schedule) bool { return bits.OnesCount64(s.minute) == 4 },
		"H(10-29)/10 * * * *":   func(s *Schedule) bool { return bits.OnesCount64(s.minute) == 2 },
		"0 H H * *":             func(s *Schedule) bool { return s.days < 1<<29 && s.is(either) == false },
		"0 0 H * H":             func(s *Schedule) bool { return s.is(either) },
		"0 H * H H":             func(s *Schedule) bool { return bits.OnesCount8(s.weekdays) == 1 },
		"0 0 * * mon~fri":       func(s *Schedule) bool { return s.weekdays&(1|1<<6) == 0 },
		"H,H,H,H,H,H,H * * * *": func(s *Schedule) bool { return bits.OnesCount64(s.minute) > 1 },
	} {
		seen := map[string]bool{}
		for seed := range 200 {
			o := Options{Seed: fmt.Sprint(seed)}
			s := must(t, text, o)
			if !check(s) || s.is(wildcard) && !strings.Contains(text, " *") {
				t.Errorf("%s with seed %d = %s", text, seed, s)
			}
			if again := must(t, text, o); again.String() != s.String() {
				t.Errorf("%s with seed %d = %s, then %s", text, seed, s, again)
			}
			if printed := must(t, s.String(), Options{}); printed.minute != s.minute || printed.days != s.days || printed.weekdays != s.weekdays {
				t.Errorf("%s is printed as %s, which reads %+v", text, s, printed)
			}
			seen[s.String()] = true
		}
		if len(seen) < 4 {
			t.Errorf("%s has %d values for 200 seeds", text, len(seen))
		}
	}
	counts := map[uint64]int{}
	for seed := range 6000 {
		counts[must(t, "H * * * *", Options{Seed: fmt.Sprint("job", seed)}).minute]++
	}
	for m, n := range counts {
		if n < 50 || n > 170 {
			t.Errorf("minute %d is drawn %d times of 6000; want about 100", bits.TrailingZeros64(m), n)
		}
	}
	// The values themselves are a promise: jobs must not move with a new version.
	if got := must(t, "H H(1-5) ~ * H", Options{Seed: "backup"}).String(); got != goldenDraw {
		t.Errorf("drawn for the seed backup: %q; want %q", got, goldenDraw)
	}
}

func TestStringIsClean(t *testing.T) {
	for text, want := range map[string]string{
		"  */5\t*  * * mon-fri ":       "*/5 * * * mon-fri",
		"TZ=Asia/Tokyo\t 0 5 * * *":    "TZ=Asia/Tokyo 0 5 * * *",
		"@Daily":                       "@daily",
		"@every  90s":                  "@every 90s",
		"CRON_TZ=Europe/London @daily": "CRON_TZ=Europe/London @daily",
	} {
		if got := must(t, text, Options{}).String(); got != want {
			t.Errorf("Parse(%q).String() = %q; want %q", text, got, want)
		}
	}
}

func TestWildcard(t *testing.T) {
	for text, want := range map[string]bool{
		"* * * * *": true, "*/5 3 * * *": true, "5 * * * *": true, "5 */2 * * *": true, "5 3 * * *": false, "0-59 3 * * *": false,
		"5,* 3 * * *": false, "*,5 3 * * *": true, "? 3 * * *": true, "H 3 * * *": false, "@hourly": true, "@daily": false,
		"@every 1h": true, "* 0 2 * * * *": true, "0 0 2 * * * *": false, "@reboot": false,
	} {
		if got := must(t, text, Options{}).Wildcard(); got != want {
			t.Errorf("Parse(%q).Wildcard() = %v; want %v", text, got, want)
		}
	}
	if s := must(t, "@reboot", Options{}); !s.Reboot() || !s.Next(time.Now()).IsZero() || !s.Prev(time.Now()).IsZero() {
		t.Error("@reboot has instants")
	}
}

func TestNamesOfChoices(t *testing.T) {
	for _, name := range dialects() {
		if d, err := ParseDialect(name); err != nil || d.String() != name {
			t.Errorf("ParseDialect(%q) = %v, %v", name, d, err)
		}
	}
	for _, name := range rules() {
		if d, err := ParseDST(name); err != nil || d.String() != name {
			t.Errorf("ParseDST(%q) = %v, %v", name, d, err)
		}
	}
	if _, err := ParseDialect("vixi"); err == nil || !strings.Contains(err.Error(), "did you mean vixie?") {
		t.Errorf("ParseDialect(vixi) = %v", err)
	}
	if _, err := ParseDST("utc"); err == nil {
		t.Error("ParseDST(utc) is accepted")
	}
}

const goldenDraw = "52 4 26 * 4"
