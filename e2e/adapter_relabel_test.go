package e2e

import (
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"
	"testing"

	promodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	promrelabel "github.com/prometheus/prometheus/model/relabel"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/roles/adapter/expo"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
	"github.com/sidecar-kit/sidecar/roles/adapter/relabel"
)

// TestAdapterRelabelIsThatOfPrometheus: random rules give the same series as Prometheus' own package, and are refused where it refuses them.
func TestAdapterRelabelIsThatOfPrometheus(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 5))
	ran := 0
	for range 20_000 {
		var rules []promrelabel.Config
		var yaml strings.Builder
		yaml.WriteString("relabel:\n")
		valid := true
		for range 1 + rng.IntN(3) {
			c, text := randomRule(rng)
			valid = valid && c.Validate() == nil
			rules = append(rules, c)
			yaml.WriteString(text)
		}
		v, err := draft.Parse("c", []byte(yaml.String()))
		if err != nil {
			t.Fatal(err)
		}
		p, err := relabel.Parse(v)
		if err != nil {
			if valid {
				t.Fatalf("Parse(%s) = %v; Prometheus takes it", yaml.String(), err)
			}
			continue
		}
		if !valid {
			continue // names with other characters than Prometheus took before version 3
		}
		ran++
		const body = "# TYPE a_total counter\na_total{x=\"1\",y=\"B;b\"} 1\na_total{x=\"2\",zone=\"a_total\"} 2\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_sum 2\nh_count 1\nq{A=\"x\",B=\"y\"} 7\n"
		page, _, err := expo.Decode([]byte(body), model.Text, model.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		want := relabelled(t, page, rules)
		drops, err := p.Apply(&page)
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Split(samplesOf(t, &page, model.Text), "\n")
		if len(got) == 1 && got[0] == "" {
			got = nil
		}
		// Series that became one are counted, and conflicts of types, too; all others have to be there.
		missing := len(want) - len(got)
		for _, line := range got {
			if i := sort.SearchStrings(want, line); i == len(want) || want[i] != line {
				t.Fatalf("%sgives %s\nPrometheus:\n%s", yaml.String(), line, strings.Join(want, "\n"))
			}
		}
		if missing != int(drops[model.Repeated]+drops[model.Conflict]) {
			t.Fatalf("%sgives %d series, %v; Prometheus:\n%s", yaml.String(), len(got), drops, strings.Join(want, "\n"))
		}
	}
	if ran < 5_000 {
		t.Errorf("only %d programs were valid", ran)
	}
}

// relabelled is what Prometheus makes of the samples of a page: sorted lines.
func relabelled(t *testing.T, page model.Page, rules []promrelabel.Config) []string {
	t.Helper()
	var lines []string
	for i := range page.Families {
		f := page.Families[i]
		if err := expo.Expand(&f); err != nil {
			t.Fatal(err)
		}
		for _, s := range f.Samples {
			set := map[string]string{"__name__": f.Name + s.Suffix}
			for _, l := range s.Labels {
				set[l.Name] = l.Value
			}
			b := labels.NewBuilder(labels.FromMap(set))
			keep := true
			for j := range rules {
				keep = keep && promrelabel.ProcessBuilder(b, &rules[j])
			}
			if !keep || b.Get("__name__") == "" {
				continue
			}
			var list []model.Label
			b.Labels().Range(func(l labels.Label) { list = append(list, model.Label{Name: l.Name, Value: l.Value}) })
			lines = append(lines, describe(list, s.Value))
		}
	}
	sort.Strings(lines)
	return lines
}

// randomRule makes a rule, as a struct and as YAML.
func randomRule(rng *rand.Rand) (promrelabel.Config, string) {
	pick := func(list ...string) string { return list[rng.IntN(len(list))] }
	c := promrelabel.DefaultRelabelConfig
	action := pick("replace", "replace", "keep", "drop", "keepequal", "dropequal", "hashmod", "labelmap", "labeldrop", "labelkeep", "lowercase", "uppercase")
	c.Action = promrelabel.Action(action)
	text := "- action: " + action + "\n"
	names := action == "labelmap" || action == "labeldrop" || action == "labelkeep"
	if !names || rng.IntN(20) == 0 {
		for range rng.IntN(3) {
			c.SourceLabels = append(c.SourceLabels, promodel.LabelName(pick("__name__", "x", "y", "zone", "le", "none", "A")))
		}
		if c.SourceLabels != nil {
			text += "  source_labels: ["
			for _, l := range c.SourceLabels {
				text += string(l) + ", "
			}
			text += "]\n"
		}
		if rng.IntN(8) > 0 {
			c.TargetLabel = pick("x", "y", "zone", "__name__", "new", "${1}_x", "$1", "B")
			text += fmt.Sprintf("  target_label: '%s'\n", c.TargetLabel)
		}
	}
	if rng.IntN(3) > 0 {
		regex := pick("(.*)", "a.*", "(h|q)_?(.*)", "x|y|le", "", "1", ".+;.*", "([a-z]*)_total", "__name__|x|le", "[A-Z]")
		c.Regex = promrelabel.MustNewRegexp(regex)
		if regex == "(.*)" {
			c.Regex = promrelabel.DefaultRelabelConfig.Regex
		}
		text += fmt.Sprintf("  regex: '%s'\n", regex)
	}
	if rng.IntN(4) == 0 {
		c.Separator = pick(";", "", "-")
		text += fmt.Sprintf("  separator: '%s'\n", c.Separator)
	}
	if rng.IntN(3) == 0 {
		c.Replacement = pick("$1", "new_$1", "", "${2}z", "plain", "m_$0")
		text += fmt.Sprintf("  replacement: '%s'\n", c.Replacement)
	}
	if action == "hashmod" || rng.IntN(40) == 0 {
		c.Modulus = uint64(1 + rng.IntN(7))
		text += fmt.Sprintf("  modulus: %d\n", c.Modulus)
	}
	return c, text
}
