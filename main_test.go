package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sidecar-kit/sidecar/internal/host"
)

// TestMain makes the test binary the program: scripts run it as "sidecar".
func TestMain(m *testing.M) {
	// Scripts wait more than they work: a job is due, a server comes back.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	testscript.Main(m, map[string]func(){
		"sidecar": func() {
			signals := host.Listen()
			os.Exit(run(signals, append(roles(), echoCommand())))
		},
	})
}

// TestScripts runs every script that is the manual of one thing; the folders
// below host hold what each role obeys, see TestContract.
func TestScripts(t *testing.T) {
	dirs, err := filepath.Glob("testdata/script/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		if found, _ := filepath.Glob(filepath.Join(dir, "*.txtar")); len(found) == 0 {
			continue
		}
		t.Run(filepath.Base(dir), func(t *testing.T) { testscript.Run(t, params(dir, "echo", nil)) })
	}
}

// TestContract runs the promises of the host for every role of the program.
// A role needs testdata/script/host/<role>.args: one flag or value a line, the
// least that makes its settings valid.
func TestContract(t *testing.T) {
	for _, cmd := range append(roles(), echoCommand()) {
		t.Run(cmd.Name, func(t *testing.T) {
			testscript.Run(t, params("testdata/script/host/every", cmd.Name, arguments(t, cmd.Name, "")))
			if !host.Finite(cmd) {
				testscript.Run(t, params("testdata/script/host/running", cmd.Name, arguments(t, cmd.Name, "")))
			}
		})
	}
}

// arguments reads the least arguments of a role; $WORK in them becomes work.
func arguments(t *testing.T, name, work string) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata/script/host", name+".args"))
	if err != nil {
		t.Fatalf("role %s: %v (the least arguments that make its settings valid)", name, err)
	}
	if work != "" {
		data = bytes.ReplaceAll(data, []byte("$WORK"), []byte(work))
	}
	return strings.Fields(string(data))
}

// fixtures prepares the working folder for roles whose least arguments name
// something that must exist there, such as a repository.
func fixtures() map[string]func(work string) error {
	return map[string]func(work string) error{"sync": repoOnDisk, "initcopy": payload, "cron": crontab}
}

// crontab is a table that is hardly ever due.
func crontab(work string) error {
	return os.WriteFile(filepath.Join(work, "crontab"), []byte("0 0 29 2 * echo leap\n"), 0o600)
}

// payload is a folder to copy, and a volume to copy it to.
func payload(work string) error {
	return errors.Join(os.MkdirAll(filepath.Join(work, "payload"), 0o755), os.MkdirAll(filepath.Join(work, "volume"), 0o755))
}

func params(dir, roleName string, args []string) testscript.Params {
	return testscript.Params{
		Dir: dir,
		Setup: func(env *testscript.Env) error {
			port, err := freePort()
			if err != nil {
				return err
			}
			env.Setenv("ROLE", roleName)
			env.Setenv("ROLE_ENV", strings.ToUpper(roleName))
			env.Setenv("PORT", port)
			env.Setenv("ADMIN", "127.0.0.1:"+port)
			env.Setenv("SIDECAR_TERMINATION_LOG", filepath.Join(env.WorkDir, "termination.log"))
			if options, ok := os.LookupEnv("GORACE"); ok {
				env.Setenv("GORACE", options)
			}
			if prepare := fixtures()[roleName]; prepare != nil && args != nil {
				if err := prepare(env.WorkDir); err != nil {
					return err
				}
			}
			if err := setup(env, args); err != nil {
				return err
			}
			running := &startedSet{byName: map[string]*started{}}
			for _, pair := range env.Vars {
				name, _, _ := strings.Cut(pair, "=")
				running.vars = append(running.vars, name)
			}
			env.Values[startedKey{}] = running
			env.Values[proxyKey{}] = &proxySet{apps: map[string]*http.Server{}}
			env.Values[elasticKey{}] = &elasticSet{}
			env.Values[gitServersKey{}] = map[string]*gitServer{}
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond == "unprivileged" { // root may write where it says read-only
				return os.Geteuid() != 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: merged(gitCommands(), copyCommands(), probeCommands(), remoteCommands(), cronCommands(), proxyCommands(), logshipCommands(), adapterCommands(), map[string]func(*testscript.TestScript, bool, []string){
			"start":     start,
			"ended":     ended,
			"term":      sendTo(syscall.SIGTERM),
			"int":       sendTo(syscall.SIGINT),
			"hup":       sendTo(syscall.SIGHUP),
			"usr1":      sendTo(syscall.SIGUSR1),
			"usr2":      sendTo(syscall.SIGUSR2),
			"kill9":     sendTo(syscall.SIGKILL),
			"waitlink":  waitLink,
			"httpserve": httpServe,
			"sshserve":  sshServe,
			"sshkey":    sshKey,
			"freeport":  freePortTo,
			"waitready": waitReady,
			"waitfile":  waitFile,
			"exitcode":  exitCode,
			"waithttp":  waitHTTP,
			"waitgone":  waitGone,
			"httpget":   request(http.MethodGet),
			"httppost":  request(http.MethodPost),
		}),
	}
}

// setup writes the role's arguments into its environment file: scripts call
// "sidecar $ROLE" and the least settings come with the environment, so that
// flags, which are stronger, can still be tried.
func setup(env *testscript.Env, args []string) error {
	for i := 0; i < len(args); i++ {
		name, value, ok := strings.Cut(strings.TrimLeft(args[i], "-"), "=")
		if !ok {
			i++
			if i == len(args) {
				return fmt.Errorf("argument %q has no value", args[i-1])
			}
			value = args[i]
		}
		key := "SIDECAR_" + env.Getenv("ROLE_ENV") + "_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		env.Setenv(key, strings.ReplaceAll(value, "$WORK", env.WorkDir))
	}
	return nil
}
