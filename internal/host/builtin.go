package host

import (
	"errors"
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/sidecar-kit/sidecar/internal/exit"
	"github.com/sidecar-kit/sidecar/internal/suggest"
)

// builtins are the commands that are not roles.
func builtins() []*cli.Command {
	return []*cli.Command{probeCommand(), waitCommand(), quitCommand(), demoCommand(), versionCommand(), completionCommand()}
}

// builtin describes a command that is not a role. Its flags are read as a
// role's are, but from the command line only.
type builtin struct {
	name, usage, doc string
	parent           string // the role that it belongs to
	args             string // what it takes, for the help text
	least, most      int    // how many of them; most < 0 is any number
	program          bool   // takes another command line after --
	flags            []cli.Flag
	run              func(*cli.Context, call) error
}

// call is what a command line says beside the flags.
type call struct {
	args    []string
	program []string // after --; nil without it
}

func (b builtin) command() *cli.Command {
	owner := &command{spec: Spec{Name: b.name}}
	path := "sidecar " + b.name
	if b.parent != "" {
		path = "sidecar " + b.parent + " " + b.name
	}
	cmd := &cli.Command{
		Name: b.name, Usage: b.usage, Description: b.doc, ArgsUsage: b.args, Category: "built in",
		HideHelpCommand: true, SkipFlagParsing: true,
	}
	for _, f := range b.flags {
		o := newOption(owner, f)
		o.envs = nil
		owner.options = append(owner.options, o)
		cmd.Flags = append(cmd.Flags, o)
	}
	cmd.Action = func(cctx *cli.Context) error {
		found, args, after, err := parseDashes(owner.options, cctx.Args().Slice())
		if errors.Is(err, errHelp) {
			cli.HelpPrinter(cctx.App.Writer, cli.CommandHelpTemplate, cctx.Command)
			return nil
		}
		for _, o := range owner.options {
			if g, ok := found[o]; ok {
				err = errors.Join(err, o.assign(g.values, g.from))
			}
		}
		if !b.program {
			args, after = append(args, after...), nil
		}
		if err == nil {
			err = b.count(len(args), path)
		}
		if err != nil {
			return usage(err, path)
		}
		return b.run(cctx, call{args, after})
	}
	return cmd
}

func (b builtin) count(got int, path string) error {
	switch {
	case b.least == b.most && got != b.most:
		return fmt.Errorf("%s takes %d arguments, got %d: %s %s", b.name, b.most, got, path, b.args)
	case got < b.least:
		return fmt.Errorf("%s takes at least %d arguments, got %d: %s %s", b.name, b.least, got, path, b.args)
	case b.most >= 0 && got > b.most:
		return fmt.Errorf("%s takes at most %d arguments, got %d: %s %s", b.name, b.most, got, path, b.args)
	}
	return nil
}

// roleOf finds a role by name.
func roleOf(cctx *cli.Context, name string) (*command, error) {
	if cmd := cctx.App.Command(name); cmd != nil && of(cmd) != nil {
		return of(cmd), nil
	}
	return nil, exit.Usagef("unknown role %q%s\nhint: sidecar --help lists the roles",
		name, suggest.DidYouMean("", name, roleNames(cctx.App.Commands)))
}

func demoCommand() *cli.Command {
	return builtin{
		name: "demo", args: "ROLE", usage: "show a role at work, no configuration needed", least: 1, most: 1,
		run: func(cctx *cli.Context, in call) error {
			c, err := roleOf(cctx, in.args[0])
			if err != nil {
				return err
			}
			if c.spec.Demo == nil {
				return exit.Usagef("%s has no demo", c.spec.Name)
			}
			return signalsOf(cctx).until(cctx.Context, c.demo(cctx.App.Writer))
		},
	}.command()
}

func versionCommand() *cli.Command {
	var asJSON bool
	return builtin{
		name: "version", usage: "print the version",
		flags: []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "print an object for programs", Destination: &asJSON}},
		run: func(cctx *cli.Context, _ call) error {
			return printVersion(cctx.App.Writer, cctx.App.Version, asJSON)
		},
	}.command()
}

func completionCommand() *cli.Command {
	return builtin{
		name: "completion", args: "SHELL", usage: "print a completion script for bash, zsh or fish", least: 1, most: 1,
		run: func(cctx *cli.Context, in call) error {
			script, ok := completions()[in.args[0]]
			if !ok {
				return exit.Usagef("unknown shell %q\nhint: want one of bash, zsh, fish", in.args[0])
			}
			_, err := io.WriteString(cctx.App.Writer, script(cctx.App.Commands))
			return err
		},
	}.command()
}
