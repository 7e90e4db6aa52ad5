package host

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/sidecar-kit/sidecar/internal/exit"
	"github.com/sidecar-kit/sidecar/internal/probe"
	"github.com/sidecar-kit/sidecar/internal/suggest"
)

// answerError is the end of a probe that says no. It is not written to the
// termination log: an exec probe runs in the container of another program, and its
// answer is not why that program ends.
type answerError struct {
	text  string
	shown bool // on stdout already
}

func (e *answerError) Error() string { return e.text }

func probeCommand() *cli.Command {
	var addr string
	var asJSON bool
	timeout := time.Second
	return builtin{
		name: "probe", args: "URL|ROLE", usage: "check a URL once, or ask a running role whether it is ready (exit 0 or 1)",
		doc: "A URL is one of these; a HOST:PORT alone means tcp. What is expected follows as\n#NAME=VALUE&NAME=VALUE (docs/probe.md), with these names:\n\n" +
			strings.Join(probe.Manual(), "\n"),
		least: 1, most: 1,
		flags: []cli.Flag{
			&cli.StringFlag{Name: "admin", Usage: "ask this `ADDR` instead of the role's", Destination: &addr},
			&cli.DurationFlag{Name: "timeout", Usage: "give up after this `TIME`", Destination: &timeout},
			&cli.BoolFlag{Name: "json", Usage: "print an object for programs (URL only)", Destination: &asJSON},
		},
		run: func(cctx *cli.Context, in call) error {
			if timeout <= 0 {
				return exit.Usagef("--timeout %s: want more than 0s", timeout)
			}
			return signalsOf(cctx).until(cctx.Context, func(ctx context.Context) error {
				ctx, cancel := context.WithTimeout(ctx, timeout)
				defer cancel()
				isRole := slices.Contains(roleNames(cctx.App.Commands), in.args[0]) || !strings.ContainsAny(in.args[0], ":/")
				switch {
				case isRole && asJSON:
					return exit.Usagef("--json: a role is asked in words, want a URL with it")
				case isRole && cctx.App.Command(in.args[0]) == nil:
					return exit.Usagef("%q is neither a URL (tcp://%s:PORT, http://%s/) nor a role%s\nhint: sidecar probe --help shows URLs, sidecar --help roles",
						in.args[0], in.args[0], in.args[0], suggest.DidYouMean("", in.args[0], roleNames(cctx.App.Commands)))
				case isRole:
					return probeRole(ctx, cctx, in.args[0], addr)
				case addr != "":
					return exit.Usagef("--admin: belongs to a role, the URL has an address of its own")
				}
				return probeURL(ctx, cctx, in.args[0], asJSON)
			})
		},
	}.command()
}

func probeURL(ctx context.Context, cctx *cli.Context, raw string, asJSON bool) error {
	check, err := probe.Parse(raw)
	if err != nil {
		return &exit.Error{Code: exit.Usage, Err: err}
	}
	result := check.Do(ctx)
	if asJSON {
		err = json.NewEncoder(cctx.App.Writer).Encode(result)
	} else if result.OK {
		_, err = fmt.Fprintln(cctx.App.Writer, result)
	}
	if err != nil || result.OK {
		return err
	}
	return &answerError{result.String(), asJSON}
}

func probeRole(ctx context.Context, cctx *cli.Context, name, addr string) error {
	addr, err := adminOf(cctx, name, addr)
	if err != nil {
		return err
	}
	if err := askReady(ctx, addr); err != nil {
		return &answerError{text: err.Error()}
	}
	_, err = fmt.Fprintf(cctx.App.Writer, "ok %s: %s is ready\n", addr, name)
	return err
}

// adminOf finds the admin address of a role that runs beside this process.
func adminOf(cctx *cli.Context, name, addr string) (string, error) {
	c, err := roleOf(cctx, name)
	if err != nil {
		return "", err
	}
	if addr == "" {
		// Environment and file as the role reads them; its other
		// settings may be wrong here and do not matter.
		_ = c.resolve(nil, roleNames(cctx.App.Commands))
		addr = c.common.admin
	}
	if addr == "" {
		return "", exit.Usagef("the admin endpoint of %s is off\nhint: name it with --admin HOST:PORT", c.spec.Name)
	}
	return addr, nil
}
