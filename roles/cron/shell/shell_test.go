package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"mvdan.cc/sh/v3/interp"

	"github.com/sidecar-kit/sidecar/internal/exit"
)

// TestMain makes the test binary the program that scripts of scripts call.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "sh" {
		code, err := Main(context.Background(), os.Args[2:], os.Stdout, os.Stderr)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = exit.Code(err)
		}
		os.Exit(code)
	}
	os.Exit(m.Run())
}

func sh(t *testing.T, words ...string) (code int, out, errs string, err error) {
	t.Helper()
	// Files, as in a process: several programs write to them at once.
	var files [2]*os.File
	for i := range files {
		if files[i], err = os.CreateTemp(t.TempDir(), ""); err != nil {
			t.Fatal(err)
		}
		defer files[i].Close()
	}
	code, err = Main(t.Context(), words, files[0], files[1])
	var text [2]string
	for i, f := range files {
		data, readErr := os.ReadFile(f.Name())
		if readErr != nil {
			t.Fatal(readErr)
		}
		text[i] = string(data)
	}
	return code, text[0], text[1], err
}

func TestScripts(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	files := map[string]string{
		"script":   "echo $0 $1 $#",
		"shebang":  "#!/no/bin/sh -e\necho from $1; exit 4",
		"plain":    "echo plain",
		"notexec":  "echo no",
		"binary":   "\x00\x01",
		"env-bash": "#!/no/env bash\necho ${1^^}",
	}
	for name, text := range files {
		mode := os.FileMode(0o755)
		if name == "notexec" {
			mode = 0o644
		}
		if err := os.WriteFile(name, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		words []string
		code  int
		out   string
		errs  string
	}{
		{[]string{"-c", `echo "hoge"`}, 0, "hoge\n", ""},
		{[]string{"-c", "echo $0 $1 $#", "name", "a", "b"}, 0, "name a 2\n", ""},
		{[]string{"script", "a"}, 0, "script a 1\n", ""},
		{[]string{"-c", "exit 7"}, 7, "", ""},
		{[]string{"-ec", "false; echo not reached"}, 1, "", ""},
		{[]string{"-c", "false; echo reached"}, 0, "reached\n", ""},
		{[]string{"-e", "-u", "-c", "echo $nope"}, 1, "", "unbound"},
		{[]string{"-xc", "echo a"}, 0, "a\n", "+ echo a"},
		{[]string{"-o", "pipefail", "-c", "false | true"}, 1, "", ""},
		{[]string{"-c", "for i in 1 2 3; do echo $((i*i)); done | { read a; read b; echo $a$b; }"}, 0, "14\n", ""},
		{[]string{"-c", "trap 'echo bye' EXIT; echo hi"}, 0, "hi\nbye\n", ""},
		{[]string{"-c", "no-such-program --x"}, 127, "", "this image has no such program\nhint: the shell brings cat, date"},
		{[]string{"-c", "no-such-program || echo fallback"}, 0, "fallback\n", "not found"},
		{[]string{"-c", "./notexec"}, 126, "", "chmod +x"},
		{[]string{"-c", "/tmp"}, 126, "", "it is a directory"},
		{[]string{"-c", "./binary"}, 126, "", "exec format error"},
		{[]string{"-c", "./shebang x; echo $?"}, 0, "from x\n4\n", ""},
		{[]string{"-c", "./plain"}, 0, "plain\n", ""},
		{[]string{"-c", "./env-bash x"}, 0, "X\n", ""},
		{[]string{"-c", "PATH=/none sidecar sh -c 'echo self; exit 3'"}, 3, "self\n", ""},
		{[]string{"-c", "/bin/sh -c 'kill -9 $$'; echo $?"}, 0, "137\n", ""},
		{[]string{"-c", "x=$(/bin/echo one; echo two); echo $x; /bin/echo three >file; cat <file"}, 0, "one two\nthree\n", ""},
		{[]string{"-c", "export A=1; B=2; C=3 env | grep '^[ABC]='"}, 0, "A=1\nC=3\n", ""},
	}
	for _, tt := range tests {
		code, out, errs, err := sh(t, tt.words...)
		if err != nil || code != tt.code || out != tt.out || !strings.Contains(errs, tt.errs) || (errs == "") != (tt.errs == "") {
			t.Errorf("sh %q = %d, %q, %q, %v; want %d, %q, %q", tt.words, code, out, errs, err, tt.code, tt.out, tt.errs)
		}
	}
}

func TestWrongScriptsAreUsageErrors(t *testing.T) {
	tests := []struct {
		words []string
		want  string
		code  int
	}{
		{[]string{"-c", "echo 'open"}, "sh:1:6: ", 64},
		{[]string{"-c", "echo a\nif true; then", "name"}, "name:2:10: ", 64},
		{[]string{"-c"}, "sidecar sh -c 'echo hello'", 64},
		{nil, "sidecar sh -c 'echo hello'", 64},
		{[]string{"-q", "-c", "x"}, "unknown option -q", 64},
		{[]string{"-o", "nonsense", "-c", "x"}, "nonsense", 64},
		{[]string{"/no/such/script"}, "/no/such/script", 127},
	}
	for _, tt := range tests {
		_, out, _, err := sh(t, tt.words...)
		if err == nil || exit.Code(err) != tt.code || !strings.Contains(err.Error(), tt.want) || out != "" {
			t.Errorf("sh %q = %v (code %d); want code %d and %q", tt.words, err, exit.Code(err), tt.code, tt.want)
		}
	}
	if err := Check("echo a; )"); err == nil || !strings.Contains(err.Error(), "1:9") {
		t.Errorf("Check = %v; want the place", err)
	}
}

// TestStopIsPassedOn: outside of a cron job nobody else tells the child.
func TestStopIsPassedOn(t *testing.T) {
	for _, script := range []string{
		`/bin/sh -c 'trap "echo told; exit 0" TERM; echo ready; while :; do sleep 0.01; done'; echo not reached`,
		"echo ready; PATH=/none; sleep 1000; echo not reached",
		"echo ready; while :; do :; done",
	} {
		ctx, cancel := context.WithCancel(t.Context())
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() {
			_, err := Main(ctx, []string{"-c", script}, w, w)
			w.Close()
			done <- err
		}()
		if _, err := r.Read(make([]byte, 6)); err != nil {
			t.Fatal(err)
		}
		cancel()
		rest := make(chan string)
		go func() {
			data, _ := io.ReadAll(r)
			rest <- string(data)
		}()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("%q stopped = %v; want canceled", script, err)
		}
		if got := <-rest; strings.Contains(got, "not reached") || strings.Contains(script, "told") != strings.Contains(got, "told") {
			t.Errorf("%q stopped wrote %q", script, got)
		}
		r.Close()
	}
}

func TestBroughtWords(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("PATH", "/none")
	tests := []struct {
		script string
		code   int
		out    string
		errs   string
	}{
		{"mkdir -p a/b && echo x > a/b/f && cat a/b/f - </dev/null && rm -r a && cat a/b/f", 1, "x\n", "cat: open"},
		{"cd /; mkdir", 1, "", "mkdir -p /data/out"},
		{"mkdir d; rm d", 1, "", "rm -r"},
		{"rm -rf /; rm -rf .; rm -f none", 0, "", "not that one"},
		{"rm none", 1, "", "no such file"},
		{"rm -i x", 1, "", "unknown option -i: the built-in one takes f, r, R"},
		{"sleep 0; sleep 0.001s 0.001", 0, "", ""},
		{"sleep x", 1, "", "sleep 5m"},
		{"sleep", 1, "", "how long"},
		{"date --set now", 1, "", "unknown option"},
		{"TZ=Nowhere date", 1, "", "Nowhere"},
		{"date +%Q", 1, "", "%Q"},
		{"echo piped | cat", 0, "piped\n", ""},
	}
	for _, tt := range tests {
		code, out, errs, err := sh(t, "-c", tt.script)
		if err != nil || code != tt.code || out != tt.out || !strings.Contains(errs, tt.errs) || (errs == "") != (tt.errs == "") {
			t.Errorf("%q = %d, %q, %q, %v; want %d, %q, %q", tt.script, code, out, errs, err, tt.code, tt.out, tt.errs)
		}
	}
	if _, err := os.Stat(filepath.Join(".", "d")); err != nil {
		t.Errorf("the folder that rm was not to remove: %v", err)
	}
}

func TestKillAndUmask(t *testing.T) {
	t.Chdir(t.TempDir())
	before := syscall.Umask(0o022)
	defer syscall.Umask(before)
	tests := []struct {
		script string
		code   int
		out    string
		errs   string
	}{
		{"umask", 0, "0022\n", ""},
		{"umask 077; echo secret > f; umask; umask 022", 0, "0077\n", ""},
		{"umask u=rwx", 1, "", "umask 077"},
		{"kill -0 $$ && kill -s 0 $$ && echo there", 0, "there\n", ""},
		{"/bin/sh -c 'echo $PPID' >/dev/null; kill -SIGCONT $$; kill -cont $$; echo $?", 0, "0\n", ""},
		{"kill", 1, "", "kill -HUP $(cat /run/server.pid)"},
		{"kill -NONE 1", 1, "", "no such signal"},
		{"kill %1", 1, "", "in the background has none"},
		{"kill 2147483647", 1, "", "2147483647: no such process"},
		{"/bin/sh -c 'trap \"exit 3\" HUP; echo $$ >pid; while :; do sleep 0.01; done' & while ! test -s pid; do sleep 0.01; done; kill -HUP $(cat pid); wait; echo over", 0, "over\n", ""},
	}
	for _, tt := range tests {
		code, out, errs, err := sh(t, "-c", tt.script)
		if err != nil || code != tt.code || out != tt.out || !strings.Contains(errs, tt.errs) || (errs == "") != (tt.errs == "") {
			t.Errorf("%q = %d, %q, %q, %v; want %d, %q, %q", tt.script, code, out, errs, err, tt.code, tt.out, tt.errs)
		}
	}
	if info, err := os.Stat("f"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("a file under umask 077: %v, %v", info, err)
	}
}

func TestDateOfAMoment(t *testing.T) {
	at := time.Date(2026, 3, 1, 4, 5, 6, 7, time.FixedZone("JST", 9*3600))
	tests := map[string]string{
		"%Y-%m-%dT%H:%M:%S%z": "2026-03-01T04:05:06+0900",
		"%F %T %Z %s":         "2026-03-01 04:05:06 JST 1772305506",
		"%a %A %b %B %e %j":   "Sun Sunday Mar March  1 060",
		"%u %w %V %G %y %I%p": "7 0 09 2026 26 04AM",
		"%N %D %R 100%% %t%n": "000000007 03/01/26 04:05 100% \t\n",
		"end %":               "end %",
	}
	for format, want := range tests {
		if got, err := strftime(at, format); err != nil || got != want {
			t.Errorf("strftime(%q) = %q, %v; want %q", format, got, err, want)
		}
	}
}

func TestSleepTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for arg, want := range map[string]time.Duration{"10": 10 * time.Second, "0.5": 500 * time.Millisecond, "2m": 2 * time.Minute, "1h": time.Hour, "1d": 24 * time.Hour} {
			begin := time.Now()
			if err := sleep(t.Context(), interp.HandlerContext{}, []string{arg}); err != nil || time.Since(begin) != want {
				t.Errorf("sleep %s took %s, %v; want %s", arg, time.Since(begin), err, want)
			}
		}
	})
}
