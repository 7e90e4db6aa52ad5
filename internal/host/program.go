package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/sidecar-kit/sidecar/internal/exit"
	"github.com/sidecar-kit/sidecar/internal/suggest"
)

// Program is what main knows: the version it was linked with and its roles.
type Program struct {
	Version string
	Roles   []*cli.Command
	Others  []Other
	Stdout  io.Writer
	Stderr  io.Writer
}

// Run runs the command that args name. The error decides the exit code and is
// not yet printed, see Print.
func (p Program) Run(signals *Signals, args []string) error {
	app := &cli.App{
		Name:                      "sidecar",
		HelpName:                  "sidecar",
		Usage:                     "the helper containers of a pod in one binary",
		UsageText:                 "sidecar ROLE [flags]",
		Version:                   version(p.Version),
		HideVersion:               true, // its -v is the verbosity of a tool we replace; see the version command
		HideHelpCommand:           true, // it would swallow "help" and "h" as subcommands
		DisableSliceFlagSeparator: true,
		Commands:                  slices.Concat(p.Roles, builtins(), others(p.Others)),
		Writer:                    p.Stdout,
		ErrWriter:                 p.Stderr,
		ExitErrHandler:            func(*cli.Context, error) {}, // the library would call os.Exit
		OnUsageError: func(_ *cli.Context, err error, _ bool) error {
			return usage(err, "sidecar")
		},
		Action:   unknownRole,
		Metadata: map[string]any{"signals": signals},
	}
	return app.RunContext(context.Background(), args)
}

// signalsOf finds the handlers that main installed.
func signalsOf(cctx *cli.Context) *Signals { return cctx.App.Metadata["signals"].(*Signals) }

// unknownRole is reached when no command has the first argument's name.
func unknownRole(cctx *cli.Context) error {
	var names []string
	for _, cmd := range cctx.App.Commands {
		names = append(names, cmd.Name)
	}
	first := cctx.Args().First()
	if first == "" {
		return exit.Usagef("no role given\nhint: sidecar --help lists the roles (%s)", strings.Join(roleNames(cctx.App.Commands), ", "))
	}
	return exit.Usagef("unknown role %q%s\nhint: sidecar --help lists the roles", first, suggest.DidYouMean("", first, names))
}

// Print tells why the program ends: as a log line where a role had begun, in
// plain words before, and to the file the kubelet shows in the pod's status.
func Print(stderr io.Writer, err error) {
	if err == nil {
		return
	}
	var answer *answerError
	if errors.As(err, &answer) {
		if !answer.shown {
			_, _ = fmt.Fprintf(stderr, "sidecar: %s\n", err)
		}
		return
	}
	code := exit.Code(err)
	var begun *begunError
	if errors.As(err, &begun) {
		reason, hint, _ := strings.Cut(err.Error(), "\nhint: ")
		event := begun.log.Error().Int("code", code).Str("err", reason)
		if hint != "" {
			event = event.Str("hint", hint)
		}
		event.Msg("exiting")
	} else {
		_, _ = fmt.Fprintf(stderr, "sidecar: %s\n", err)
	}
	terminationLog(err)
}

// terminationLog writes the reason where the kubelet looks for it. Outside a
// pod the file does not exist, and it is not made.
func terminationLog(err error) {
	path, flags := "/dev/termination-log", os.O_WRONLY|os.O_TRUNC
	if p := os.Getenv("SIDECAR_TERMINATION_LOG"); p != "" {
		path, flags = p, flags|os.O_CREATE
	}
	f, openErr := os.OpenFile(path, flags, 0o644)
	if openErr != nil {
		return // nobody reads it
	}
	_, _ = fmt.Fprintln(f, err)
	_ = f.Close()
}
