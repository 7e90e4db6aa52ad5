package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/sidecar-kit/sidecar/internal/exit"
)

// command is a role as a command: its Spec and every option, the role's first.
type command struct {
	spec    Spec
	common  common
	options []*option
	subs    []*cli.Command
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
		Description:     spec.Doc + subHelp(spec) + keyHelp(spec.Keys),
		ArgsUsage:       spec.Args,
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
	for _, o := range c.adopt(spec.Legacy) {
		c.options = append(c.options, o)
		cmd.Flags = append(cmd.Flags, o)
	}
	for _, s := range spec.Commands {
		c.subs = append(c.subs, s.command(spec.Name))
	}
	c.refuseDoubles()
	return cmd
}

// refuseDoubles finds two flags with one name or one variable: a mistake of the
// programmer that would otherwise let the second one win in silence.
func (c *command) refuseDoubles() {
	seen := map[string]bool{}
	for _, o := range c.options {
		for _, n := range slices.Concat(o.names, o.envs, slices.Collect(maps.Keys(o.also))) {
			if seen[n] {
				panic(fmt.Sprintf("host: role %s has two flags called %s", c.spec.Name, n))
			}
			seen[n] = true
		}
	}
	for _, k := range c.spec.Keys {
		if seen[k.Name] || k.Decode == nil {
			panic(fmt.Sprintf("host: role %s: the key %s is also a flag or has no Decode", c.spec.Name, k.Name))
		}
		seen[k.Name] = true
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
	path, args, help := "sidecar "+c.spec.Name, cctx.Args().Slice(), cctx.Command
	with := c.described(cctx.Args().First())
	if sub := c.sub(cctx.Args().First()); sub != nil && with == nil {
		return runSub(cctx, sub)
	} else if with != nil {
		path, args, help = path+" "+with.Name, args[1:], sub
	}
	own := c.own(with)
	flags, positional, err := parse(slices.Concat(c.options, own), args)
	if errors.Is(err, errHelp) {
		cli.HelpPrinter(cctx.App.Writer, cli.CommandHelpTemplate, help)
		return nil
	}
	if err == nil {
		err = assignOwn(own, flags)
	}
	if err == nil && len(positional) > 0 {
		err = c.place(flags, positional)
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
	if _, ofKeys := errors.AsType[keyError](err); (err == nil || ofKeys) && c.spec.Check != nil {
		err = errors.Join(err, c.spec.Check())
	}
	if c.common.check && c.spec.Strict != nil {
		err = errors.Join(err, c.spec.Strict())
	}
	if err != nil {
		return usage(err, path)
	}
	if with != nil {
		return signalsOf(cctx).until(cctx.Context, func(ctx context.Context) error { return with.Run(ctx, cctx.App.Writer, positional) })
	}
	if c.common.check {
		_, err := io.WriteString(cctx.App.Writer, "ok\n")
		return err
	}
	return c.serve(cctx)
}

// own are the flags that a command has beside those of the role.
func (c *command) own(with *Sub) (own []*option) {
	if with == nil {
		return nil
	}
	for _, f := range with.Flags {
		own = append(own, newOption(c, f))
	}
	return own
}

// assignOwn takes the flags of a command out of what was given, and sets them.
func assignOwn(own []*option, flags map[*option]given) error {
	var errs []error
	for _, o := range own {
		if g, ok := flags[o]; ok {
			delete(flags, o)
			errs = append(errs, o.assign(g.values, g.from))
		}
	}
	return errors.Join(errs...)
}

// place adds the arguments that follow the flags to what the flags say.
func (c *command) place(flags map[*option]given, positional []string) error {
	if c.spec.Place == nil {
		return fmt.Errorf("unexpected argument %q: %s takes flags only", positional[0], c.spec.Name)
	}
	values, err := c.spec.Place(positional)
	if err != nil {
		return err
	}
	for _, o := range c.options {
		v, ok := values[o.name()]
		if !ok {
			continue
		}
		if _, twice := flags[o]; twice {
			return fmt.Errorf("--%s and the arguments %s %s say the same thing: leave one out", o.name(), c.spec.Name, c.spec.Args)
		}
		flags[o] = given{v, origin{fromFlag, "argument"}}
	}
	return nil
}

// Finite tells whether the role of a command ends by itself when its work is done.
func Finite(cmd *cli.Command) bool { return of(cmd) != nil && of(cmd).spec.Finite }

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
