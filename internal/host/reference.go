package host

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/rs/zerolog"
	"github.com/urfave/cli/v2"

	"github.com/sidecar-kit/sidecar/internal/health"
	"github.com/sidecar-kit/sidecar/internal/meter"
	"github.com/sidecar-kit/sidecar/internal/role"
)

// Reference renders the tables of flags and metrics of a role as Markdown, for
// its page under docs/roles. The role is made with args, the least that is
// valid, because a role registers its metrics when it is made.
func Reference(cmd *cli.Command, args []string) (flags, metrics string, err error) {
	c := of(cmd)
	flags = c.flagTable()
	given, positional, err := parse(c.options, args)
	if err != nil {
		return "", "", err
	}
	if len(positional) > 0 {
		return "", "", fmt.Errorf("unexpected argument %q", positional[0])
	}
	if err := c.resolve(given, []string{c.spec.Name}); err != nil {
		return "", "", err
	}
	registry := new(meter.Registry)
	hangup := make(chan struct{})
	_, err = c.spec.New(role.Env{
		Log: zerolog.Nop(), Metrics: registry, Health: &health.Set{}, Stdout: io.Discard,
		Drain: c.common.drain, Handle: func(string, http.Handler) {}, Hangup: hangup,
	})
	if err != nil {
		return "", "", err
	}
	return flags, metricTable(registry), nil
}

// Tables renders what only some roles have: "flags:NAME" for each command of the
// role, "keys" for its keys of the config file.
func Tables(cmd *cli.Command) map[string]string {
	c := of(cmd)
	tables := map[string]string{}
	for _, sub := range c.subs {
		var b strings.Builder
		b.WriteString("| flag | default | what it does |\n|---|---|---|\n")
		for _, f := range sub.Flags {
			o := f.(*option)
			var also []string
			for _, n := range o.names {
				also = append(also, "`"+dashed(n)+"`")
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", strings.Join(also, ", "), cell(code(o.def)), cell(o.usage))
		}
		tables["flags:"+sub.Name] = b.String()
	}
	if len(c.spec.Keys) > 0 {
		var b strings.Builder
		for _, k := range c.spec.Keys {
			fmt.Fprintf(&b, "`%s`: %s\n\n```yaml\n%s\n```\n", k.Name, k.Usage, strings.TrimSuffix(k.Example, "\n"))
		}
		tables["keys"] = b.String()
	}
	return tables
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}

func (c *command) flagTable() string {
	var b strings.Builder
	b.WriteString("| flag | environment | default | what it does | compatibility names |\n|---|---|---|---|---|\n")
	for _, o := range c.options {
		def := code(o.def)
		name := "`" + dashed(o.name()) + "`"
		if o.hidden {
			name += " (compatibility only)"
		}
		var compat []string
		for _, n := range o.names[1:] {
			compat = append(compat, "`"+dashed(n)+"`")
		}
		env := ""
		for i, n := range o.envs {
			if i == 0 {
				env = "`" + n + "`"
				continue
			}
			compat = append(compat, "`"+n+"`")
		}
		for _, n := range slices.Sorted(maps.Keys(o.also)) {
			compat = append(compat, strings.TrimSpace("`"+dashed(n)+"` "+o.also[n].meaning()))
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", name, env, cell(def), cell(o.usage), strings.Join(compat, " "))
	}
	return b.String()
}

func cell(s string) string { return strings.NewReplacer("|", `\|`, "\n", " ").Replace(s) }

// metricTable renders what a role registered.
func metricTable(r *meter.Registry) string {
	var b strings.Builder
	b.WriteString("| metric | type | labels | meaning |\n|---|---|---|---|\n")
	for _, d := range r.Describe() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", d.Name, d.Kind, strings.Join(d.Labels, ", "), cell(d.Help))
	}
	return b.String()
}
