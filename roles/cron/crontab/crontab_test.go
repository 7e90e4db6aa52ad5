package crontab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/roles/cron/job"
	"github.com/sidecar-kit/sidecar/roles/cron/schedule"
)

func defaults() Options {
	o := DefaultOptions()
	o.Schedule.Zone = time.UTC
	return o
}

func must(t testing.TB, text string, o Options) *File {
	t.Helper()
	f, err := Parse("tab", []byte(text), o)
	if err != nil {
		t.Fatalf("Parse(%q) = %v", text, err)
	}
	return f
}

// show prints what a line became: schedule | env | command.
func show(jobs []*job.Job) string {
	var out []string
	for _, j := range jobs {
		what := j.Command
		if j.Kind == job.Exec {
			what = fmt.Sprintf("%q", j.Argv)
		}
		if j.Stdin != "" {
			what += fmt.Sprintf(" < %q", j.Stdin)
		}
		out = append(out, fmt.Sprintf("%s | %s | %s", j.Spec, strings.Join(j.Env, ","), what))
	}
	return strings.Join(out, "\n")
}

// TestLines has a crontab and what it becomes.
func TestLines(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"empty":                       {"", ""},
		"blank lines":                 {"\n  \n\t\n", ""},
		"comments":                    {"# one\n  # two\n", ""},
		"setting without newline":     {"FOO=bar", ""},
		"the article":                 {`10,40 0-18 * * * echo "hoge"`, `10,40 0-18 * * * |  | echo "hoge"`},
		"spaces and tabs":             {"\t*/5 \t* * *  *\techo  a\tb  \n", "*/5 \t* * *  * |  | echo  a\tb"},
		"settings hold below":         {"A=1\n* * * * * x\nB=2\nA=3\n* * * * * y\n", "* * * * * | A=1 | x\n* * * * * | B=2,A=3 | y"},
		"quotes":                      {"A='a b'\nB=\"c d\"\nC= ' e '\nD=\nE=\"\"\n'F'=f\n* * * * * x", "* * * * * | A=a b,B=c d,C= e ,D=,E=,F=f | x"},
		"spaces round =":              {"A = b c  \n* * * * * x", "* * * * * | A=b c | x"},
		"= and # in values":           {"A=b=c # d\n* * * * * x", "* * * * * | A=b=c # d | x"},
		"no expansion":                {"A=1\nB=$A\n* * * * * x", "* * * * * | A=1,B=$A | x"},
		"shell":                       {"SHELL=/bin/bash\nFOO=1\n* * * * * x", "* * * * * | SHELL=/bin/bash,FOO=1 | x"},
		"zone":                        {"CRON_TZ=Asia/Tokyo\n* * * * * x", "* * * * * |  | x"},
		"zone for commands, too":      {"TZ=Asia/Tokyo\n* * * * * x", "* * * * * | TZ=Asia/Tokyo | x"},
		"zone before the schedule":    {"* * * * * TZ=UTC date", "* * * * * |  | TZ=UTC date"},
		"comment behind stays":        {"* * * * * foo bar # qux", "* * * * * |  | foo bar # qux"},
		"names":                       {"@daily x\n@every 1h30m y z\n@reboot w\n@Hourly v", "@daily |  | x\n@every 1h30m |  | y z\n@reboot |  | w\n@Hourly |  | v"},
		"seconds and year":            {"*/2 * * * * * * x\n0 0 0 1 1 mon 2050 y\n0 5 * * mon 7z z", "*/2 * * * * * * |  | x\n0 0 0 1 1 mon 2050 |  | y\n0 5 * * mon |  | 7z z"},
		"a command that is a number":  {"5 4 * * * /5 x", "5 4 * * * |  | /5 x"},
		"a command that is a weekday": {"5 4 * * * w root", "5 4 * * * |  | w root"},
		"percent":                     {`0 0 * * * mail a%one%two\%three`, `0 0 * * * |  | mail a < "one\ntwo%three\n"`},
		"escaped percent":             {`0 0 * * * date +\%F-\%H`, `0 0 * * * |  | date +%F-%H`},
		"CRLF":                        {"A=b\r\n* * * * * x\r\n", "* * * * * | A=b | x"},
		"a minus of cronie":           {"-*/5 * * * * x", "*/5 * * * * |  | x"},
		"BOM":                         {"\ufeff* * * * * x", "* * * * * |  | x"},
		"exec":                        {"#: exec=true\n* * * * * cp 'a b' \"c\\\"d\" e\\ f ''", `* * * * * |  | ["cp" "a b" "c\"d" "e f" ""]`},
		"exec=false":                  {"#: exec=false\n* * * * * a b", "* * * * * |  | a b"},
		"options in two comments":     {"#: timeout=5m\n#: retry=3\n* * * * * a b", "* * * * * |  | a b"},
	}
	for name, tt := range tests {
		if got := show(must(t, tt.text, defaults()).Jobs); got != tt.want {
			t.Errorf("%s: %q =\n%s\nwant\n%s", name, tt.text, got, tt.want)
		}
	}
}

// TestWrongLines has everything that is refused, and where it is said to be. Each
// error must hold an example of what would be right.
func TestWrongLines(t *testing.T) {
	tests := []struct{ text, want string }{
		{"* foo", `tab:1:1: schedule "* foo": 2 words`},
		{"FOO", `tab:1:1: schedule "FOO": 1 word`},
		{"\n  61 * * * * x", `tab:2:3: minute "61": must be 0-59`},
		{"0 25 * * 9 x", `tab:1:3: hour "25": must be 0-23; tab:1:10: weekday "9": must be 0-7`},
		{"1,,2 * * * * x", `tab:1:3: minute "1,,2": an item of the list is empty`},
		{"*/61 * * * * x", `tab:1:3: minute "61": the step is greater`},
		{"0 0 31 2 * x", `tab:1:1: schedule "0 0 31 2 *": never comes`},
		{"0 0 0 1 1 * 1999 x", `tab:1:1: schedule "0 0 0 1 1 * 1999": never comes`},
		{"* * * * *", `tab:1:10: the command is missing`},
		{"@daily", `tab:1:7: the command is missing`},
		{"@every x", `tab:1:8: @every "x": not a duration`},
		{"@dayly x", `tab:1:1: schedule "@dayly": unknown name, did you mean @daily?`},
		{"* * * * * %x", `tab:1:11: the command is missing before the %`},
		{"* * * * * * x", `tab:1:1: schedule "* * * * * *": 6 words, which may mean`},
		{"* * * * * 2050 x", `tab:1:1: schedule "* * * * * 2050": 6 words`},
		{"CRON_TZ=Nowhere/X", `tab:1:9: CRON_TZ "Nowhere/X": unknown time zone`},
		{"CRON_TZ=../../etc", `tab:1:9: CRON_TZ "../../etc": not the name of a zone`},
		{"CRON_TZ=Asia/Tokyo * * * * * x", `tab:1:9: CRON_TZ "Asia/Tokyo * * * * * x": the zone stands on a line of its own`},
		{"A=\"b", `tab:1:3: A: the quote " is not closed`},
		{"A='", `tab:1:3: A: the quote ' is not closed`},
		{"A='b' c", `tab:1:6: A: text after the closing quote '`},
		{"RANDOM_DELAY=soon", `tab:1:14: RANDOM_DELAY "soon": must be minutes`},
		{"* * * * * a \\\n  b", `tab:1:13: the line ends in \, but a crontab has no lines that go on; tab:2:3: schedule "b": 1 word`},
		{"* * * * * a\x00b", `tab:1:12: a NUL byte`},
		{"* * * * * a\xff", `tab:1:12: not valid UTF-8`},
		{"* * * * * " + strings.Repeat("x", 20_000), `tab:1:16385: the line has 20010 bytes`},
		{"#: timout=5m\n* * * * * x", `tab:1:4: unknown option "timout", did you mean timeout?`},
		{"#: timeout=5m retry=x\n* * * * * x", `tab:1:15: retry "x": must be a number`},
		{"#: timeout=5m timeout=6m\n* * * * * x", `tab:1:15: option "timeout": given twice`},
		{"#: name=\"a\n* * * * * x", `tab:1:4: option "name=\"a": the quote is not closed`},
		{"#: name='a'b\n* * * * * x", `tab:1:4: option "name='a'b": text after the closing quote`},
		{"#: name=a b\n* * * * * x", `tab:1:11: option "b": must be key=value`},
		{"#: tz=Mars\n* * * * * x", `tab:1:4: tz "Mars": unknown time zone`},
		{"#: dst=none\n* * * * * x", `tab:1:4: dst "none": must be isc`},
		{"#: dialect=quarz\n* * * * * x", `tab:1:4: dialect "quarz": must be vixie, robfig or quartz, did you mean quartz?`},
		{"#: exec=yes\n* * * * * x", `tab:1:4: exec "yes": must be true or false`},
		{"#: timeout=5m\n\n* * * * * x", `tab:1:1: options without a job in the next line`},
		{"#: timeout=5m\nA=b", `tab:1:1: options without a job`},
		{"#: timeout=5m", `tab:1:1: options without a job`},
		{"#: exec=true\n* * * * * a 'b", `tab:2:13: command: the quote is not closed`},
		{"#: exec=true\n* * * * * '' b", `tab:2:11: the command is empty`},
		{"x\ny\n61 * * * * z", `tab:1:1: schedule "x"; tab:2:1: schedule "y"; tab:3:1: minute "61"`},
	}
	for _, tt := range tests {
		_, err := Parse("tab", []byte(tt.text), defaults())
		if err == nil {
			t.Errorf("Parse(%.60q) is accepted; want %s", tt.text, tt.want)
			continue
		}
		list := err.(interface{ Unwrap() []error }).Unwrap()
		wanted := strings.Split(tt.want, "; ")
		if len(list) != len(wanted) {
			t.Errorf("Parse(%.60q) = %v; want %s", tt.text, err, tt.want)
			continue
		}
		for i, want := range wanted {
			var p *Problem
			if got := list[i].Error(); !errors.As(list[i], &p) || !strings.HasPrefix(got, want) || !strings.Contains(got, "for example ") {
				t.Errorf("Parse(%.60q) = %s; want %s... and an example", tt.text, got, want)
			}
		}
	}
	junk := strings.Repeat("junk\n", 5000)
	if _, err := Parse("tab", []byte(junk), defaults()); strings.Count(err.Error(), "\n") != maxErrors || !strings.HasSuffix(err.Error(), "and 4900 more errors") {
		t.Errorf("a file of junk gives %d bytes of errors", len(err.Error()))
	}
	o := defaults()
	o.MaxLines = 3
	if _, err := Parse("tab", []byte("\n\n\n\n"), o); err == nil || !strings.HasPrefix(err.Error(), "tab:4:1: more than 3 lines") {
		t.Errorf("too many lines: %v", err)
	}
}

func TestOptionsOfAJob(t *testing.T) {
	f := must(t, `SHELL=/bin/bash
RANDOM_DELAY=2
#: name=backup timeout=5m overlap=queue(2) retry=3 ping='https://hc/x y' catchup=last
#: tz=Asia/Tokyo dst=skip dir=/srv shell=/bin/sh enabled=false user=app
0 5 * * * backup
0 6 * * * plain
#: dialect=quartz jitter=5s/stable
0 0 12 ? * FRI third
`, defaults())
	a, b, c := f.Jobs[0], f.Jobs[1], f.Jobs[2]
	want := job.Defaults()
	want.Timeout, want.Overlap, want.Queue, want.Retry, want.Ping, want.Catchup = 5*time.Minute, job.Queue, 2, 3, "https://hc/x y", job.CatchupLast
	want.Jitter = 2 * time.Minute
	if !reflect.DeepEqual(*a.Policy, want) {
		t.Errorf("policy = %+v; want %+v", a.Policy, want)
	}
	if a.Name != "backup" || !a.Named || a.Dir != "/srv" || a.Shell != "/bin/sh" || !a.Disabled || a.User != "app" || a.When.Zone().String() != "Asia/Tokyo" || a.Where != "tab:5" {
		t.Errorf("job = %+v", a)
	}
	if b.Shell != "/bin/bash" || b.When.Zone() != time.UTC || b.Named || b.Policy.Timeout != 0 || b.Policy.Jitter != 2*time.Minute {
		t.Errorf("the options of one job are those of the next, too: %+v", b)
	}
	if c.Policy.Jitter != 5*time.Second || !c.Policy.Stable || c.When.Next(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)).Weekday() != time.Friday {
		t.Errorf("job = %+v", c)
	}
}

func TestZonesOfBlocks(t *testing.T) {
	f := must(t, "0 1 * * * a\nTZ=Asia/Tokyo\n0 1 * * * b\nCRON_TZ=Europe/Berlin\n0 1 * * * c\nTZ=America/New_York\n0 1 * * * d\nCRON_TZ=\n0 1 * * * e\n", defaults())
	var got []string
	for _, j := range f.Jobs {
		got = append(got, j.When.Zone().String())
	}
	if want := []string{"UTC", "Asia/Tokyo", "Europe/Berlin", "Europe/Berlin", "UTC"}; !slices.Equal(got, want) {
		t.Errorf("zones = %q; want %q", got, want)
	}
}

func TestExpansion(t *testing.T) {
	o := defaults()
	o.Expand, o.Env = true, []string{"HOME=/root", "A=outside"}
	f := must(t, "A=inside\nB=$A:${HOME}/x:$NONE\nC='$A'\nD=\"$A\"\n* * * * * x", o)
	if got := strings.Join(f.Jobs[0].Env, " "); got != "A=inside B=inside:/root/x: C=$A D=inside" {
		t.Errorf("env = %s", got)
	}
}

// TestNames: stable, without text of the command, different for different jobs.
func TestNames(t *testing.T) {
	text := "5 4 * * * secret-word\n5 4 * * * secret-word\n6 4 * * * secret-word\n#: name=n\n* * * * * a\n#: name=n\n* * * * * b\n"
	f := must(t, text, defaults())
	moved := must(t, "# moved\nA=b\n"+text, defaults())
	seen := map[string]bool{}
	for i, j := range f.Jobs {
		if seen[j.Name] || strings.Contains(j.Name, "secret") || len(j.Name) > 20 {
			t.Errorf("name %q", j.Name)
		}
		seen[j.Name] = true
		if moved.Jobs[i].Name != j.Name {
			t.Errorf("name %q is %q after lines moved", j.Name, moved.Jobs[i].Name)
		}
	}
	if f.Jobs[1].Name != f.Jobs[0].Name+"-2" || f.Jobs[4].Name != "n-2" {
		t.Errorf("ordinals: %q, %q", f.Jobs[1].Name, f.Jobs[4].Name)
	}
	o := defaults()
	o.Schedule.Seed = "pod-1"
	drawn := must(t, "H * * * * a\nH * * * * b\nH * * * * c\nH * * * * d\n", o).Jobs
	if drawn[0].When.String() == drawn[1].When.String() && drawn[1].When.String() == drawn[2].When.String() && drawn[2].When.String() == drawn[3].When.String() {
		t.Errorf("H is %s for every job", drawn[0].When)
	}
}

func TestUserColumn(t *testing.T) {
	system := "SHELL=/bin/sh\n# m h dom mon dow user command\n17 * * * * root cd / && run-parts /etc/cron.hourly\n25 6 * * * www-data test -x x\n@daily root y z\n"
	f := must(t, system, defaults())
	if got := show(f.Jobs); !strings.HasPrefix(got, "17 * * * * | SHELL=/bin/sh | cd / && run-parts") || f.Jobs[0].User != "root" || f.Jobs[1].User != "www-data" || f.Jobs[2].Command != "y z" {
		t.Errorf("jobs = %s, user %q", got, f.Jobs[0].User)
	}
	if len(f.Warnings) == 0 || !strings.Contains(fmt.Sprint(f.Warnings), "honoured when this program runs as root") {
		t.Errorf("warnings = %v", f.Warnings)
	}
	mixed := must(t, "* * * * * root x\n* * * * * y z\n", defaults())
	if mixed.Jobs[0].Command != "root x" || !strings.Contains(fmt.Sprint(mixed.Warnings), "tab:1:11: root looks like a user column") {
		t.Errorf("mixed: %q, %v", mixed.Jobs[0].Command, mixed.Warnings)
	}
	o := defaults()
	o.Users = true
	if f := must(t, "* * * * * alice x\n#: user=bob\n* * * * * alice y\n", o); f.Jobs[0].User != "alice" || f.Jobs[0].Command != "x" || f.Jobs[1].User != "bob" {
		t.Errorf("given: %+v", f.Jobs[0])
	}
	if _, err := Parse("tab", []byte("* * * * * alice\n"), o); err == nil {
		t.Error("a user without a command is accepted")
	}
}

func TestWarnings(t *testing.T) {
	for text, want := range map[string]string{
		"5 4 * * * x":                         "",
		"0 0 */2 * 1 x":                       "tab:1:1: day of month and weekday: both must match",
		"0 0 * * 5-7 x":                       "tab:1:1: a weekday range that ends in 7",
		"* * * * * * * x":                     "tab:1:1: runs every second",
		"CRON_TZ=Europe/Berlin\n30 2 * * * x": "tab:2:1: 02:30 does not exist on",
		"5 4 * * * date +%F":                  "tab:1:11: % ends the command",
		"5 4 * * * x\nA=b":                    "tab:2:1: A= holds for the lines below only",
		"MAILTO=me\n5 4 * * * x":              "tab:1:1: MAILTO= is ignored",
		"#: name=a\n5 4 * * * x\n#: name=a\n5 5 * * * x": `tab:4:1: the name "a" is taken already: this job is called a-2`,
		"5 4 * * * x\n5 4 * * * x":                       "tab:2:1: the same schedule and command as tab:1",
		"5 4 * * * x # y":                                "tab:1:13: a crontab has no comments behind a command",
		"5 4 * * * x '# y'":                              "",
		"#: see the wiki\n5 4 * * * x":                   "tab:1:1: a comment that begins with #: but has no key=value",
		"5 4 * * * " + strings.Repeat("x", 1200):         "tab:1:1: the line has 1210 bytes; other crons cut at 1000",
	} {
		f := must(t, text, defaults())
		if want == "" && len(f.Warnings) > 0 || want != "" && (len(f.Warnings) == 0 || !strings.HasPrefix(f.Warnings[0].String(), want)) {
			t.Errorf("warnings of %.60q = %v; want %s", text, f.Warnings, want)
		}
	}
}

func TestReadFolder(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "..data")
	if err := os.Mkdir(data, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"..data/root": "5 4 * * * x\n", "app": "5 4 * * * x\n", "app~": "junk", "#app#": "junk", "b.swp": "junk", ".hidden": "junk"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("..data/root", filepath.Join(dir, "root")); err != nil {
		t.Fatal(err)
	}
	if jobs, _, err := Read([]string{dir}, defaults()); err != nil || len(jobs) != 2 || jobs[0].User != "" {
		t.Errorf("Read of a folder that is no spool = %v, %v; want jobs without a user", show(jobs), err)
	}
	if err := os.Mkdir(filepath.Join(dir, "mounted"), 0o755); err != nil {
		t.Fatal(err)
	}
	spool := defaults()
	spool.Spools = []string{dir}
	jobs, warnings, err := Read([]string{dir}, spool)
	if err != nil || len(jobs) != 2 || jobs[0].User != "app" || jobs[1].User != "root" || jobs[0].Name == jobs[1].Name {
		t.Fatalf("Read = %v, %v, %v", show(jobs), warnings, err)
	}
	if text := fmt.Sprint(warnings); !strings.Contains(text, "b.swp: passed over") || !strings.Contains(text, "mounted: passed over, because it is a folder") || strings.Contains(text, "hidden") {
		t.Errorf("warnings = %v", warnings)
	}
	if err := os.Chmod(filepath.Join(dir, "app"), 0o602); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Read([]string{dir}, spool); err == nil || !strings.Contains(err.Error(), "app: everybody may write to it (mode 0602)") {
		t.Errorf("Read of a file that everybody may write to = %v; want an error", err)
	}
	_, _, err = Read([]string{filepath.Join(dir, "none"), filepath.Join(dir, "b.swp")}, defaults())
	if err == nil || !strings.Contains(err.Error(), "none: no such file") || !strings.Contains(err.Error(), "b.swp:1:1: schedule") {
		t.Errorf("Read = %v; want both errors", err)
	}
	if _, _, err := Read([]string{os.DevNull}, defaults()); err == nil {
		t.Error("a device is read")
	}
}

// TestMemoryPerJob holds what 10,000 jobs of one file take, all included.
func TestMemoryPerJob(t *testing.T) {
	const n = 10_000
	var text strings.Builder
	text.WriteString("SHELL=/bin/bash\nPATH=/usr/bin:/bin\nCRON_TZ=Europe/Berlin\n")
	for i := range n {
		fmt.Fprintf(&text, "%d %d * * * /usr/local/bin/backup --tenant %d\n", i%60, i/60%24, i)
	}
	data := []byte(text.String())
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	f := must(t, string(data), defaults())
	f.Warnings = nil
	runtime.GC()
	runtime.ReadMemStats(&after)
	per := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / n
	t.Logf("%d bytes per job", per)
	if per > 900 {
		t.Errorf("%d bytes per job; want at most 900, so that the rest fits into 1024", per)
	}
	runtime.KeepAlive(f)
	runtime.KeepAlive(data)
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"A=b\n#: timeout=5m name=x\n*/5 * * * * cmd%in\\%put\n", "@every 1h x\n@reboot y", "\ufeff0 0 * * 5-7 root x\r\n", "CRON_TZ=Asia/Tokyo\nTZ=\n* * * * * * * x",
		"#: exec=true\n* * * * * a 'b c' \"d", "#:\n#: =\n#: a='\n", "A='\n'B'=c\n=\n==", "* * * * * \\", "0 0 0 1 1 mon 2050 y", "H ~ L-3W * fri#2 x", "\x00\xff",
	} {
		f.Add(seed, uint8(0))
		f.Add(seed, uint8(0xff))
	}
	f.Fuzz(func(t *testing.T, text string, how uint8) {
		o := defaults()
		o.Users, o.Expand, o.Percent = how&1 != 0, how&2 != 0, how&4 == 0
		o.Schedule.Seconds, o.Schedule.Dialect = how&8 != 0, schedule.Dialect(how>>4%3)
		file, err := Parse("tab", []byte(text), o)
		if err != nil {
			for _, one := range err.(interface{ Unwrap() []error }).Unwrap() {
				var p *Problem
				if errors.As(one, &p) && (p.Line < 1 || p.Column < 1 || p.Line > strings.Count(text, "\n")+1) {
					t.Fatalf("Parse(%q) = %#v", text, p)
				}
			}
			return
		}
		names := map[string]bool{}
		for _, j := range file.Jobs {
			if j.When == nil || j.Command == "" && len(j.Argv) == 0 || names[j.Name] {
				t.Fatalf("Parse(%q) has the job %+v", text, j)
			}
			names[j.Name] = true
			if strings.ContainsAny(j.Command+strings.Join(j.Env, ""), "\x00") {
				t.Fatalf("Parse(%q): NUL", text)
			}
		}
	})
}
