package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"
	"go.yaml.in/yaml/v3"

	"github.com/sidecar-kit/sidecar/internal/host"
	"github.com/sidecar-kit/sidecar/internal/meter"
	"github.com/sidecar-kit/sidecar/internal/role"
	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/internal/strict"
)

// echo is the reference role of the contract. It exists in the tests only and
// can do everything wrong that a role can.
type echo struct {
	text     string
	words    []string
	keys     []string
	password secret.Value
	upstream secret.URL
	period   time.Duration
	stop     string
	greet    []string
	env      role.Env
}

// spell is the command of echo.
func (e *echo) spell() host.Sub {
	upper := false
	return host.Sub{
		Name: "spell", Usage: "say letters", Args: "WORD...", Least: 1, Most: 3,
		Flags: []cli.Flag{&cli.BoolFlag{Name: "upper", Aliases: []string{"u"}, Usage: "in capitals", Destination: &upper}},
		Run: func(ctx context.Context, stdout io.Writer, args []string) error {
			for _, word := range args {
				switch {
				case word == "wait":
					<-ctx.Done()
				case word == "secret":
					return errors.New("cannot say that")
				case upper:
					word = strings.ToUpper(word)
				}
				fmt.Fprintln(stdout, strings.Join(strings.Split(word, ""), "-"))
			}
			return nil
		},
	}
}

func (e *echo) decode(path string, n *yaml.Node) (err error) {
	e.greet, err = strict.Texts(path, n)
	return err
}

func echoCommand() *cli.Command {
	e := &echo{text: "hello", words: []string{"a", "b"}, period: time.Second, stop: "tidy"}
	keys := *host.Strings(&e.keys)
	keys.Secret = true
	return host.Command(host.Spec{
		Name: "echo", Usage: "say something", Admin: "127.0.0.1:9499",
		Doc: "Says its text and waits.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "text", Usage: "what to say", Destination: &e.text, Aliases: []string{"message"}, EnvVars: []string{"OLD_TEXT"}},
			&cli.GenericFlag{Name: "word", Usage: "a word; may be repeated", Value: host.Strings(&e.words)},
			&cli.GenericFlag{Name: "key", Usage: "a secret; may be repeated", Value: &keys},
			&cli.GenericFlag{Name: "password", Usage: "kept secret", Value: &e.password, EnvVars: []string{"OLD_PASSWORD"}},
			&cli.GenericFlag{Name: "upstream", Usage: "an address", Value: &e.upstream},
			&cli.DurationFlag{Name: "period", Usage: "how often", Destination: &e.period},
			&cli.GenericFlag{Name: "stop", Usage: "what to do when stopped", Value: host.OneOf(&e.stop, "tidy", "interrupted", "never", "fail", "panic")},
		},
		Compat: map[string]host.Compat{"once": {Flags: []string{"one-time"}, Envs: []string{"OLD_ONE_TIME"}}},
		Legacy: []host.Legacy{
			{Name: "json", Flag: "log-format", Value: "json"},
			{Name: "d", Flag: "log-level", Translate: func(n string) (string, error) {
				level, ok := map[string]string{"0": "debug", "8": "info"}[n]
				if !ok {
					return "", errors.New("want 0 or 8")
				}
				return level, nil
			}},
			{Name: "S", Ignored: "logs go to standard error"},
			{Name: "f", Ignored: "it always runs in the foreground"},
			{Name: "L", Ignored: "redirect standard error", Takes: true},
		},
		Keys:     []*host.Key{{Name: "greetings", Usage: "who is greeted", Example: "greetings:\n  - bob", Decode: e.decode}},
		Commands: []host.Sub{e.spell()},
		Signals:  func() []os.Signal { return []os.Signal{syscall.SIGUSR1} },
		Check: func() error {
			var errs []error
			if e.text == "" {
				errs = append(errs, errors.New("--text is empty, say what to say"))
			}
			if e.period <= 0 {
				errs = append(errs, fmt.Errorf("--period %s: want more than 0s", e.period))
			}
			return errors.Join(errs...)
		},
		New: func(env role.Env) (role.Runner, error) {
			if e.text == "broken" {
				return nil, errors.New("cannot say that")
			}
			e.env = env
			env.Handle("GET /echo", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, e.text) }))
			e.text = strings.Join(append([]string{e.text}, e.greet...), ", ")
			env.Status.Fact("text", e.text)
			env.Metrics.MustRegister(meter.NewCounters("sidecar_echo_words_total", "Words that were said.", "kind"))
			return e, nil
		},
		Demo: func(_ context.Context, stdout io.Writer) error {
			_, err := fmt.Fprintln(stdout, "echo demo")
			return err
		},
	})
}

func (e *echo) Once(context.Context) error {
	if e.stop == "fail" {
		return errors.New("said nothing")
	}
	_, err := fmt.Fprintln(e.env.Stdout, e.text, strings.Join(e.words, "|"), e.password.Reveal())
	return err
}

func (e *echo) Run(ctx context.Context) error {
	ready := e.env.Health.Check("said")
	if e.stop == "panic" {
		panic("echo was asked to")
	}
	if err := e.Once(ctx); err != nil {
		return err
	}
	ready.OK()
	for {
		select {
		case <-e.env.Hangup:
			e.env.Log.Info().Msg("hangup seen")
			continue
		case <-ctx.Done():
		}
		break
	}
	switch e.stop {
	case "interrupted":
		return ctx.Err()
	case "never":
		select {}
	}
	return nil
}
