package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"mvdan.cc/sh/v3/interp"

	"github.com/sidecar-kit/sidecar/internal/zone"
)

// word is a program that the shell brings, used only where PATH has none of its
// name. Each does what POSIX says of the options it takes, and refuses others.
type word func(ctx context.Context, hc interp.HandlerContext, args []string) error

func words() map[string]word {
	return map[string]word{"cat": cat, "date": date, "mkdir": mkdir, "rm": rm, "sleep": sleep}
}

func names() []string { return slices.Sorted(maps.Keys(words())) }

// options takes single letters off the front of args.
func options(args []string, known string) (found map[rune]bool, rest []string, err error) {
	found = map[rune]bool{}
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		letters := args[0][1:]
		args = args[1:]
		if letters == "-" {
			break
		}
		for _, c := range letters {
			if !strings.ContainsRune(known, c) {
				return nil, nil, fmt.Errorf("unknown option -%c: the built-in one takes %s", c, strings.Join(strings.Split(known, ""), ", "))
			}
			found[c] = true
		}
	}
	return found, args, nil
}

func sleep(ctx context.Context, _ interp.HandlerContext, args []string) error {
	if len(args) == 0 {
		return errors.New("how long? sleep 10, sleep 0.5, sleep 5m")
	}
	var total time.Duration
	for _, arg := range args {
		unit, number := time.Second, arg
		if n := len(arg) - 1; n > 0 {
			if u, ok := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour}[arg[n]]; ok {
				unit, number = u, arg[:n]
			}
		}
		f, err := strconv.ParseFloat(number, 64)
		if err != nil || !(f >= 0 && f <= 1e9) {
			return fmt.Errorf("%q is no time: sleep 10, sleep 0.5, sleep 5m", arg)
		}
		total += time.Duration(f * float64(unit))
	}
	timer := time.NewTimer(total)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func cat(ctx context.Context, hc interp.HandlerContext, args []string) error {
	_, args, err := options(args, "u")
	if err != nil {
		return err
	}
	if len(args) == 0 {
		args = []string{"-"}
	}
	for _, arg := range args {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		in := hc.Stdin
		if arg != "-" {
			f, err := os.Open(resolve(hc.Dir, arg))
			if err != nil {
				return err
			}
			defer f.Close()
			in = f
		}
		if in == nil {
			continue
		}
		if _, err := io.Copy(hc.Stdout, in); err != nil {
			return err
		}
	}
	return nil
}

func mkdir(_ context.Context, hc interp.HandlerContext, args []string) error {
	set, args, err := options(args, "p")
	if err != nil {
		return err
	}
	if len(args) == 0 {
		return errors.New("which? mkdir -p /data/out")
	}
	for _, arg := range args {
		if set['p'] {
			err = errors.Join(err, os.MkdirAll(resolve(hc.Dir, arg), 0o777))
		} else {
			err = errors.Join(err, os.Mkdir(resolve(hc.Dir, arg), 0o777))
		}
	}
	return err
}

func rm(_ context.Context, hc interp.HandlerContext, args []string) error {
	set, args, err := options(args, "frR")
	if err != nil {
		return err
	}
	if len(args) == 0 && !set['f'] {
		return errors.New("which? rm -f /data/old")
	}
	for _, arg := range args {
		file := resolve(hc.Dir, arg)
		info, statErr := os.Lstat(file)
		switch {
		case errors.Is(statErr, os.ErrNotExist) && set['f']:
		case statErr != nil:
			err = errors.Join(err, statErr)
		case file == "/" || strings.HasSuffix(arg, "/.") || strings.HasSuffix(arg, "/..") || arg == "." || arg == "..":
			err = errors.Join(err, fmt.Errorf("%s: not that one", arg))
		case info.IsDir() && !set['r'] && !set['R']:
			err = errors.Join(err, fmt.Errorf("%s: is a directory (rm -r)", arg))
		case info.IsDir():
			err = errors.Join(err, os.RemoveAll(file))
		default:
			err = errors.Join(err, os.Remove(file))
		}
	}
	return err
}

func date(_ context.Context, hc interp.HandlerContext, args []string) error {
	set, args, err := options(args, "u")
	if err != nil {
		return err
	}
	now := time.Now()
	if set['u'] {
		now = now.UTC()
	} else if tz := hc.Env.Get("TZ"); tz.IsSet() {
		loc, err := zone.Load(strings.TrimPrefix(tz.String(), ":"))
		if err != nil {
			return fmt.Errorf("TZ: %w", err)
		}
		now = now.In(loc)
	}
	format := "+%a %b %e %H:%M:%S %Z %Y"
	if len(args) > 0 {
		format = args[0]
	}
	if len(args) > 1 || !strings.HasPrefix(format, "+") {
		return fmt.Errorf("%q: the built-in date only shows the time: date [-u] [+FORMAT]", strings.Join(args, " "))
	}
	text, err := strftime(now, format[1:])
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(hc.Stdout, text)
	return err
}

// strftime knows the conversions that names of files and log lines are made of.
func strftime(t time.Time, format string) (string, error) {
	layouts := map[byte]string{
		'Y': "2006", 'y': "06", 'm': "01", 'd': "02", 'e': "_2", 'H': "15", 'I': "03", 'M': "04", 'S': "05", 'p': "PM",
		'a': "Mon", 'A': "Monday", 'b': "Jan", 'B': "January", 'h': "Jan", 'Z': "MST", 'z': "-0700",
		'F': "2006-01-02", 'T': "15:04:05", 'R': "15:04", 'D': "01/02/06", 'j': "002",
	}
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		switch c := format[i]; {
		case c == '%':
			b.WriteByte('%')
		case c == 'n':
			b.WriteByte('\n')
		case c == 't':
			b.WriteByte('\t')
		case c == 's':
			b.WriteString(strconv.FormatInt(t.Unix(), 10))
		case c == 'u':
			b.WriteString(strconv.Itoa((int(t.Weekday())+6)%7 + 1))
		case c == 'w':
			b.WriteString(strconv.Itoa(int(t.Weekday())))
		case c == 'N':
			fmt.Fprintf(&b, "%09d", t.Nanosecond())
		case c == 'V', c == 'G':
			year, week := t.ISOWeek()
			if c == 'V' {
				year = week
			}
			fmt.Fprintf(&b, "%02d", year)
		case layouts[c] != "":
			b.WriteString(t.Format(layouts[c]))
		default:
			return "", fmt.Errorf("%%%c: the built-in date does not know it", c)
		}
	}
	return b.String(), nil
}
