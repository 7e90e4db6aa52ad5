package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/urfave/cli/v2"

	"github.com/sidecar-kit/sidecar/internal/probe"
	"github.com/sidecar-kit/sidecar/internal/proc"
)

// patience is a duration; a bare number is seconds, as wait-for-it has it.
type patience time.Duration

func (p *patience) Set(text string) error {
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		*p = patience(time.Duration(n) * time.Second)
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return errors.New("want a duration such as 500ms, 30s or 5m; 0 means for ever")
	}
	*p = patience(d)
	return nil
}

func (p *patience) String() string { return time.Duration(*p).String() }

// waiting holds the settings of the command wait.
type waiting struct {
	urls      []string // --wait of dockerize
	any       bool
	timeout   patience
	interval  time.Duration
	check     time.Duration
	stable    int
	quiet     bool
	logFormat string
}

func (w *waiting) flags() []cli.Flag {
	var strict bool
	return []cli.Flag{
		&cli.BoolFlag{Name: "any", Usage: "one of the URLs is enough", Destination: &w.any},
		&cli.GenericFlag{Name: "timeout", Aliases: []string{"t"}, Usage: "give up after this `TIME`; 0 means never", Value: &w.timeout},
		&cli.DurationFlag{Name: "interval", Aliases: []string{"wait-retry-interval"}, Usage: "let this `TIME` pass between two checks of a URL", Destination: &w.interval},
		&cli.DurationFlag{Name: "check-timeout", Usage: "end a single check after this `TIME`", Destination: &w.check},
		&cli.IntFlag{Name: "stable", Usage: "want `N` good checks in a row", Destination: &w.stable},
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "log errors only", Destination: &w.quiet},
		&cli.GenericFlag{Name: "log-format", Usage: "log as json or text", Value: OneOf(&w.logFormat, "json", "text")},
		&cli.GenericFlag{Name: "wait", Usage: "a URL, as dockerize takes it", Value: Strings(&w.urls), Hidden: true},
		&cli.BoolFlag{Name: "strict", Aliases: []string{"s"}, Usage: "no effect: wait is always strict", Destination: &strict, Hidden: true},
	}
}

func waitCommand() *cli.Command {
	w := &waiting{interval: 500 * time.Millisecond, check: 5 * time.Second, stable: 1, logFormat: "json"}
	return builtin{
		name: "wait", args: "URL... [-- COMMAND ARGS...]", usage: "wait until URLs are ok, then exit 0 or become another command",
		doc:   "URLs are those of probe (sidecar probe --help), HOST:PORT alone means tcp.",
		least: 0, most: -1, program: true, flags: w.flags(),
		run: w.run,
	}.command()
}

// validate returns all complaints and, without any, the checks.
func (w *waiting) validate(urls []string) ([]*probe.Check, error) {
	var errs []error
	if len(urls) == 0 {
		errs = append(errs, errors.New("no URL to wait for: sidecar wait URL... [-- COMMAND ARGS...]"))
	}
	for name, d := range map[string]time.Duration{"interval": w.interval, "check-timeout": w.check} {
		if d <= 0 {
			errs = append(errs, fmt.Errorf("--%s %s: want more than 0s", name, d))
		}
	}
	if w.stable < 1 {
		errs = append(errs, fmt.Errorf("--stable %d: want 1 or more", w.stable))
	}
	var checks []*probe.Check
	for _, raw := range urls {
		check, err := probe.Parse(raw)
		errs = append(errs, err)
		checks = append(checks, check)
	}
	return checks, errors.Join(errs...)
}

func (w *waiting) run(cctx *cli.Context, in call) error {
	checks, err := w.validate(slices.Concat(w.urls, in.args))
	program := ""
	if err == nil && in.program != nil {
		program, err = lookProgram(in.program)
	}
	if err != nil {
		return usage(err, "sidecar wait")
	}
	level := "info"
	if w.quiet {
		level = "error"
	}
	log := newLogger(cctx.App.ErrWriter, level, w.logFormat, "wait", cctx.App.Version)
	signals := signalsOf(cctx)
	err = signals.until(cctx.Context, func(ctx context.Context) error { return w.wait(ctx, log, checks) })
	if err == nil && program != "" {
		log.Info().Str("path", program).Msg("starting the command")
		err = signals.surrender(func() error { return proc.Replace(program, in.program, os.Environ()) })
	}
	if err != nil {
		return &begunError{log, err}
	}
	return nil
}

// lookProgram finds the command before the waiting begins: a typing error is no
// reason to wait first.
func lookProgram(args []string) (string, error) {
	if len(args) == 0 {
		return "", errors.New("no command after --")
	}
	path, err := proc.Look(args[0])
	if err != nil {
		return "", fmt.Errorf("the command after --: %w", err)
	}
	return path, nil
}

func (w *waiting) wait(parent context.Context, log zerolog.Logger, checks []*probe.Check) error {
	ctx := parent
	if w.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(parent, time.Duration(w.timeout))
		defer cancel()
	}
	begin := time.Now()
	teller := newTeller(log, begin, len(checks))
	log.Info().Int("urls", len(checks)).Bool("any", w.any).Stringer("timeout", &w.timeout).Msg("waiting")
	waiter := probe.Waiter{Any: w.any, Interval: w.interval, Timeout: w.check, Stable: w.stable, Seen: teller.tell}
	seen, ok := waiter.Wait(ctx, checks)
	if ok {
		log.Info().Stringer("took", time.Since(begin).Round(time.Millisecond)).Msg("ready")
		return nil
	}
	if parent.Err() != nil {
		return parent.Err() // a signal
	}
	var missing []string
	for i, s := range seen {
		if s.Ready {
			continue
		}
		log.Error().Stringer("url", checks[i]).Int("tries", s.Tries).Str("last", s.Last.Detail).Msg("not ready")
		missing = append(missing, fmt.Sprintf("%s (%s)", checks[i], s.Last.Detail))
	}
	return fmt.Errorf("not ready within --timeout %s: %s", &w.timeout, strings.Join(missing, ", "))
}

// repeatAfter is how long a failure that alternates with others is not told again.
const repeatAfter = 30 * time.Second

// teller logs what changes and not what was told lately.
type teller struct {
	log    zerolog.Logger
	begin  time.Time
	checks []told
}

// told is what was logged last about a check.
type told struct {
	last probe.Result
	when map[string]time.Time // by failure
}

func newTeller(log zerolog.Logger, begin time.Time, n int) *teller {
	return &teller{log, begin, make([]told, n)}
}

func (t *teller) tell(s probe.Seen) {
	c := &t.checks[s.Index]
	first := c.when == nil
	if first {
		c.when = map[string]time.Time{}
	}
	changed := first || !s.Last.Same(c.last)
	c.last = s.Last
	now := time.Now()
	switch {
	case s.Ready:
		t.log.Info().Str("url", s.Last.URL).Str("seen", s.Last.Detail).
			Stringer("took", now.Sub(t.begin).Round(time.Millisecond)).Int("tries", s.Tries).Msg("is ok")
		return
	case !changed:
		return
	case s.Last.OK:
		t.log.Info().Str("url", s.Last.URL).Str("seen", s.Last.Detail).Msg("is ok, to be stable")
		return
	}
	if when, ok := c.when[s.Last.Detail]; ok && now.Sub(when) < repeatAfter {
		return
	}
	if len(c.when) >= 64 {
		clear(c.when) // a server that says something new each time
	}
	c.when[s.Last.Detail] = now
	t.log.Info().Str("url", s.Last.URL).Str("seen", s.Last.Detail).Msg("is not ok")
}
