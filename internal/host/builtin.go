package host

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/sidecar-kit/sidecar/internal/exit"
)

// builtins are the commands that are not roles.
func builtins() []*cli.Command {
	return []*cli.Command{probeCommand(), demoCommand(), versionCommand(), completionCommand()}
}

// builtin makes a command whose flags are read as a role's are, but from the
// command line only.
func builtin(name, args, usageLine string, flags []cli.Flag, run func(*cli.Context, []string) error) *cli.Command {
	owner := &command{spec: Spec{Name: name}}
	cmd := &cli.Command{
		Name: name, Usage: usageLine, ArgsUsage: args, Category: "built in",
		HideHelpCommand: true, SkipFlagParsing: true,
	}
	for _, f := range flags {
		o := newOption(owner, f)
		o.envs = nil
		owner.options = append(owner.options, o)
		cmd.Flags = append(cmd.Flags, o)
	}
	cmd.Action = func(cctx *cli.Context) error {
		found, positional, err := parse(owner.options, cctx.Args().Slice())
		if errors.Is(err, errHelp) {
			cli.HelpPrinter(cctx.App.Writer, cli.CommandHelpTemplate, cctx.Command)
			return nil
		}
		for o, g := range found {
			err = errors.Join(err, o.assign(g.values, g.from))
		}
		if want := len(strings.Fields(args)); err == nil && len(positional) != want {
			err = fmt.Errorf("%s takes %d arguments, got %d: sidecar %s %s", name, want, len(positional), name, args)
		}
		if err != nil {
			return usage(err, "sidecar "+name)
		}
		return run(cctx, positional)
	}
	return cmd
}

// roleOf finds a role by name.
func roleOf(cctx *cli.Context, name string) (*command, error) {
	if cmd := cctx.App.Command(name); cmd != nil && of(cmd) != nil {
		return of(cmd), nil
	}
	return nil, exit.Usagef("unknown role %q%s\nhint: sidecar --help lists the roles",
		name, didYouMean("", name, roleNames(cctx.App.Commands)))
}

func probeCommand() *cli.Command {
	var addr string
	timeout := time.Second
	flags := []cli.Flag{
		&cli.StringFlag{Name: "admin", Usage: "ask this `ADDR` instead of the role's", Destination: &addr},
		&cli.DurationFlag{Name: "timeout", Usage: "give up after this `TIME`", Destination: &timeout},
	}
	return builtin("probe", "ROLE", "ask a running role whether it is ready (exit 0 or 1)", flags,
		func(cctx *cli.Context, args []string) error {
			c, err := roleOf(cctx, args[0])
			if err != nil {
				return err
			}
			if addr == "" {
				// Environment and file as the role reads them; its other
				// settings may be wrong here and do not matter.
				_ = c.resolve(nil, roleNames(cctx.App.Commands))
				addr = c.common.admin
			}
			if addr == "" {
				return exit.Usagef("the admin endpoint of %s is off\nhint: name it with --admin HOST:PORT", c.spec.Name)
			}
			return probe(cctx.Context, addr, timeout)
		})
}

func demoCommand() *cli.Command {
	return builtin("demo", "ROLE", "show a role at work, no configuration needed", nil,
		func(cctx *cli.Context, args []string) error {
			c, err := roleOf(cctx, args[0])
			if err != nil {
				return err
			}
			if c.spec.Demo == nil {
				return exit.Usagef("%s has no demo", c.spec.Name)
			}
			return signalsOf(cctx).until(cctx.Context, c.demo(cctx.App.Writer))
		})
}

func versionCommand() *cli.Command {
	var asJSON bool
	flags := []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "print an object for programs", Destination: &asJSON}}
	return builtin("version", "", "print the version", flags, func(cctx *cli.Context, _ []string) error {
		return printVersion(cctx.App.Writer, cctx.App.Version, asJSON)
	})
}

func completionCommand() *cli.Command {
	return builtin("completion", "SHELL", "print a completion script for bash, zsh or fish", nil,
		func(cctx *cli.Context, args []string) error {
			script, ok := completions()[args[0]]
			if !ok {
				return exit.Usagef("unknown shell %q\nhint: want one of bash, zsh, fish", args[0])
			}
			_, err := io.WriteString(cctx.App.Writer, script(cctx.App.Commands))
			return err
		})
}
