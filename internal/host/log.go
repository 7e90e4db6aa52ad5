package host

import (
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"
)

// timeFormat is RFC 3339 with fixed milliseconds, so that lines sort as text.
const timeFormat = "2006-01-02T15:04:05.000Z07:00"

// newLogger makes the logger of a role. The time is added by a hook because the
// library's own can only be switched to UTC for the whole process.
func newLogger(w io.Writer, level, format, roleName, version string) zerolog.Logger {
	if format == "text" {
		w = zerolog.ConsoleWriter{Out: w, NoColor: !terminal(w), TimeFormat: timeFormat, TimeLocation: time.UTC}
	}
	parsed, err := zerolog.ParseLevel(level)
	if err != nil {
		parsed = zerolog.InfoLevel // unreachable: the flag takes known words only
	}
	return zerolog.New(w).Level(parsed).Hook(zerolog.HookFunc(stamp)).
		With().Str("role", roleName).Str("version", version).Logger()
}

func stamp(e *zerolog.Event, _ zerolog.Level, _ string) {
	e.Str(zerolog.TimestampFieldName, time.Now().UTC().Format(timeFormat))
}

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("NO_COLOR") == ""
}

// announce logs how the role starts: every setting that is not the default,
// secrets masked.
func (c *command) announce(log zerolog.Logger) {
	settings := zerolog.Dict()
	for _, o := range c.options {
		if o.origin.kind == fromDefault || o.ignored != "" {
			continue
		}
		if list, ok := o.value.(*List); ok {
			settings.Strs(o.name(), list.Shown())
			continue
		}
		settings.Str(o.name(), o.value.String())
	}
	for _, k := range c.spec.Keys {
		if k.node != nil {
			settings.Str(k.Name, k.place())
		}
	}
	log.Info().Int("pid", os.Getpid()).Dict("config", settings).Msg("starting")
	for _, o := range c.options {
		if o.ignored != "" && o.origin.kind == fromFlag {
			log.Info().Str("flag", dashed(o.name())).Str("reason", o.ignored).Msg("flag has no effect")
		}
	}
	for _, name := range c.strangers(os.Environ()) {
		log.Warn().Str("variable", name).Msg("unknown variable in the environment, is it a typing error?")
	}
}

// serviceLink is what the kubelet adds for a service that is called like a role.
var serviceLink = regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_[0-9]+_(TCP|UDP|SCTP).*)?)$`)

// strangers are the variables that look like settings of the role and are none.
// They are no usage error: others put variables into a pod, too.
func (c *command) strangers(environ []string) []string {
	var found []string
	prefix := "SIDECAR_" + envName(c.spec.Name) + "_"
	for _, pair := range environ {
		name, _, _ := strings.Cut(pair, "=")
		known := slices.ContainsFunc(c.options, func(o *option) bool { return slices.Contains(o.envs, name) })
		if strings.HasPrefix(name, prefix) && !known && !serviceLink.MatchString(name) {
			found = append(found, name)
		}
	}
	return found
}
