package host

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
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
	if err != nil {
		return "", "", err
	}
	if len(positional) > 0 {
		return "", "", fmt.Errorf("unexpected argument %q", positional[0])
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

// described is what a collector's description tells.
var described = regexp.MustCompile(`fqName: ("(?:[^"\\]|\\.)*"), help: ("(?:[^"\\]|\\.)*"),.* variableLabels: \{(.*)\}\}$`)

func (r *recorder) table() (string, error) {
	families, err := r.Gather()
	if err != nil {
		return "", err
	}
	kinds := map[string]string{}
	for _, f := range families {
		kinds[f.GetName()] = strings.ToLower(f.GetType().String())
	}
	var rows []string
	for _, c := range r.collectors {
		for _, d := range describe(c) {
			m := described.FindStringSubmatch(d.String())
			if m == nil {
				return "", fmt.Errorf("cannot read the description %s", d)
			}
			name, nameErr := strconv.Unquote(m[1])
			help, helpErr := strconv.Unquote(m[2])
			if err := errors.Join(nameErr, helpErr); err != nil {
				return "", fmt.Errorf("cannot read the description %s: %w", d, err)
			}
			kind := kinds[name]
			if kind == "" {
				kind = kindOf(c, name)
			}
			rows = append(rows, fmt.Sprintf("| `%s` | %s | %s | %s |",
				name, kind, strings.ReplaceAll(m[3], ",", ", "), cell(help)))
		}
	}
	slices.Sort(rows)
	return "| metric | type | labels | meaning |\n|---|---|---|---|\n" + strings.Join(slices.Compact(rows), "\n") + "\n", nil
}

// kindOf is for collectors without a value yet.
func kindOf(c prometheus.Collector, name string) string {
	switch c.(type) {
	case *prometheus.CounterVec:
		return "counter"
	case *prometheus.GaugeVec:
		return "gauge"
	case *prometheus.HistogramVec:
		return "histogram"
	case *prometheus.SummaryVec:
		return "summary"
	}
	if strings.HasSuffix(name, "_total") {
		return "counter"
	}
	return "gauge"
}

func describe(c prometheus.Collector) []*prometheus.Desc {
	ch := make(chan *prometheus.Desc)
	go func() {
		defer close(ch)
		c.Describe(ch)
	}()
	var descs []*prometheus.Desc
	for d := range ch {
		descs = append(descs, d)
	}
	return descs
}
