package host

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/sidecar-kit/sidecar/internal/exit"
	"github.com/sidecar-kit/sidecar/internal/role"
	"github.com/sidecar-kit/sidecar/internal/secret"
)

// settings is a Config with each kind of flag.
type settings struct {
	repo     string
	depth    int
	size     int64
	ratio    float64
	period   time.Duration
	quiet    bool
	keys     []string
	lines    []string
	paths    []string
	password secret.Value
}

func testCommand(s *settings) *command {
	*s = settings{repo: "default", depth: 1, period: time.Second, keys: []string{"x"}}
	paths := Strings(&s.paths)
	paths.EnvSep = ":"
	lines := Strings(&s.lines)
	lines.EnvSep = "\n"
	return of(Command(Spec{
		Name: "git-test", Admin: ":1",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "repo", Destination: &s.repo, Aliases: []string{"r"}, EnvVars: []string{"COMPAT_REPO"}},
			&cli.IntFlag{Name: "depth", Destination: &s.depth},
			&cli.Int64Flag{Name: "size", Destination: &s.size},
			&cli.Float64Flag{Name: "ratio", Destination: &s.ratio},
			&cli.DurationFlag{Name: "period", Destination: &s.period},
			&cli.BoolFlag{Name: "quiet", Destination: &s.quiet},
			&cli.GenericFlag{Name: "key", Value: Strings(&s.keys)},
			&cli.GenericFlag{Name: "path", Value: paths},
			&cli.GenericFlag{Name: "line", Value: lines},
			&cli.GenericFlag{Name: "password", Value: &s.password},
			&cli.StringFlag{Name: "old", Hidden: true},
		},
		New: func(role.Env) (role.Runner, error) { return nil, errors.New("not here") },
	}))
}

func TestDestinationIsTheDefault(t *testing.T) {
	var s settings
	c := testCommand(&s)
	if s.repo != "default" || s.depth != 1 || s.period != time.Second || c.common.admin != ":1" || c.common.drain != 25*time.Second {
		t.Errorf("settings after Command = %+v %+v; want the defaults untouched", s, c.common)
	}
}

func TestResolvePrecedence(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(file, []byte("repo: file\nkey: [f1, f2]\nperiod: 3s\nquiet: true\npassword: 007\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		env   map[string]string
		args  []string
		check func(settings) bool
	}{
		{"default", nil, nil, func(s settings) bool { return s.repo == "default" && slices.Equal(s.keys, []string{"x"}) }},
		{"file", nil, []string{"--config", file}, func(s settings) bool {
			return s.repo == "file" && slices.Equal(s.keys, []string{"f1", "f2"}) && s.period == 3*time.Second &&
				s.quiet && s.password.Reveal() == "007"
		}},
		{"config from the environment", map[string]string{"SIDECAR_GIT_TEST_CONFIG": file}, nil, func(s settings) bool { return s.repo == "file" }},
		{"compat env", map[string]string{"COMPAT_REPO": "compat"}, []string{"--config", file}, func(s settings) bool { return s.repo == "compat" }},
		{"derived env", map[string]string{"COMPAT_REPO": "compat", "SIDECAR_GIT_TEST_REPO": "env"}, []string{"--config", file}, func(s settings) bool { return s.repo == "env" }},
		{"flag", map[string]string{"SIDECAR_GIT_TEST_REPO": "env"}, []string{"--config", file, "--repo", "flag"}, func(s settings) bool { return s.repo == "flag" }},
		{"alias", nil, []string{"-r=flag"}, func(s settings) bool { return s.repo == "flag" }},
		{"last flag wins", nil, []string{"--repo", "a", "--repo=b"}, func(s settings) bool { return s.repo == "b" }},
		{"single dash, equals sign in value", nil, []string{"-repo=a=b"}, func(s settings) bool { return s.repo == "a=b" }},
		{"value like a flag", nil, []string{"--repo", "--quiet"}, func(s settings) bool { return s.repo == "--quiet" && !s.quiet }},
		{"bool off", nil, []string{"--config", file, "--quiet=false"}, func(s settings) bool { return !s.quiet }},
		{"list", map[string]string{"SIDECAR_GIT_TEST_KEY": "a,b"}, nil, func(s settings) bool { return slices.Equal(s.keys, []string{"a,b"}) }},
		{"list in one variable", map[string]string{"SIDECAR_GIT_TEST_PATH": "a:b"}, nil, func(s settings) bool { return slices.Equal(s.paths, []string{"a", "b"}) }},
		{"a block of lines", map[string]string{"SIDECAR_GIT_TEST_LINE": "a \n\n b\n"}, nil, func(s settings) bool { return slices.Equal(s.lines, []string{"a ", " b"}) }},
		{"repeated", nil, []string{"--path", "a:b", "--path", "c"}, func(s settings) bool { return slices.Equal(s.paths, []string{"a:b", "c"}) }},
		{"empty compat env is unset", map[string]string{"COMPAT_REPO": ""}, nil, func(s settings) bool { return s.repo == "default" }},
		{"empty derived env is text", map[string]string{"SIDECAR_GIT_TEST_REPO": ""}, nil, func(s settings) bool { return s.repo == "" }},
		{"empty number is unset", map[string]string{"SIDECAR_GIT_TEST_DEPTH": ""}, nil, func(s settings) bool { return s.depth == 1 }},
		{"a bad value that loses is not asked", map[string]string{"SIDECAR_GIT_TEST_DEPTH": "x"}, []string{"--depth", "2"}, func(s settings) bool { return s.depth == 2 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for k, v := range tt.env {
				t.Setenv(k, v)
			}
			var s settings
			c := testCommand(&s)
			flags, _, err := parse(c.options, tt.args)
			if err == nil {
				err = c.resolve(flags, nil)
			}
			if err != nil || !tt.check(s) {
				t.Errorf("resolve(%q) = %+v, %v", tt.args, s, err)
			}
		})
	}
}

func TestResolveComplaints(t *testing.T) {
	tests := []struct {
		env  string
		args []string
		want string
	}{
		{"", []string{"--depth", "many"}, `--depth: "many": want a whole number`},
		{"", []string{"--period=10"}, `--period: "10": want a duration such as 500ms, 10s or 5m`},
		{"", []string{"--quiet=maybe"}, `--quiet: "maybe": want true or false`},
		{"", []string{"--ratio", "x"}, `--ratio: "x": want a number`},
		{"soon", nil, `SIDECAR_GIT_TEST_PERIOD: "soon": want a duration such as 500ms, 10s or 5m`},
		{"", []string{"--perod", "1s"}, "unknown flag --perod, did you mean --period?"},
		{"", []string{"-x"}, "unknown flag -x"},
		{"", []string{"--odl", "1s"}, "unknown flag --odl"},
		{"", []string{"--=x"}, "unknown flag --"},
		{"", []string{"--repo"}, "--repo needs a value"},
	}
	for _, tt := range tests {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			if tt.env != "" {
				t.Setenv("SIDECAR_GIT_TEST_PERIOD", tt.env)
			}
			c := testCommand(&settings{})
			flags, _, err := parse(c.options, tt.args)
			if err == nil {
				err = c.resolve(flags, nil)
			}
			if err == nil || err.Error() != tt.want {
				t.Errorf("resolve(%q) = %v; want %s", tt.args, err, tt.want)
			}
		})
	}
}

func TestParseFileComplaints(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", ""},
		{"# nothing\n", ""},
		{"null\n", ""},
		{"repo: x\nother: {repo: y, nonsense: z}\n", ""},
		{"git-test: {repo: x}\n", ""},
		{"git-test:\n", `f:1: unknown key "git-test"`},
		{"a: &k x\nrepo: *k\n", `f:1: unknown key "a"`},
		{"repo: x\nrepo: y\n", "f:2: repo is given twice, first at f:1"},
		{"repo: [x]\n", "f:1: repo: want one value"},
		{"repo: {a: b}\n", "f:1: repo: want one value"},
		{"repo:\n", "f:1: repo: want one value"},
		{"key: [[x]]\n", "f:1: key: want a list of values"},
		{"key: &k [*k]\n", "f:1: key: want a list of values"},
		{"r: x\n", `f:1: unknown key "r", did you mean repo?`},
		{"- x\n", "f:1: want keys and values, such as \"log-level: debug\""},
		{"check: true\n", "f:1: check cannot be set in a file, use the flag"},
		{"repo: x\n---\nrepo: y\n", "f:2: a second document, want one"},
		{"repo: x\n\tdepth: 1\n", "f:2: found a tab character that violates indentation"},
		{"git-test: {git-test: {repo: x}}\n", `f:1: unknown key "git-test"`},
	}
	for _, tt := range tests {
		c := testCommand(&settings{})
		_, err := file{"f", "git-test", []string{"other"}, c.options, nil}.parse([]byte(tt.in))
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("parse(%q) = %q; want %q", tt.in, got, tt.want)
		}
	}
}

func FuzzParseFile(f *testing.F) {
	f.Add([]byte("repo: x\nkey: [a, b]\n"))
	f.Add([]byte("git-test: {depth: 3}\nother: {}\n"))
	f.Add([]byte("key: &k [*k]\n"))
	f.Add([]byte("<<: {repo: x}\n"))
	f.Add([]byte("repo: |\n  a\n  b\n---\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := testCommand(&settings{})
		said, err := file{"f", "git-test", []string{"other"}, c.options, nil}.parse(data)
		if err != nil {
			return
		}
		for o, g := range said.found {
			if o.noFile || !o.isList() && len(g.values) != 1 || !strings.HasPrefix(g.from.name, "f:") {
				t.Errorf("parse(%q): %s = %+v", data, o.name(), g)
			}
		}
	})
}

func TestPrintConfigCanBeFedBack(t *testing.T) {
	var s settings
	c := testCommand(&s)
	args := []string{"--repo", "a: b #", "--key", "1", "--key", "true", "--period", "90s", "--password", "hunter2", "--quiet", "--ratio", "0.5"}
	flags, _, err := parse(c.options, args)
	if err == nil {
		err = c.resolve(flags, nil)
	}
	var out strings.Builder
	if err == nil {
		err = c.printConfig(&out)
	}
	if err != nil || strings.Contains(out.String(), "hunter2") || strings.Contains(out.String(), "old:") {
		t.Fatalf("printConfig = %v\n%s", err, &out)
	}
	file := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(file, []byte(out.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	var again settings
	c = testCommand(&again)
	flags, _, _ = parse(c.options, []string{"--config", file})
	if err := c.resolve(flags, nil); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	s.password = secret.Value{}
	if again.repo != s.repo || !slices.Equal(again.keys, s.keys) || again.period != s.period ||
		again.quiet != s.quiet || again.ratio != s.ratio || again.password != s.password {
		t.Errorf("settings read back = %+v; want %+v", again, s)
	}
}

func TestSpecMistakesShowAtOnce(t *testing.T) {
	tests := map[string][]cli.Flag{
		"required": {&cli.StringFlag{Name: "a", Required: true}},
		"slice":    {&cli.StringSliceFlag{Name: "a"}},
		"double":   {&cli.StringFlag{Name: "a"}, &cli.StringFlag{Name: "b", Aliases: []string{"a"}}},
		"taken":    {&cli.StringFlag{Name: "config"}},
	}
	for name, flags := range tests {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: Command did not panic; want it to", name)
				}
			}()
			Command(Spec{Name: "x", Flags: flags})
		}()
	}
}

func TestOutcome(t *testing.T) {
	canceled := errors.Join(errors.New("copy"), t.Context().Err(), errCanceled())
	for want, err := range map[int]error{
		exit.OK: nil, exit.Failed: errors.New("x"), 143: canceled, 5: &exit.Error{Code: 5, Err: canceled},
	} {
		if got := exit.Code(outcome(err, nil)); got != want {
			t.Errorf("Code(outcome(%v)) = %d; want %d", err, got, want)
		}
	}
}
