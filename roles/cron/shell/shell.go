// Package shell is the shell of images that have none: the command `sidecar sh`.
// It is a POSIX shell with the common parts of bash, in a process of its own, so
// that stopping or losing it is what it is with any other shell. It brings the
// few programs without which a script in an empty image can do nothing.
//
// Job control, aliases at a prompt and traps of signals are not in it (EXIT and
// ERR are). Where an image has /bin/sh, use that. Used by cron.
package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"

	"github.com/sidecar-kit/sidecar/internal/exit"
)

// What the help says.
const (
	Usage = "run a shell script in an image that has no shell"
	Args  = "[-eux] [-o OPTION] -c TEXT [NAME [ARG...]] | FILE [ARG...]"
	Doc   = `A POSIX shell with the common parts of bash; cron uses it for jobs where the
image has no /bin/sh. The word sidecar means this program when there is none in
PATH. So do, where the image lacks them: cat, date, mkdir, rm, sleep.
kill takes numbers of processes, umask holds for the whole script, and a
redirection names 0, 1 or 2. Aliases and ulimit are not there.
Traps of EXIT and ERR work, traps of signals do not.`
)

// Main runs `sidecar sh` with words until ctx ends; what runs then is told to
// end, too. The code is that of the script.
func Main(ctx context.Context, words []string, stdout, stderr io.Writer) (int, error) {
	s, err := parse(words)
	if err != nil {
		return 0, err
	}
	p := programs{self: self(), forward: os.Getenv("SIDECAR_CRON_RUN") == ""}
	runner, err := interp.New(
		interp.StdIO(os.Stdin, stdout, stderr),
		interp.Params(append(append(s.options, "--"), s.args...)...),
		interp.CallHandler(own),
		interp.ExecHandlers(func(interp.ExecHandlerFunc) interp.ExecHandlerFunc { return p.run }),
	)
	if err != nil {
		return 0, exit.Usagef("%w", err)
	}
	err = runner.Run(ctx, s.file)
	var status interp.ExitStatus
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &status):
		return int(status), nil
	case ctx.Err() != nil:
		return 0, ctx.Err()
	}
	return 0, fmt.Errorf("%s: %w", s.name, err)
}

// script is a command line of the shell.
type script struct {
	name    string // $0
	options []string
	args    []string
	file    *syntax.File
}

// parse reads the words as a shell does: -euxc TEXT [NAME [ARG...]], or FILE.
func parse(words []string) (*script, error) {
	s := &script{name: "sh"}
	text, given := "", false
	for len(words) > 0 && len(words[0]) > 1 && (words[0][0] == '-' || words[0][0] == '+') {
		word := words[0]
		words = words[1:]
		if word == "--" {
			break
		}
		for _, c := range word[1:] {
			switch {
			case c == 'c' && word[0] == '-':
				given = true
			case c == 'o' && len(words) > 0:
				s.options = append(s.options, word[:1]+"o", words[0])
				words = words[1:]
			case strings.ContainsRune("aefnuxv", c):
				s.options = append(s.options, word[:1]+string(c))
			case c == 'l': // a login shell reads profiles, which an empty image has not
			default:
				return nil, exit.Usagef("unknown option %c%c: want -c, -e, -f, -n, -u, -x or -o pipefail", word[0], c)
			}
		}
	}
	if len(words) == 0 {
		return nil, exit.Usagef("nothing to run: sidecar sh -c 'echo hello', or sidecar sh FILE")
	}
	if given {
		text, words = words[0], words[1:]
		if len(words) > 0 {
			s.name, s.args = words[0], words[1:]
		}
	} else {
		data, err := os.ReadFile(words[0])
		if err != nil {
			return nil, &exit.Error{Code: 127, Err: fmt.Errorf("script: %w", err)}
		}
		s.name, text, s.args = words[0], string(data), words[1:]
	}
	var err error
	s.file, err = syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(text), s.name)
	if err != nil {
		return nil, exit.Usagef("%w", err) // names NAME:LINE:COLUMN
	}
	return s, nil
}

// Check says what is wrong with the text of a command, with line and column.
func Check(text string) error {
	_, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(text), "command")
	return err
}

// self is this program, also after its file was replaced.
func self() string {
	if exe := "/proc/self/exe"; exists(exe) {
		return exe
	}
	exe, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return exe
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// resolve makes a path absolute from the directory of the script.
func resolve(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}
