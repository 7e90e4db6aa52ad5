package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// adapterCommands are an application that speaks of itself, and who asks and sends.
func adapterCommands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){"app": app, "page": page, "waitpage": waitPage, "send": send}
}

// app answers with the files of the folder app: "app VAR" sets VAR to its address. FILE.type is the content type of FILE, FILE.slow how long it takes;
// /count/FILE is how often it was asked for, and with which Authorization the last time.
func app(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: app VAR")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	a := &application{folder: ts.MkAbs("app"), asked: map[string]int{}, auth: map[string]string{}}
	server := &http.Server{Handler: a, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }()
	ts.Defer(func() { _ = server.Close() })
	ts.Setenv(args[0], l.Addr().String())
}

type application struct {
	folder string
	mu     sync.Mutex
	asked  map[string]int
	auth   map[string]string
}

func (a *application) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.Trim(r.URL.Path, "/")
	if counted, is := strings.CutPrefix(name, "count/"); is {
		a.mu.Lock()
		defer a.mu.Unlock()
		fmt.Fprintf(w, "%d %s\n", a.asked[counted], a.auth[counted])
		return
	}
	a.mu.Lock()
	a.asked[name]++
	a.auth[name] = r.Header.Get("Authorization")
	a.mu.Unlock()
	file := filepath.Join(a.folder, filepath.FromSlash(name))
	data, err := os.ReadFile(file)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	if slow, err := os.ReadFile(file + ".slow"); err == nil {
		d, err := time.ParseDuration(strings.TrimSpace(string(slow)))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		select {
		case <-time.After(d):
		case <-r.Context().Done():
			return
		}
	}
	w.Header()["Content-Type"] = nil
	if kind, err := os.ReadFile(file + ".type"); err == nil {
		w.Header().Set("Content-Type", strings.TrimSpace(string(kind)))
	}
	_, _ = w.Write(data)
}

// page prints the body of an answer: "page [!]STATUS URL [HEADER:VALUE...]".
func page(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: page STATUS URL [HEADER:VALUE...]")
	}
	code, body, err := get(args[1], args[2:])
	ts.Check(err)
	_, err = ts.Stdout().Write(body)
	ts.Check(err)
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("%s = %d; want %s\n%s", args[1], code, args[0], body)
	}
}

func get(url string, headers []string) (int, []byte, error) {
	req, err := http.NewRequest(http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, nil, err
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ":")
		req.Header.Set(name, value)
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return answer.StatusCode, body, err
}

// waitPage waits until a page says something: "waitpage URL REGEXP".
func waitPage(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: waitpage URL REGEXP")
	}
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	var body []byte
	for end := time.Now().Add(90 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if _, body, err = get(args[0], nil); err == nil && re.Match(body) != neg {
			return
		}
	}
	ts.Fatalf("%s: not within 90s: %s\n%s %v", args[0], args[1], body, err)
}

// send sends a file: "send udp://HOST:PORT FILE", or tcp, unixgram:///PATH, unix:///PATH.
func send(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: send SCHEME://ADDRESS FILE")
	}
	scheme, address, _ := strings.Cut(args[0], "://")
	c, err := net.Dial(scheme, address)
	ts.Check(err)
	_, err = io.WriteString(c, ts.ReadFile(args[1]))
	ts.Check(err)
	ts.Check(c.Close())
}
