package strict

import (
	"fmt"
	"slices"
	"testing"

	"go.yaml.in/yaml/v3"
)

// thing is what a role could have in its file.
type thing struct {
	name string
	args []string
	env  map[string]string
}

func readThings(text string) ([]thing, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil || len(doc.Content) == 0 {
		return nil, err
	}
	var things []thing
	err := List("f", doc.Content[0], func(item *yaml.Node) error {
		var t thing
		err := Each("f", item, []string{"name", "args", "env"}, func(key string, value *yaml.Node) (err error) {
			switch key {
			case "name":
				t.name, err = Text("f", value)
			case "args":
				t.args, err = Texts("f", value)
			case "env":
				t.env, err = Map("f", value)
			}
			return err
		})
		things = append(things, t)
		return err
	})
	return things, err
}

func TestComplaintsNameThePlace(t *testing.T) {
	tests := []struct{ in, want string }{
		{"- name: a\n  args: [b, 1, true]\n  env: {A: 1, B: ''}\n", ""},
		{"- &x {name: a}\n- *x\n", ""},
		{"- args: b\n- args: []\n- args:\n- env:\n-\n", ""},
		{"null\n", ""},
		{"name: a\n", `f:1:1: want a list: each item in a line of its own that begins with "- "`},
		{"- a\n", `f:1:3: want keys and values, such as "name: ..."`},
		{"- nmae: a\n  arg: b\n", "f:1:3: unknown key \"nmae\", did you mean name?\nf:2:3: unknown key \"arg\", did you mean args?"},
		{"- name: a\n  name: b\n", "f:2:3: name is given twice, first in line 1"},
		{"- name: [a]\n- name:\n- name: {a: b}\n", "f:1:9: want one value\nf:2:8: want one value\nf:3:9: want one value"},
		{"- args: [a, [b], {}]\n", "f:1:13: want one value\nf:1:18: want one value"},
		{"- args: {a: b}\n", `f:1:9: want a list: each item in a line of its own that begins with "- "`},
		{"- env: [a]\n", `f:1:8: want keys and values, such as "name: ..."`},
		{"- env: {a: 1, a: 2}\n", "f:1:15: a is given twice, first in line 1"},
		{"- env: {[a]: 1}\n", `f:1:9: want a name before the colon`},
		{"- env: {<<: {a: b}}\n", `f:1:9: want a name before the colon`},
		{"- &a [*a]\n", `f:1:3: want keys and values, such as "name: ..."`},
	}
	for _, tt := range tests {
		_, err := readThings(tt.in)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("readThings(%q) = %q; want %q", tt.in, got, tt.want)
		}
	}
}

func TestValuesAreAsWritten(t *testing.T) {
	got, err := readThings("- name: 007\n  args: [0x10, yes, 'a b']\n  env: {T: 1e3, N: ''}\n- args: one\n")
	if err != nil || len(got) != 2 || got[0].name != "007" || !slices.Equal(got[0].args, []string{"0x10", "yes", "a b"}) ||
		fmt.Sprint(got[0].env) != "map[N: T:1e3]" || !slices.Equal(got[1].args, []string{"one"}) {
		t.Errorf("readThings = %+v, %v", got, err)
	}
}

func FuzzReadThings(f *testing.F) {
	f.Add("- name: a\n  args: [b]\n  env: {A: b}\n")
	f.Add("- &a [*a]\n")
	f.Fuzz(func(_ *testing.T, text string) { _, _ = readThings(text) })
}
