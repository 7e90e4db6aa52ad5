package main

import (
	"crypto/ed25519"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// httpServe starts a web server: "httpserve NAME". It sets HTTP to its address,
// notes each request in NAME.log ("POST /path hash") and answers with the
// status in NAME.status and the text in NAME.body, where these files exist.
func httpServe(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: httpserve NAME")
	}
	base := ts.MkAbs(args[0])
	var mu sync.Mutex
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		f, err := os.OpenFile(base+".log", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return
		}
		defer f.Close()
		fmt.Fprintln(f, r.Method, r.URL.Path, r.Header.Get("Gitsync-Hash"))
		if text, err := os.ReadFile(base + ".status"); err == nil {
			if status, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
				w.WriteHeader(status)
			}
		}
		body, _ := os.ReadFile(base + ".body")
		_, _ = w.Write(body)
	}))
	ts.Defer(s.Close)
	ts.Setenv("HTTP", s.URL)
}

// sshServe starts a server that proves who it is and lets nobody in: "sshserve
// NAME". It sets SSH to its address and writes NAME.known_hosts.
func sshServe(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: sshserve NAME")
	}
	_, private, err := ed25519.GenerateKey(nil)
	ts.Check(err)
	signer, err := ssh.NewSignerFromKey(private)
	ts.Check(err)
	conf := &ssh.ServerConfig{PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
		return nil, fmt.Errorf("not this one")
	}}
	conf.AddHostKey(signer)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _, _, _ = ssh.NewServerConn(conn, conf)
			conn.Close()
		}
	}()
	line := knownhosts.Line([]string{l.Addr().String()}, signer.PublicKey())
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".known_hosts"), []byte(line+"\n"), 0o600))
	ts.Setenv("SSH", "ssh://git@"+l.Addr().String()+"/site.git")
}

// sshKey writes a new private key: "sshkey FILE".
func sshKey(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: sshkey FILE")
	}
	_, private, err := ed25519.GenerateKey(nil)
	ts.Check(err)
	block, err := ssh.MarshalPrivateKey(private, "")
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), pem.EncodeToMemory(block), 0o600))
}
