package shell

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"

	"github.com/sidecar-kit/sidecar/internal/proc"
)

// Statuses of a shell.
const (
	notFound   = interp.ExitStatus(127)
	notAllowed = interp.ExitStatus(126)
)

// programs runs what is no part of the shell's language.
type programs struct {
	self string
	// forward passes a stop on. In a cron job the signal reached the whole
	// process group, and many programs take a second TERM for impatience.
	forward bool
}

func (p programs) run(ctx context.Context, args []string) error {
	hc := interp.HandlerCtx(ctx)
	if name, ok := strings.CutPrefix(args[0], ours); ok {
		return builtin(hc, name, args[1:])
	}
	file, err := interp.LookPathDir(hc.Dir, hc.Env, args[0])
	if err != nil {
		switch own := words()[args[0]]; {
		case args[0] == "sidecar":
			file = p.self
		case own != nil:
			return report(hc.Stderr, args[0], own(ctx, hc, args[1:]))
		default:
			return missing(hc, args[0])
		}
	}
	err = p.start(ctx, hc, file, args)
	if errors.Is(err, syscall.ENOEXEC) || errors.Is(err, syscall.ENOENT) {
		if isScript(resolve(hc.Dir, file)) {
			err = p.start(ctx, hc, p.self, slices.Concat([]string{"sidecar", "sh", file}, args[1:]))
		}
	}
	var status interp.ExitStatus
	if err == nil || errors.As(err, &status) || ctx.Err() != nil {
		return err
	}
	fmt.Fprintf(hc.Stderr, "sh: %s\n", err)
	return notAllowed
}

// start runs a program, args[0] being its name for itself, to its end. When ctx ends it is told to end, and awaited:
// who stopped the shell decides how long that may take.
func (p programs) start(ctx context.Context, hc interp.HandlerContext, file string, args []string) error {
	child, err := proc.Start(context.WithoutCancel(ctx), proc.Cmd{
		Path: file, Name: args[0], Args: args[1:], Env: environ(hc.Env), Dir: hc.Dir, SameGroup: true,
		Stdin: hc.Stdin, Stdout: hc.Stdout, Stderr: hc.Stderr,
	})
	if err != nil {
		return err
	}
	if p.forward {
		defer context.AfterFunc(ctx, func() { child.Signal(syscall.SIGTERM) })()
	}
	st, err := child.Wait()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case st.Signal != 0:
		return interp.ExitStatus(128 + st.Signal)
	case st.Code > 0:
		return interp.ExitStatus(st.Code)
	}
	return err
}

// missing tells what to do about a program that the image does not have.
func missing(hc interp.HandlerContext, name string) error {
	if strings.Contains(name, "/") {
		if info, err := os.Stat(resolve(hc.Dir, name)); err == nil {
			what := "it is not executable (chmod +x)"
			if info.IsDir() {
				what = "it is a directory"
			}
			fmt.Fprintf(hc.Stderr, "sh: %s: %s\n", name, what)
			return notAllowed
		}
	}
	fmt.Fprintf(hc.Stderr, "sh: %s: not found: this image has no such program\n"+
		"hint: the shell brings %s; a job can also be exec, http or role, which need no shell, or run in an image that has the program\n",
		name, strings.Join(names(), ", "))
	return notFound
}

// isScript says whether a file is text for a shell: it names one that the image
// does not have, or none at all.
func isScript(file string) bool {
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	line, err := bufio.NewReader(io.LimitReader(f, 256)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) || strings.ContainsRune(line, 0) {
		return false
	}
	interpreter, ok := strings.CutPrefix(line, "#!")
	if !ok {
		return true
	}
	fields := strings.Fields(interpreter)
	if len(fields) > 1 && path.Base(fields[0]) == "env" {
		fields = fields[1:]
	}
	return len(fields) > 0 && slices.Contains([]string{"sh", "ash", "bash", "dash"}, path.Base(fields[0]))
}

// environ is what programs get: the exported variables.
func environ(env expand.Environ) []string {
	list := []string{}
	for name, v := range env.Each {
		if v.Exported && v.Kind == expand.String {
			list = append(list, name+"="+v.String())
		}
	}
	slices.Sort(list) // the library keeps them in a map
	return list
}

// report turns the error of a word into a status, as its program would.
func report(stderr io.Writer, name string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	fmt.Fprintf(stderr, "%s: %s\n", name, err)
	return interp.ExitStatus(1)
}
