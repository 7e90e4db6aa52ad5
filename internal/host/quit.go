package host

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/sidecar-kit/sidecar/internal/exit"
)

// quitCommand replaces curl in images without a shell: the last thing that a Job does.
func quitCommand() *cli.Command {
	var addr string
	timeout := 5 * time.Second
	return builtin{
		name: "quit", args: "ROLE", usage: "ask a running role to stop, as SIGTERM does; it needs --allow-quit",
		doc:   "A proxy that is stopping already waits for the application no longer.",
		least: 1, most: 1,
		flags: []cli.Flag{
			&cli.StringFlag{Name: "admin", Usage: "ask this `ADDR` instead of the role's", Destination: &addr},
			&cli.DurationFlag{Name: "timeout", Usage: "give up after this `TIME`", Destination: &timeout},
		},
		run: func(cctx *cli.Context, in call) error {
			if timeout <= 0 {
				return exit.Usagef("--timeout %s: want more than 0s", timeout)
			}
			at, err := adminOf(cctx, in.args[0], addr)
			if err != nil {
				return err
			}
			return signalsOf(cctx).until(cctx.Context, func(ctx context.Context) error {
				ctx, cancel := context.WithTimeout(ctx, timeout)
				defer cancel()
				return askQuit(ctx, at)
			})
		},
	}.command()
}

// askQuit asks /quit. The error is one line that says why not.
func askQuit(ctx context.Context, addr string) error {
	code, body, err := askAdmin(ctx, http.MethodPost, addr, "/quit")
	if err != nil {
		return &answerError{text: fmt.Sprintf("quit %s: %v", addr, err)}
	}
	if code != http.StatusOK {
		return &answerError{text: fmt.Sprintf("quit %s: %s", addr, strings.TrimSpace(body))}
	}
	return nil
}

// askAdmin sends a request to a role's admin endpoint.
func askAdmin(ctx context.Context, method, addr, path string) (int, string, error) {
	client, err := adminClient(addr)
	if err != nil {
		return 0, "", err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, http.NoBody)
	if err != nil {
		return 0, "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", rootCause(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, probeLimit))
	return resp.StatusCode, string(body), err
}
