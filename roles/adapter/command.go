package adapter

import (
	"github.com/urfave/cli/v2"

	"github.com/sidecar-kit/sidecar/internal/host"
	"github.com/sidecar-kit/sidecar/internal/role"
)

const doc = `Turns what an application says about itself into what the monitoring system knows, and looks at what no endpoint tells:
  sidecar adapter --from http://127.0.0.1:8080/metrics --serve /healthz:json

--from is an address and, after a colon, its format if it does not say so itself; --serve is a path and the format that is wanted there. Several
--from are merged into every --serve. Everything else is in the config file: sources, views and checks.
docs/roles/adapter.md lists formats, presets, keys and what each pair of formats cannot carry.

On SIGTERM it answers what is in flight, reads what was sent to it, pushes the last of it and exits 0.`

const sourcesExample = `sources:
  app: {url: "http://127.0.0.1:8080/metrics", timeout: 2s}
  stats:
    url: http://127.0.0.1:9090/api/stats
    format: json
    map:
      - {each: ".pools[]", name: app_pool_size, value: .size, labels: {pool: .name}}
  web: {url: "http://127.0.0.1:8081/stub_status", format: nginx}
  pushed: {listen: "udp://127.0.0.1:8125", format: statsd, ttl: 10m}`

const viewsExample = `views:
  /metrics:
    from: [app, stats, web, pushed]
    on-conflict: label
    relabel:
      - {source_labels: [__name__], regex: go_.*, action: drop}
  /healthz: {from: app, format: json, template: nested}`

const checksExample = `checks:
  db:
    mysql: {dsn-file: /secrets/dsn, query: "SELECT count(*) FROM jobs WHERE stuck", expect: ". < 10"}
    every: 10s
  errors:
    metric: {source: app, metric: 'http_requests_total{code=~"5.."}', of: http_requests_total, rate: 1m, above: 0.05, for: 1m}
  disk: {file: {path: /data/heartbeat, max-age: 60s}, groups: [live]}`

// Command returns the adapter role.
func Command() *cli.Command {
	cfg := Default()
	sources := &host.Key{Name: "sources", Usage: "what is asked and what is listened to, by name", Example: sourcesExample, Decode: cfg.setSources}
	views := &host.Key{Name: "views", Usage: "what is served and what is pushed, by path", Example: viewsExample, Decode: cfg.setViews}
	checks := &host.Key{Name: "checks", Usage: "what is looked at, by name", Example: checksExample, Decode: cfg.setChecks}
	sources.Show = func() any { return showNode(cfg.sourcesNode) }
	views.Show = func() any { return showNode(cfg.viewsNode) }
	checks.Show = func() any { return showNode(cfg.checksNode) }
	cfg.file, cfg.later = sources.File, sources.Waiting
	cfg.reread = func() error {
		for _, k := range []*host.Key{sources, views, checks} {
			if err := k.Reread(); err != nil {
				return err
			}
		}
		return nil
	}
	preview := trial{cfg: &cfg}
	once := render{cfg: &cfg}
	return host.Command(host.Spec{
		Name:  "adapter",
		Usage: "serve an application's metrics in another format, and its health",
		Doc:   doc,
		Admin: ":9444",
		Flags: flags(&cfg),
		Keys:  []*host.Key{sources, views, checks},
		Args:  "[FILE]",
		Place: func(args []string) (map[string][]string, error) { return placeFile(args) },
		Commands: []host.Sub{
			{
				Name: "test", Settings: true, Usage: "show what a view makes of a file", Flags: preview.flags(), Run: preview.run,
				Doc: "It takes the flags of adapter beside its own; nobody is asked. Exits 0, 1 when the result is not what --expect has, 64 when the configuration is wrong.",
			},
			{
				Name: "render", Settings: true, Usage: "ask the sources once and print a view", Flags: once.flags(), Run: once.run,
				Doc: "It takes the flags of adapter beside its own. Exits 0, or 1 when a source gave nothing that can be used.",
			},
		},
		Check: cfg.Validate,
		New:   func(env role.Env) (role.Runner, error) { return New(&cfg, env) },
		Demo:  demo,
	})
}

func flags(c *Config) []cli.Flag {
	list := func(target *[]string, name, usage string) cli.Flag {
		return &cli.GenericFlag{Name: name, Value: host.Strings(target), Usage: usage}
	}
	word := func(target *string, name, usage string) cli.Flag {
		return &cli.StringFlag{Name: name, Destination: target, Usage: usage}
	}
	return []cli.Flag{
		list(&c.From, "from", "`URL[:FORMAT]` of what the application says: http://, https://, http+unix://%2FSOCKET/PATH, file:///PATH, redis://HOST:PORT, or udp://, tcp://, unixgram://, unix:// to listen for StatsD and others; NAME= may stand before it. May be repeated"),
		list(&c.Serve, "serve", "`PATH[:FORMAT]` to serve that at, such as /metrics or /healthz:json; may be repeated"),
		word(&c.Listen, "listen", "`ADDRESS` that views and health are served at"),
		word(&c.WebConfig, "web-config", "`FILE` with TLS, users, tokens and allowed addresses for --listen, in the format of Prometheus' exporters"),
		&cli.DurationFlag{Name: "timeout", Destination: &c.Timeout, Usage: "most time of an answer; a scraper's X-Prometheus-Scrape-Timeout-Seconds makes it shorter"},
		&cli.DurationFlag{Name: "timeout-offset", Destination: &c.Offset, Usage: "time taken off what a scraper says, so that the answer reaches it in time"},
		&cli.IntFlag{Name: "max-requests", Destination: &c.MaxRequests, Usage: "most requests that are answered at once, probes aside; others get 503"},
		word(&c.Compat, "compat", "`KIND` of another program's config file, which is read as it is: json_exporter, statsd_exporter or blackbox_exporter; FILE follows all flags, or =FILE the kind"),
		word(&c.CompatFile, "compat-file", "`FILE` of --compat"),
		word(&c.Module, "module", "`NAME` of the module of --compat json_exporter that --from is read by; default without it"),
		list(&c.ProbeAllow, "probe-allow", "`TARGET` that /probe of --compat may be asked about: HOST, HOST:PORT, *.DOMAIN, a network such as 10.1.0.0/16, or unix:///PATH; without any there is no /probe. May be repeated"),
	}
}

func (t *trial) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "in", Destination: &t.in, Usage: "`FILE` that the source answers with; - is the standard input"},
		&cli.StringFlag{Name: "source", Destination: &t.source, Usage: "`NAME` of the source that answers; the first without it"},
		&cli.StringFlag{Name: "view", Destination: &t.view, Usage: "`PATH` of the view; the first without it"},
		&cli.StringFlag{Name: "accept", Destination: &t.accept, Usage: "`HEADER` Accept of the scraper"},
		&cli.StringFlag{Name: "expect", Destination: &t.expect, Usage: "`FILE` with what should come out; without it the result is printed"},
	}
}

func (r *render) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "view", Destination: &r.view, Usage: "`PATH` of the view; the first without it"},
		&cli.StringFlag{Name: "accept", Destination: &r.accept, Usage: "`HEADER` Accept of the scraper"},
	}
}
