package host

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/sidecar-kit/sidecar/internal/exit"
)

// command is a role as a command: its Spec and every option, the role's first.
type command struct {
	spec    Spec
	common  common
	options []*option
}

// Command makes the command of a role.
func Command(spec Spec) *cli.Command {
	c := &command{spec: spec, common: common{
		logLevel: "info", logFormat: "json", admin: spec.Admin, drain: drainTime,
	}}
	hostFlags := c.common.flags(spec.Compat)
	cmd := &cli.Command{
		Name:            spec.Name,
		Usage:           spec.Usage,
		Description:     spec.Doc,
		HideHelpCommand: true,
		SkipFlagParsing: true, // parse does it, see option
		Action:          c.action,
	}
	for _, f := range slices.Concat(spec.Flags, hostFlags) {
		o := newOption(c, f)
		o.noFile = slices.Contains([]string{"config", "check", "print-config"}, o.name())
		c.options = append(c.options, o)
		cmd.Flags = append(cmd.Flags, o)
	}
	c.refuseDoubles()
	return cmd
}

// refuseDoubles finds two flags with one name or one variable: a mistake of the
// programmer that would otherwise let the second one win in silence.
func (c *command) refuseDoubles() {
	seen := map[string]bool{}
	for _, o := range c.options {
		for _, n := range slices.Concat(o.names, o.envs) {
			if seen[n] {
				panic(fmt.Sprintf("host: role %s has two flags called %s", c.spec.Name, n))
			}
			seen[n] = true
		}
	}
}

// of finds the command behind a role's cli.Command; nil for a built-in.
func of(cmd *cli.Command) *command {
	for _, f := range cmd.Flags {
		if o, ok := f.(*option); ok && o.owner.spec.New != nil {
			return o.owner
		}
	}
	return nil
}

func (c *command) configOption() *option {
	i := slices.IndexFunc(c.options, func(o *option) bool { return o.name() == "config" })
	return c.options[i]
}

func (c *command) action(cctx *cli.Context) error {
	path := "sidecar " + c.spec.Name
	flags, positional, err := parse(c.options, cctx.Args().Slice())
	if errors.Is(err, errHelp) {
		cli.HelpPrinter(cctx.App.Writer, cli.CommandHelpTemplate, cctx.Command)
		return nil
	}
	if err == nil && len(positional) > 0 {
		err = fmt.Errorf("unexpected argument %q: %s takes flags only", positional[0], c.spec.Name)
	}
	if err == nil {
		err = c.resolve(flags, roleNames(cctx.App.Commands))
	}
	if err == nil && c.common.drain <= 0 {
		err = fmt.Errorf("--drain-timeout %s: want more than 0s", c.common.drain)
	}
	if err == nil && c.common.printConfig {
		return c.printConfig(cctx.App.Writer)
	}
	if err == nil && c.spec.Check != nil {
		err = c.spec.Check()
	}
	if err != nil {
		return usage(err, path)
	}
	if c.common.check {
		_, err := io.WriteString(cctx.App.Writer, "ok\n")
		return err
	}
	return c.serve(cctx)
}

func roleNames(cmds []*cli.Command) []string {
	var names []string
	for _, cmd := range cmds {
		if of(cmd) != nil {
			names = append(names, cmd.Name)
		}
	}
	return names
}

// noOnce is the error of a role that has no single pass.
func noOnce(name string) error {
	return exit.Usagef("--once: %s has no single pass\nhint: leave the flag out and stop it with SIGTERM", name)
}
