package host

import (
	"context"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// Sub is a command of a role, such as "sidecar cron next FILE". It is known only
// as the first argument after the role; a file of that name is written ./next.
// Its flags are read from the command line alone.
type Sub struct {
	Name, Usage, Doc string
	Args             string // what it takes, for the help text
	Least, Most      int    // how many of them; Most < 0 is any number
	Flags            []cli.Flag

	// Settings says that it takes the flags of the role, and its file and environment, beside flags of its own. They are
	// in place and checked when Run is called.
	Settings bool

	// Run does it. ctx ends with a signal. An error that is misuse is made by exit.Usagef.
	Run func(ctx context.Context, stdout io.Writer, args []string) error
}

func (s Sub) command(role string) *cli.Command {
	cmd := builtin{
		name: s.Name, parent: role, usage: s.Usage, doc: s.Doc, args: s.Args, least: s.Least, most: s.Most, flags: s.Flags,
		run: func(cctx *cli.Context, in call) error {
			return signalsOf(cctx).until(cctx.Context, func(ctx context.Context) error {
				return s.Run(ctx, cctx.App.Writer, in.args)
			})
		},
	}.command()
	cmd.Category, cmd.HelpName = "", "sidecar "+role+" "+s.Name
	return cmd
}

// sub finds a command of the role.
func (c *command) sub(name string) *cli.Command {
	i := slices.IndexFunc(c.subs, func(s *cli.Command) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return c.subs[i]
}

// described finds what the Spec says of a command that takes the role's settings.
func (c *command) described(name string) *Sub {
	i := slices.IndexFunc(c.spec.Commands, func(s Sub) bool { return s.Settings && s.Name == name })
	if i < 0 {
		return nil
	}
	return &c.spec.Commands[i]
}

// runSub hands the arguments after the command's name over.
func runSub(cctx *cli.Context, sub *cli.Command) error {
	set := flag.NewFlagSet("", flag.ContinueOnError)
	if err := set.Parse(append([]string{"--"}, cctx.Args().Tail()...)); err != nil {
		return err
	}
	within := cli.NewContext(cctx.App, set, cctx)
	within.Command = sub
	return sub.Action(within)
}

// subHelp is the part of the long help that tells of the commands.
func subHelp(spec Spec) string {
	var b strings.Builder
	for i, s := range spec.Commands {
		if i == 0 {
			b.WriteString("\n\nCommands, which come right after " + spec.Name + ":\n")
		}
		fmt.Fprintf(&b, "\n  sidecar %s %s: %s", spec.Name, strings.TrimSpace(s.Name+" "+s.Args), s.Usage)
	}
	return b.String()
}
