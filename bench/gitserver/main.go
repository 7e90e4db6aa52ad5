// Command gitserver serves bare repositories over smart HTTP by running git http-backend,
// in a process of its own, so that its CPU never lands on the tool that is measured. It
// counts what crosses the wire. The first line it prints holds two addresses: the
// repositories, and the figures as JSON. It is for tests and benchmarks.
package main

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
)

func main() {
	root := flag.String("root", ".", "folder that holds the bare repositories")
	listen := flag.String("listen", "127.0.0.1:0", "address; port 0 lets the system choose")
	user := flag.String("user", "", "require this user by basic authentication")
	password := flag.String("password", "", "the user's password")
	flag.Parse()
	if err := run(*root, *listen, *user, *password); err != nil {
		log.Fatal(err)
	}
}

func run(root, listen, user, password string) error {
	out, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		return fmt.Errorf("git --exec-path: %w", err)
	}
	backend := filepath.Join(strings.TrimSpace(string(out)), "git-http-backend")
	root, err = filepath.Abs(root)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	// On a listener of its own, so that asking for the figures does not change them.
	statsListener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := &server{backend: backend, root: root, user: user, password: password}
	fmt.Printf("http://%s http://%s\n", l.Addr(), statsListener.Addr())
	go func() { log.Fatal(http.Serve(statsListener, http.HandlerFunc(s.stats))) }()
	return http.Serve(counted{l, &s.sent}, s)
}

type server struct {
	backend, root, user, password string

	sent, requests, polls atomic.Int64
}

// Stats is what the second address answers.
type Stats struct {
	BytesSent  int64 // everything written to sockets, headers included
	Requests   int64
	UploadPack int64 // POSTs to git-upload-pack: one per poll, one more per fetch
	CPUSeconds float64
}

func (s *server) stats(w http.ResponseWriter, _ *http.Request) {
	now := Stats{BytesSent: s.sent.Load(), Requests: s.requests.Load(), UploadPack: s.polls.Load(), CPUSeconds: cpuSeconds()}
	if err := json.NewEncoder(w).Encode(now); err != nil {
		log.Print(err)
	}
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.requests.Add(1)
	if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/git-upload-pack") {
		s.polls.Add(1)
	}
	if !s.allowed(r) {
		w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
		http.Error(w, "authentication required", http.StatusUnauthorized)
		return
	}
	// CGI knows no chunked bodies, and git sends large ones that way.
	if r.ContentLength < 0 {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
	}
	// A client that is killed half-way is what the tests are about, not news.
	h := cgi.Handler{Path: s.backend, Logger: log.New(io.Discard, "", 0), Env: []string{
		"GIT_PROJECT_ROOT=" + s.root, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=" + s.user,
		"GIT_PROTOCOL=" + r.Header.Get("Git-Protocol"),
		// The folder may belong to another uid when it is a container's volume.
		"GIT_CONFIG_COUNT=2", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
		"GIT_CONFIG_KEY_1=http.receivepack", "GIT_CONFIG_VALUE_1=true",
	}}
	h.ServeHTTP(w, r)
}

func (s *server) allowed(r *http.Request) bool {
	if s.user == "" {
		return true
	}
	user, password, _ := r.BasicAuth()
	return subtle.ConstantTimeCompare([]byte(user+":"+password), []byte(s.user+":"+s.password)) == 1
}

func cpuSeconds() float64 {
	var total float64
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if err := syscall.Getrusage(who, &u); err != nil {
			fmt.Fprintln(os.Stderr, err)
			continue
		}
		total += float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
	}
	return total
}

// counted counts what is written to each accepted connection.
type counted struct {
	net.Listener
	sent *atomic.Int64
}

func (l counted) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return countedConn{c, l.sent}, nil
}

type countedConn struct {
	net.Conn
	sent *atomic.Int64
}

func (c countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.sent.Add(int64(n))
	return n, err
}
