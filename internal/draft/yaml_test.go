package draft

import (
	"fmt"
	"strings"
	"testing"
)

func TestParseKeepsPlaces(t *testing.T) {
	v, err := Parse("a.yaml", []byte("one: &x [1, two]\nthree: *x\nempty:\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(v.Pairs) != 3 || v.Pairs[1].Place != "a.yaml:2:1" || v.Pairs[1].Value.Items[1].Text != "two" || v.Pairs[2].Value.Shape != Empty {
		t.Errorf("Parse = %+v", v)
	}
	if v, err := Parse("a.yaml", nil); err != nil || v.Shape != Empty {
		t.Errorf("Parse of nothing = %+v, %v; want Empty", v, err)
	}
	if _, err := Parse("a.yaml", []byte("a: [")); err == nil || !strings.HasPrefix(err.Error(), "a.yaml: ") {
		t.Errorf("Parse of half a list = %v; want an error with the name of the file", err)
	}
}

func TestMergedKeys(t *testing.T) {
	v, err := Parse("a.yaml", []byte("a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\nc: {x: 5, <<: [*a, *b]}\nd: {<<: *a}\n"))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range map[int]string{2: "x=5 y=2 z=4", 3: "x=1 y=2"} {
		var got []string
		for _, p := range v.Pairs[i].Value.Pairs {
			got = append(got, p.Key+"="+p.Value.Text)
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%s = %s; want %s", v.Pairs[i].Key, text, want)
		}
	}
	if _, err := Parse("a.yaml", []byte("a: {<<: 1}\n")); err == nil || !strings.Contains(err.Error(), "a.yaml:1:5: <<: want a mapping") {
		t.Errorf("Parse = %v; want an error with the place", err)
	}
}

func TestAliasesOfAliasesAreBounded(t *testing.T) {
	var bomb strings.Builder
	bomb.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for i := 1; i < 9; i++ {
		fmt.Fprintf(&bomb, "a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 10), ","))
	}
	if _, err := Parse("bomb.yaml", []byte(bomb.String())); err == nil || !strings.Contains(err.Error(), "more than 100000 values") {
		t.Errorf("Parse = %v; want too many values", err)
	}
}
