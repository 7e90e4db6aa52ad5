package kind

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/internal/proc"
	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/roles/adapter/check"
)

// mostOutput is how much of what a program prints is kept.
const mostOutput = 4 << 10

// makeExec reads a program and its arguments, or {command: [...], env: {...}, dir: ...}. There is no shell; the check is well when the program
// exits with 0 in time. Its whole process group ends with the timeout.
func makeExec(v draft.Value, _ *Env, s *check.Spec) error {
	var argv []string
	var dir string
	env := []string{"PATH=" + os.Getenv("PATH")}
	var err error
	if v.Shape == draft.Map {
		err = v.Each([]string{"command", "env", "dir"}, func(key string, v draft.Value) error {
			switch key {
			case "command":
				return v.Words(&argv)
			case "dir":
				return v.Word(&dir)
			}
			return v.All(func(name string, v draft.Value) error {
				env = append(env, name+"="+v.Text)
				return nil
			})
		})
	} else {
		err = v.Words(&argv)
	}
	if err != nil {
		return err
	}
	if len(argv) == 0 || argv[0] == "" {
		return v.Errorf("want a program and its arguments, such as [/bin/check, --fast]")
	}
	if len(argv) == 1 && strings.ContainsAny(argv[0], " \t") {
		return v.Errorf("%q: there is no shell; want a list such as [/bin/check, --fast]", argv[0])
	}
	s.Target = argv[0]
	s.Do = func(ctx context.Context) check.Result {
		out := &tail{}
		p, err := proc.Start(ctx, proc.Cmd{Path: argv[0], Args: argv[1:], Env: env, Dir: dir, Stdout: out, Stderr: out})
		if err != nil {
			return check.Result{Detail: err.Error()}
		}
		_, err = p.Wait()
		said := secret.Redact(secret.Printable(string(bytes.TrimSpace(out.data))))
		if ctx.Err() != nil {
			return check.Result{Detail: fmt.Sprintf("did not end within %s (timeout of the check)", s.Timeout)}
		}
		if err != nil {
			if said != "" {
				said = ": " + said
			}
			return check.Result{Detail: err.Error() + said}
		}
		return check.Result{OK: true, Detail: said}
	}
	return nil
}

// tail keeps the beginning of what a program prints, and takes all of it.
type tail struct{ data []byte }

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.data = append(t.data, p[:min(len(p), mostOutput-len(t.data))]...)
	return len(p), nil
}
