package host

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/sidecar-kit/sidecar/internal/exit"
)

// Other is a command of another package that is no role: it reads its own words,
// and has no settings, no log and no admin endpoint.
type Other struct {
	Name, Usage, Args, Doc string
	Hidden                 bool // not in the list of commands

	// Run does the work until ctx ends, which it does at the first signal. A
	// code beside a nil error is passed on without a word.
	Run func(ctx context.Context, words []string, stdout, stderr io.Writer) (code int, err error)
}

func (o Other) command() *cli.Command {
	return &cli.Command{
		Name: o.Name, Usage: o.Usage, Description: o.Doc, ArgsUsage: o.Args, Category: "built in", Hidden: o.Hidden,
		HideHelpCommand: true, SkipFlagParsing: true,
		Action: func(cctx *cli.Context) error {
			words := cctx.Args().Slice()
			if len(words) > 0 && words[0] == "--help" {
				cli.HelpPrinter(cctx.App.Writer, cli.CommandHelpTemplate, cctx.Command)
				return nil
			}
			return signalsOf(cctx).until(cctx.Context, func(ctx context.Context) error {
				code, err := o.Run(ctx, words, cctx.App.Writer, cctx.App.ErrWriter)
				switch {
				case err != nil && exit.Code(err) == exit.Usage:
					return usage(errors.Unwrap(err), "sidecar "+o.Name)
				case err != nil:
					return err
				case code != 0:
					return &exit.Error{Code: code, Err: &answerError{text: fmt.Sprintf("exit status %d", code), shown: true}}
				}
				return nil
			})
		},
	}
}

func others(list []Other) []*cli.Command {
	var out []*cli.Command
	for _, o := range list {
		out = append(out, o.command())
	}
	return out
}
