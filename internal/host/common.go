package host

import (
	"time"

	"github.com/urfave/cli/v2"
)

// drainTime leaves five of the kubelet's thirty seconds of grace for the rest.
const drainTime = 25 * time.Second

// common holds the settings that every role has.
type common struct {
	config      string
	logLevel    string
	logFormat   string
	admin       string
	once        bool
	check       bool
	printConfig bool
	drain       time.Duration
	allowQuit   bool
}

func (c *common) flags(compat map[string]Compat) []cli.Flag {
	aliases := func(name string) []string { return compat[name].Flags }
	envs := func(name string) []string { return compat[name].Envs }
	text := func(name, usage string, target *string) cli.Flag {
		return &cli.StringFlag{Name: name, Usage: usage, Destination: target, Aliases: aliases(name), EnvVars: envs(name)}
	}
	word := func(name, usage string, target *string, words ...string) cli.Flag {
		return &cli.GenericFlag{Name: name, Usage: usage, Value: OneOf(target, words...), Aliases: aliases(name), EnvVars: envs(name)}
	}
	boolean := func(name, usage string, target *bool) cli.Flag {
		return &cli.BoolFlag{Name: name, Usage: usage, Destination: target, Aliases: aliases(name), EnvVars: envs(name)}
	}
	return []cli.Flag{
		text("config", "read settings from this YAML `FILE`; keys are flag names", &c.config),
		word("log-level", "log from this `LEVEL` up: debug, info, warn or error", &c.logLevel, "debug", "info", "warn", "error"),
		word("log-format", "log as json or text", &c.logFormat, "json", "text"),
		text("admin", "serve probes, metrics and the status page on this `ADDR`; empty turns them off", &c.admin),
		boolean("once", "do one pass and exit", &c.once),
		boolean("check", "check the settings and exit", &c.check),
		boolean("print-config", "print the effective settings as YAML and exit", &c.printConfig),
		&cli.DurationFlag{
			Name: "drain-timeout", Usage: "finish work in flight within this `TIME` when asked to stop", Destination: &c.drain,
			Aliases: aliases("drain-timeout"), EnvVars: envs("drain-timeout"),
		},
		boolean("allow-quit", "let POST /quit on the admin endpoint stop the process", &c.allowQuit),
	}
}
