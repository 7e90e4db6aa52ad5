package run

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sidecar-kit/sidecar/roles/cron/job"
)

// Embedded as the shell of a job means the shell in this program.
const Embedded = "embedded"

// systemShell is used where neither the job nor the environment names one.
const systemShell = "/bin/sh"

// defaultPath is where programs are looked for when the environment has no PATH.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// maxWord is the most the kernel takes as one argument.
const maxWord = 128 << 10

// command is what is executed.
type command struct {
	path string
	argv []string
	env  []string
	dir  string
	user *account // nil: as this process
}

// command turns the job into what is executed.
func (x *Run) command() (*command, error) {
	j := x.task.Job
	base := x.r.o.Env
	if j.Kind == job.Role {
		base = x.r.o.RoleEnv
	}
	c := &command{dir: j.Dir}
	extra := j.Env
	if j.User != "" && os.Geteuid() == 0 {
		user, err := lookAccount(j.User)
		if err != nil {
			return nil, &StartError{125, err}
		}
		c.user = user
		extra = slices.Concat(user.env(), extra)
		if c.dir == "" && isDir(user.home) {
			c.dir = user.home
		}
	}
	c.env = merge(base, extra, []string{Variable + "=" + x.task.ID}, x.task.Env, []string{mark + "=" + x.mark})
	var err error
	switch j.Kind {
	case job.Shell:
		err = x.shell(c)
	case job.Exec:
		err = c.program(j.Argv)
	case job.Role:
		err = x.role(c)
	default:
		err = fmt.Errorf("kind %d of %s is unknown", j.Kind, j.Where)
	}
	if err != nil {
		var start *StartError
		if !errors.As(err, &start) {
			err = &StartError{125, err}
		}
		return nil, err
	}
	return c, nil
}

// pickShell is the shell of jobs that name none: the one of the environment, the
// one of the image, the embedded one.
func pickShell(env []string) string {
	if own := value(env, "SHELL"); own != "" && executable(own) {
		return own
	}
	if executable(systemShell) {
		return systemShell
	}
	return Embedded
}

// shell makes the command line of a shell job.
func (x *Run) shell(c *command) error {
	j := x.task.Job
	if len(j.Command) >= maxWord {
		return &StartError{126, fmt.Errorf("the command is %d bytes long, the system takes %d: put it into a script", len(j.Command), maxWord-1)}
	}
	shell := j.Shell
	if shell == "" {
		shell = x.r.shell
	}
	if shell != Embedded {
		path, err := look(shell, value(c.env, "PATH"))
		if err != nil {
			return fmt.Errorf("shell of the job: %w", err)
		}
		c.path, c.argv = path, []string{shell, "-c", j.Command}
		return nil
	}
	if x.r.o.Self == "" {
		return &StartError{127, errors.New("no shell: there is no " + systemShell + "\nhint: use an exec job, which needs none: exec: [/bin/program, ARG]")}
	}
	c.path, c.argv = x.r.o.Self, []string{"sidecar", "sh", "-c", j.Command}
	return nil
}

// role runs this program once more. The ports of a second role must not clash
// with those of the first, so it has no admin endpoint unless it says where.
func (x *Run) role(c *command) error {
	words := x.task.Job.Argv
	if len(words) == 0 || x.r.o.Self == "" {
		return errors.New("role job without a role: role: [sync, --config=/etc/sync.yaml]")
	}
	flags := []string{}
	if !slices.Contains(words, "--once") && !slices.Contains(words, "-once") {
		flags = append(flags, "--once")
	}
	if !slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(strings.TrimLeft(w, "-"), "admin") && w[0] == '-' }) {
		flags = append(flags, "--admin=")
	}
	c.path = x.r.o.Self
	c.argv = slices.Concat([]string{"sidecar", words[0]}, flags, words[1:]) // flags stand before arguments
	return nil
}

func (c *command) program(argv []string) error {
	if len(argv) == 0 || argv[0] == "" {
		return errors.New("exec job without a program: exec: [/bin/program, ARG]")
	}
	path, err := look(argv[0], value(c.env, "PATH"))
	if err != nil {
		return err
	}
	c.path, c.argv = path, argv
	return nil
}

// look finds a program as a shell would, in the PATH of the job.
func look(name, path string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil // the system tells what is wrong with it
	}
	if path == "" {
		path = defaultPath
	}
	denied := ""
	for _, dir := range filepath.SplitList(path) {
		if dir == "" {
			continue // the working directory, which nobody means here
		}
		file := filepath.Join(dir, name)
		if executable(file) {
			return file, nil
		}
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
			denied = file
		}
	}
	if denied != "" {
		return "", &StartError{126, fmt.Errorf("%s: %w", denied, syscall.EACCES)}
	}
	return "", &StartError{127, fmt.Errorf("%s: not found in PATH (%s)\nhint: give the whole path of the program, and check that it is in this image", name, path)}
}

func executable(path string) bool {
	if unix.Access(path, unix.X_OK) != nil {
		return false
	}
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// explain says which part of a command an error of the start is about.
func (c *command) explain(err error) error {
	code := 126
	switch {
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.ENOMEM):
		code, err = 125, tooMany(err)
	case c.dir != "" && !isDir(c.dir):
		return &StartError{125, fmt.Errorf("dir=%s: %w", c.dir, statError(c.dir))}
	case errors.Is(err, fs.ErrNotExist):
		code = 127
		if executable(c.path) { // then it is its interpreter or loader
			err = fmt.Errorf("%w: its interpreter (#! line) or loader is not in this image", err)
		}
	}
	as := ""
	if c.user != nil {
		as = " as " + c.user.name
	}
	return &StartError{code, fmt.Errorf("start %s%s: %w", c.path, as, err)}
}

// statError is why a path is no directory.
func statError(path string) error {
	if _, err := os.Stat(path); err != nil {
		return errors.Unwrap(err)
	}
	return syscall.ENOTDIR
}
