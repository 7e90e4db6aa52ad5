package main

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// What scripts wait for comes within tries naps, which is 90 s; a disk
// that others keep busy makes a publish slow.
const tries = 4500

func nap() { time.Sleep(20 * time.Millisecond) }

// freePort is not one of those that the system gives to clients: some test that
// runs beside this one would get it before it is used.
func freePort() (string, error) {
	for {
		port := strconv.Itoa(10000 + rand.IntN(22000))
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err == nil {
			return port, l.Close()
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return "", err
		}
	}
}

// freePortTo sets a variable to a port that is free: "freeport OTHER".
func freePortTo(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: freeport NAME")
	}
	port, err := freePort()
	ts.Check(err)
	ts.Setenv(args[0], port)
}

// started is a program that runs beside the script.
type started struct {
	cmd  *exec.Cmd
	done chan struct{}
}

type startedKey struct{}

// start runs a program in the background: "start NAME [KEY=VALUE...] PROGRAM
// ARGS...". Its output goes to NAME.out and NAME.err while it runs.
func start(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: start NAME [KEY=VALUE...] PROGRAM ARGS...")
	}
	name, args := args[0], args[1:]
	all := ts.Value(startedKey{}).(*startedSet)
	env := os.Environ()
	for _, key := range all.vars {
		env = append(env, key+"="+ts.Getenv(key))
	}
	for strings.Contains(args[0], "=") {
		env, args = append(env, args[0]), args[1:]
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env, cmd.Dir = env, ts.MkAbs(".")
	for suffix, target := range map[string]*io.Writer{".out": &cmd.Stdout, ".err": &cmd.Stderr} {
		f, err := os.Create(ts.MkAbs(name + suffix))
		ts.Check(err)
		ts.Defer(func() { f.Close() })
		*target = f
	}
	ts.Check(cmd.Start())
	p := &started{cmd, make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(p.done)
	}()
	ts.Defer(func() {
		_ = cmd.Process.Kill()
		<-p.done
	})
	all.byName[name] = p
}

type startedSet struct {
	vars   []string
	byName map[string]*started
}

func (s *startedSet) get(ts *testscript.TestScript, name string) *started {
	p := s.byName[name]
	if p == nil {
		ts.Fatalf("nothing was started as %q", name)
	}
	return p
}

// sendTo signals a program: "term NAME".
func sendTo(sig syscall.Signal) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) == 0 {
			ts.Fatalf("usage: term|int|hup|usr1|kill9 NAME [NAME...]")
		}
		for i, name := range args {
			err := ts.Value(startedKey{}).(*startedSet).get(ts, name).cmd.Process.Signal(sig)
			if i > 0 && errors.Is(err, os.ErrProcessDone) {
				continue // the same program again, which was quick to end
			}
			ts.Check(err)
		}
	}
}

// ended waits for the end of a program and compares its exit code: "ended NAME CODE".
func ended(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: ended NAME CODE")
	}
	p := ts.Value(startedKey{}).(*startedSet).get(ts, args[0])
	select {
	case <-p.done:
	case <-time.After(90 * time.Second):
		ts.Fatalf("%s: not within 90s", args[0])
	}
	if got := strconv.Itoa(p.cmd.ProcessState.ExitCode()); got != args[1] {
		ts.Fatalf("%s ended with %s; want %s\n%s", args[0], got, args[1], ts.ReadFile(args[0]+".err"))
	}
}

// waitReady waits until /readyz of $ADMIN (or an address) is 200, or with ! is not.
func waitReady(ts *testscript.TestScript, neg bool, args []string) {
	addr := ts.Getenv("ADMIN")
	if len(args) == 1 {
		addr = args[0]
	}
	for range tries {
		resp, err := http.Get("http://" + addr + "/readyz")
		if err == nil {
			resp.Body.Close()
			if (resp.StatusCode == http.StatusOK) != neg {
				return
			}
		}
		nap()
	}
	ts.Fatalf("waitready %s: not within 90s", addr)
}

// waitFile waits until a file holds a text: "waitfile NAME TEXT".
func waitFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: waitfile NAME TEXT")
	}
	var data []byte
	for range tries {
		data, _ = os.ReadFile(ts.MkAbs(args[0]))
		if bytes.Contains(data, []byte(args[1])) {
			return
		}
		nap()
	}
	ts.Fatalf("waitfile %s: %q not within 90s\n%s", args[0], args[1], data)
}

// waitGone waits until a file is not there: "waitgone NAME".
func waitGone(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: waitgone NAME")
	}
	for range tries {
		if _, err := os.Lstat(ts.MkAbs(args[0])); errors.Is(err, os.ErrNotExist) {
			return
		}
		nap()
	}
	ts.Fatalf("waitgone %s: still there after 90s", args[0])
}

// waitHTTP waits until a page of $ADMIN matches: "waithttp PATH REGEXP".
func waitHTTP(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: waithttp PATH REGEXP")
	}
	want, err := regexp.Compile(args[1])
	ts.Check(err)
	var body []byte
	for range tries {
		resp, err := http.Get("http://" + ts.Getenv("ADMIN") + args[0])
		if err == nil {
			body, _ = io.ReadAll(resp.Body)
			resp.Body.Close()
			if want.Match(body) {
				return
			}
		}
		nap()
	}
	ts.Fatalf("waithttp %s: %q not within 90s\n%s", args[0], args[1], body)
}

// exitCode runs a command line and compares its exit code:
// "exitcode 64 sidecar ...".
func exitCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exitcode CODE COMMAND...")
	}
	err := ts.Exec(args[1], args[2:]...)
	var coded interface{ ExitCode() int }
	got := 0
	switch {
	case errors.As(err, &coded):
		got = coded.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if want := args[0]; strconv.Itoa(got) != want {
		ts.Fatalf("exit code %d; want %s", got, want)
	}
}

// request asks for a URL and prints the answer: "httpget PATH-OR-URL [STATUS
// [HEADER:VALUE...]]".
func request(method string) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) < 1 {
			ts.Fatalf("usage: httpget|httppost PATH-OR-URL [STATUS [HEADER:VALUE...]]")
		}
		url, want := args[0], "200"
		if strings.HasPrefix(url, "/") {
			url = "http://" + ts.Getenv("ADMIN") + url
		}
		if len(args) > 1 {
			want = args[1]
		}
		req, err := http.NewRequest(method, url, http.NoBody)
		ts.Check(err)
		for _, h := range args[min(2, len(args)):] {
			name, value, _ := strings.Cut(h, ":")
			req.Header.Set(name, value)
		}
		resp, err := http.DefaultClient.Do(req)
		ts.Check(err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		ts.Check(err)
		var head bytes.Buffer
		ts.Check(resp.Header.Write(&head))
		_, err = ts.Stdout().Write(append(append(head.Bytes(), '\n'), body...))
		ts.Check(err)
		if strconv.Itoa(resp.StatusCode) != want {
			ts.Fatalf("%s %s = %d; want %s\n%s", method, url, resp.StatusCode, want, body)
		}
	}
}
