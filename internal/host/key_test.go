package host

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
	"go.yaml.in/yaml/v3"

	"github.com/sidecar-kit/sidecar/internal/role"
	"github.com/sidecar-kit/sidecar/internal/strict"
)

// keyed is a role with a flag and one structured key.
type keyed struct {
	port  int
	rules []string
	show  func() any
}

func (k *keyed) decode(path string, n *yaml.Node) error {
	var rules []string
	if n != nil {
		err := strict.List(path, n, func(item *yaml.Node) error {
			rule, err := strict.Text(path, item)
			rules = append(rules, rule)
			return err
		})
		if err != nil {
			return err
		}
	}
	k.rules = rules
	return nil
}

// run resolves the settings as action does.
func (k *keyed) run(args ...string) (*command, *Key, error) {
	key := &Key{Name: "rules", Usage: "what is allowed", Example: "rules:\n  - a\n", Decode: k.decode, Show: k.show}
	c := of(Command(Spec{
		Name: "gate", Flags: []cli.Flag{&cli.IntFlag{Name: "port", Destination: &k.port}}, Keys: []*Key{key},
		New: func(role.Env) (role.Runner, error) { return nil, errors.New("not here") },
	}))
	flags, _, err := parse(c.options, args)
	if err == nil {
		err = c.resolve(flags, []string{"gate", "echo"})
	}
	return c, key, err
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestKeyIsDecoded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for in, want := range map[string]string{
		"rules: [a, b]\nport: 3\n":               "a b",
		"gate:\n  rules: [a]\necho: {text: x}\n": "a",
		"rules: []\n":                            "",
		"rules:\n":                               "",
		"port: 3\n":                              "",
	} {
		write(t, path, in)
		var k keyed
		if _, _, err := k.run("--config", path); err != nil || strings.Join(k.rules, " ") != want {
			t.Errorf("rules of %q = %q, %v; want %s", in, k.rules, err, want)
		}
	}
}

func TestKeyComplaints(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	tests := []struct{ in, want string }{
		{"rules: {a: b}\n", "f:1:8: want a list"},
		{"rules: [a]\ngate: {rules: [b]}\n", "f:2: rules is given twice, first at "},
		{"rulse: [a]\n", `f:1: unknown key "rulse", did you mean rules?`},
		{"port: x\nrules: [[a]]\n", `f:1: port: "x": want a whole number`},
		{"port: x\nrules: [[a]]\n", "f:2:9: want one value"},
		{"prot: x\nrules: [[a]]\n", "f:2:9: want one value"},
		{"rules: [a]\n  x\n", "f:1: did not find"},
	}
	for _, tt := range tests {
		write(t, path, tt.in)
		var k keyed
		if _, _, err := k.run("--config", path); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v; want %s", tt.in, err, tt.want)
		}
	}
}

func TestRereadKeepsTheLastGoodOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	write(t, path, "rules: [a]\n")
	var k keyed
	_, key, err := k.run("--config", path)
	if err != nil || key.File() != path {
		t.Fatalf("File() = %q, %v", key.File(), err)
	}
	if err := key.Reread(); err != nil || len(key.Waiting()) != 0 {
		t.Errorf("Reread of the same = %v, later %q; want nothing", err, key.Waiting())
	}
	for _, step := range []struct{ in, rules, err string }{
		{"rules: [b, c]\nport: 7\n", "b c", ""},
		{"rules: {}\n", "b c", "want a list"},
		{"rules: [d]\nnonsense: 1\n", "b c", "unknown key"},
		{"rules: [d\n", "b c", "f:"},
		{"port: 1\n", "", ""},
		{"rules: [e]\n", "e", ""},
	} {
		write(t, path, step.in)
		err := key.Reread()
		text := ""
		if err != nil {
			text = err.Error()
		}
		if strings.Join(k.rules, " ") != step.rules || !strings.Contains(text, step.err) || step.err == "" && err != nil {
			t.Errorf("Reread of %q = %v, rules %q; want %q, %s", step.in, err, k.rules, step.err, step.rules)
		}
	}
	if got := key.Waiting(); len(got) != 0 {
		t.Errorf("Waiting() = %q; want nothing: the file says what it said", got)
	}
	write(t, path, "rules: [e]\nport: 9\n")
	if err := key.Reread(); err != nil || !slices.Equal(key.Waiting(), []string{"port"}) {
		t.Errorf("Reread = %v, Waiting() = %q; want port, which waits for the next start", err, key.Waiting())
	}
	if k.port != 0 {
		t.Errorf("port after Reread = %d; want it untouched", k.port)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := key.Reread(); !errors.Is(err, os.ErrNotExist) || !slices.Equal(k.rules, []string{"e"}) {
		t.Errorf("Reread without a file = %v, rules %q", err, k.rules)
	}
}

func TestPrintedKeyCanBeFedBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	tests := []struct {
		in, want string
		show     func() any
	}{
		{"rules:\n  # why\n  - a\n  - 'b # c'\n", "rules:\n  # why\n  - a\n  - 'b # c'\n", nil},
		{"rules: [&x a, *x]\n", "rules:\n  - a\n  - a\n", nil},
		{"rules: [a]\n", "# file " + path + ":1 (masked, give it again)\n# rules:\n#   - '***'\n", func() any { return []string{"***"} }},
	}
	for _, tt := range tests {
		write(t, path, tt.in)
		k := keyed{show: tt.show}
		c, _, err := k.run("--config", path)
		var out strings.Builder
		if err == nil {
			err = c.printConfig(&out)
		}
		if err != nil || !strings.Contains(out.String(), tt.want) {
			t.Errorf("printConfig of %q = %v\n%s\nwant %s", tt.in, err, &out, tt.want)
		}
		write(t, path, out.String())
		var again keyed
		if _, _, err := again.run("--config", path); err != nil || tt.show == nil && !slices.Equal(again.rules, k.rules) {
			t.Errorf("rules read back = %q, %v; want %q", again.rules, err, k.rules)
		}
	}
}
