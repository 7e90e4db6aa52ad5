package proxy

import (
	"context"
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/sidecar-kit/sidecar/internal/exit"
	"github.com/sidecar-kit/sidecar/internal/host"
	"github.com/sidecar-kit/sidecar/internal/role"
	"github.com/sidecar-kit/sidecar/roles/proxy/route"
)

const doc = `Takes connections in and carries them on: HTTPS in front of an application that speaks plain HTTP, TLS to a database that
the application reaches at a local port, and anything between two addresses.

A route is LISTEN => UPSTREAM, both with options as a query; docs/roles/proxy.md lists them:
  https://:8443?cert=/tls => http://127.0.0.1:8080
  orders=tcp://127.0.0.1:3306 => tls://db1.example:3306?ca=/ca.pem&starttls=mysql
  unix:///s/pg.sock?mode=0660 => tls://pg:5432?starttls=postgres
  tls://:6380?cert=/tls => tcp://127.0.0.1:6379
  http://:8080?redirect=https

After SIGTERM it goes on as long as somebody may need it (--quiet, --follow), then lets what is under way end, and exits 0.`

const routesExample = `routes:
  - name: web
    listen: https://:8443
    cert: /tls
    upstream: http://127.0.0.1:8080
    set-header: {X-Tenant: blue}
  - orders=tcp://127.0.0.1:3306 => cluster:db1`

const clustersExample = `clusters:
  - name: db1
    upstream: tls://db1.example:3306
    ca: /ca.pem
    starttls: mysql`

// Command returns the proxy role.
func Command() *cli.Command {
	cfg := Default()
	routes := &host.Key{Name: "routes", Usage: "routes beside those of --route, with the same options as keys", Example: routesExample, Decode: cfg.setRoutes, Show: func() any { return showNode(cfg.drafts.routesNode) }}
	clusters := &host.Key{Name: "clusters", Usage: "upstreams that routes and --instances name", Example: clustersExample, Decode: cfg.setClusters, Show: func() any { return showNode(cfg.drafts.clustersNode) }}
	cfg.file, cfg.waiting = routes.File, routes.Waiting
	cfg.reread = func() error {
		if err := clusters.Reread(); err != nil {
			return err
		}
		return routes.Reread()
	}
	return host.Command(host.Spec{
		Name:  "proxy",
		Usage: "end TLS for an application, and carry connections to databases",
		Doc:   doc,
		Admin: ":9443",
		Args:  "[ROUTE...]",
		Place: func(args []string) (map[string][]string, error) { return map[string][]string{"route": args}, nil },
		Flags: flags(&cfg),
		Keys:  []*host.Key{routes, clusters},
		Commands: []host.Sub{
			{Name: "check", Settings: true, Usage: "tell all that is wrong with the routes, their files and their ports", Doc: "It takes the flags of proxy. Nothing is connected to. Exits 0 or 64.", Run: cfg.check},
			{Name: "dial", Settings: true, Usage: "connect to every upstream as a route does, and tell which step fails", Doc: "It takes the flags of proxy. Exits 0, or 1 when one cannot be reached.", Run: cfg.try},
			{Name: "config", Settings: true, Usage: "print the routes in force, with all options, as a config file", Doc: "It takes the flags of proxy.", Run: cfg.print},
		},
		Check:  cfg.Validate,
		Strict: cfg.Strict,
		New:    func(env role.Env) (role.Runner, error) { return New(&cfg, env) },
		Demo:   demo,
	})
}

func flags(c *Config) []cli.Flag {
	routes := host.Strings(&c.Routes)
	routes.Show, routes.EnvSep = route.Mask, "\n"
	instances := host.Strings(&c.Instances)
	return []cli.Flag{
		&cli.GenericFlag{Name: "route", Value: routes, Usage: "`LISTEN => UPSTREAM`, each with options as a query; may be repeated. In the environment one a line"},
		&cli.GenericFlag{Name: "instances", Value: instances, Usage: "`NAME=tcp:ADDRESS:PORT`, NAME=tcp:PORT or NAME=unix:PATH, several with commas between them, as the Cloud SQL proxy takes it; NAME is a cluster of the config file"},
		&cli.GenericFlag{Name: "default", Value: host.Strings(&c.Defaults), Usage: "`KEY=VALUE` of every route that does not say otherwise, such as log=errors; may be repeated"},
		&cli.GenericFlag{Name: "engine", Value: host.OneOf(&c.Engine, "own", "std"), Usage: "what treats HTTP/1.1: own, or std (Go's net/http) to fall back to"},
		&cli.DurationFlag{Name: "quiet", Destination: &c.Quiet, Usage: "after SIGTERM, take new connections until none was asked for in this time; there may be more as long as addresses of the pod are known"},
		&cli.GenericFlag{Name: "follow", Value: host.Strings(&c.Follow), Usage: "after SIGTERM, go on until the application is gone: `tcp:PORT` refuses, the process of pid:FILE ended, file:PATH is no more; may be repeated"},
		&cli.GenericFlag{Name: "ready-requires", Value: host.Strings(&c.Requires), Usage: "`NAME` of a route or cluster whose upstream has to take connections for /readyz to be true; without it no upstream is asked. May be repeated"},
	}
}

// check is what --check does, and tries the ports, too.
func (c *Config) check(_ context.Context, stdout io.Writer, args []string) error {
	t, err := c.table()
	if err != nil {
		return err
	}
	if err := c.Strict(); err != nil {
		return exit.Usagef("%w", err)
	}
	if errs := tryPorts(t); len(errs) > 0 {
		text := ""
		for _, err := range errs {
			text += err.Error() + "\n"
		}
		return exit.Usagef("%shint: stop what has a port, or choose another one", text)
	}
	for _, w := range c.warnings(t) {
		if _, err := fmt.Fprintf(stdout, "warning: %s\n", w); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(stdout, "ok: %d routes, %d listeners, %d upstreams\n", len(t.Routes), len(t.Listeners), len(t.Clusters))
	return err
}

func (c *Config) print(_ context.Context, stdout io.Writer, _ []string) error {
	t, err := c.table()
	if err != nil {
		return err
	}
	return printTable(stdout, t)
}
