package host

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/urfave/cli/v2"

	"github.com/sidecar-kit/sidecar/internal/health"
	"github.com/sidecar-kit/sidecar/internal/role"
)

// Reference renders the tables of flags and metrics of a role as Markdown, for
// its page under docs/roles. The role is made with args, the least that is
// valid, because a role registers its metrics when it is made.
func Reference(cmd *cli.Command, args []string) (flags, metrics string, err error) {
	c := of(cmd)
	flags = c.flagTable()
	given, positional, err := parse(c.options, args)
	if err != nil || len(positional) > 0 {
		return "", "", fmt.Errorf("arguments of %s: %q: %w", c.spec.Name, positional, err)
	}
	if err := c.resolve(given, []string{c.spec.Name}); err != nil {
		return "", "", err
	}
	recorder := &recorder{Registry: prometheus.NewRegistry()}
	hangup := make(chan struct{})
	_, err = c.spec.New(role.Env{
		Log: zerolog.Nop(), Metrics: recorder, Health: &health.Set{}, Stdout: io.Discard,
		Drain: c.common.drain, Handle: func(string, http.Handler) {}, Hangup: hangup,
	})
	if err != nil {
		return "", "", err
	}
	metrics, err = recorder.table()
	return flags, metrics, err
}

func (c *command) flagTable() string {
	var b strings.Builder
	b.WriteString("| flag | environment | default | what it does | compatibility names |\n|---|---|---|---|---|\n")
	for _, o := range c.options {
		def := "`" + o.def + "`"
		if o.def == "" {
			def = ""
		}
		name := "`--" + o.name() + "`"
		if o.hidden {
			name += " (compatibility only)"
		}
		var compat []string
		for _, n := range o.names[1:] {
			compat = append(compat, "`"+dashed(n)+"`")
		}
		for _, n := range o.envs[1:] {
			compat = append(compat, "`"+n+"`")
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s | %s |\n", name, o.envs[0], cell(def), cell(o.usage), strings.Join(compat, " "))
	}
	return b.String()
}

func cell(s string) string { return strings.NewReplacer("|", `\|`, "\n", " ").Replace(s) }

// recorder keeps what a role registers, because a registry can tell only of
// metrics that have a value already.
type recorder struct {
	*prometheus.Registry
	collectors []prometheus.Collector
}

func (r *recorder) Register(c prometheus.Collector) error {
	r.collectors = append(r.collectors, c)
	return r.Registry.Register(c)
}

func (r *recorder) MustRegister(cs ...prometheus.Collector) {
	for _, c := range cs {
		if err := r.Register(c); err != nil {
			panic(err)
		}
	}
}

func (r *recorder) table() (string, error) {
	var rows []string
	for _, c := range r.collectors {
		for _, d := range describe(c) {
			m, err := parseDesc(d.String())
			if err != nil {
				return "", err
			}
			rows = append(rows, fmt.Sprintf("| `%s` | %s | %s | %s |", m.name, kind(c, m.name), m.labels, cell(m.help)))
		}
	}
	slices.Sort(rows)
	return "| metric | type | labels | meaning |\n|---|---|---|---|\n" + strings.Join(slices.Compact(rows), "\n") + "\n", nil
}

func describe(c prometheus.Collector) []*prometheus.Desc {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ch := make(chan *prometheus.Desc)
	go func() {
		defer close(ch)
		c.Describe(ch)
	}()
	var descs []*prometheus.Desc
	for {
		select {
		case d, ok := <-ch:
			if !ok {
				return descs
			}
			descs = append(descs, d)
		case <-ctx.Done():
			return descs
		}
	}
}
