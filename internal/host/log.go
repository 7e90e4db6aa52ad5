package host

import (
	"io"
	"os"
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
		if o.origin.kind == fromDefault {
			continue
		}
		if list, ok := o.value.(*List); ok {
			settings.Strs(o.name(), list.Values())
			continue
		}
		settings.Str(o.name(), o.value.String())
	}
	log.Info().Int("pid", os.Getpid()).Dict("config", settings).Msg("starting")
}
