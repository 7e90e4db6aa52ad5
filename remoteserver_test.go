package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"encoding/pem"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sidecar-kit/sidecar/roles/initcopy/remote/remotetest"
)

// remoteCommands start the servers that downloads come from.
func remoteCommands() map[string]func(*testscript.TestScript, bool, []string) {
	running := &webServers{byName: map[string]*httptest.Server{}}
	return map[string]func(*testscript.TestScript, bool, []string){
		"webserve": running.webServe,
		"registry": running.registry,
		"webstop":  running.stop,
		"redirect": redirect,
		"config":   dockerConfig,
	}
}

// webServers are those of all scripts, which run side by side; names hold the folder of the script.
type webServers struct {
	mu     sync.Mutex
	byName map[string]*httptest.Server
}

func (s *webServers) add(ts *testscript.TestScript, name string, h http.Handler) *httptest.Server {
	server := httptest.NewUnstartedServer(&noted{handler: h, file: ts.MkAbs(name + ".log")})
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	ts.Defer(server.Close)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byName[ts.MkAbs(name)] = server
	return server
}

// stop ends a server: "webstop NAME".
func (s *webServers) stop(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: webstop NAME")
	}
	s.mu.Lock()
	server := s.byName[ts.MkAbs(args[0])]
	s.mu.Unlock()
	server.CloseClientConnections()
	server.Close()
}

// noted writes each request into a file: "GET /path range authorization".
type noted struct {
	handler http.Handler
	file    string
	mu      sync.Mutex
}

func (n *noted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	if f, err := os.OpenFile(n.file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
		_, _ = io.WriteString(f, remotetest.Line(r)+"\n")
		_ = f.Close()
	}
	n.mu.Unlock()
	n.handler.ServeHTTP(w, r)
}

// faults takes them from a file, a line for each request; see remotetest.Web.
func faults(file string) func() string {
	return func() string {
		data, err := os.ReadFile(file)
		if err != nil || len(bytes.TrimSpace(data)) == 0 {
			return "ok"
		}
		first, rest, _ := strings.Cut(string(data), "\n")
		if os.WriteFile(file, []byte(rest), 0o600) != nil {
			return "ok"
		}
		return first
	}
}

// webServe serves a folder by https: "webserve NAME DIR [AUTHORIZATION]". It sets NAME to the address, writes the
// certificate to NAME.pem and requests to NAME.log, and does what lines in NAME.faults say.
func (s *webServers) webServe(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: webserve NAME DIR [AUTHORIZATION]")
	}
	dir := ts.MkAbs(args[1])
	web := &remotetest.Web{Next: faults(ts.MkAbs(args[0] + ".faults")), Want: strings.Join(args[2:], "")}
	web.Find = func(name string) ([]byte, bool) {
		data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(path.Clean("/"+name))))
		return data, err == nil
	}
	server := s.add(ts, args[0], web)
	server.StartTLS()
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".pem"), cert, 0o600))
	ts.Setenv(args[0], server.URL)
}

// redirect is a fault with the address of a variable: "redirect FILE URL".
func redirect(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: redirect FILE URL")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte("redirect "+args[1]+"\n"), 0o600))
}

// dockerConfig writes credentials for the registry of an image, me:geheim: "config FILE REFERENCE".
func dockerConfig(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: config FILE REFERENCE")
	}
	host, _, _ := strings.Cut(strings.TrimPrefix(args[1], "oci://"), "/")
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(`{"auths":{"`+host+`":{"auth":"bWU6Z2VoZWlt"}}}`), 0o600))
}

// registry serves an image of folders, one for each layer, the lowest first: "registry NAME LAYER...". Files whose name
// begins with "link-" become symbolic links to what is in them. It sets NAME to oci://host/app@sha256:..., and NAME_TAG to
// oci://host/app:v1. NAME.log and NAME.faults are as for webserve. The folder NAME.auth, where it exists, makes the registry
// give out tokens for the password that the file "basic" in it holds.
func (s *webServers) registry(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: registry NAME LAYER...")
	}
	r := remotetest.NewRegistry("app")
	r.Blobs.Next = faults(ts.MkAbs(args[0] + ".faults"))
	if login, err := os.ReadFile(ts.MkAbs(args[0] + ".auth/basic")); err == nil {
		r.Token, r.Login = "tok-geheim", strings.TrimSpace(string(login))
	}
	var layers []map[string]any
	for _, dir := range args[1:] {
		layers = append(layers, r.Layer(members(ts, ts.MkAbs(dir))...))
	}
	image := r.Image(layers...)
	image["platform"] = json.RawMessage(`{"os":"linux","architecture":"amd64"}`)
	index := r.Manifest("application/vnd.oci.image.index.v1+json", map[string]any{"manifests": []any{image}})
	r.Tag("v1", index)
	server := s.add(ts, args[0], r)
	server.Start()
	base := strings.Replace(server.URL, "http://", "oci://", 1) + "/app"
	ts.Setenv(args[0], base+"@"+index["digest"].(string))
	ts.Setenv(args[0]+"_TAG", base+":v1")
}

// members are what a folder holds.
func members(ts *testscript.TestScript, dir string) (all []remotetest.Member) {
	ts.Check(filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		if d.IsDir() {
			all = append(all, remotetest.Member{Name: rel + "/", Type: tar.TypeDir})
			return nil
		}
		data, err := os.ReadFile(name)
		if target, ok := strings.CutPrefix(d.Name(), "link-"); ok {
			all = append(all, remotetest.Member{Name: path.Join(path.Dir(rel), target), Link: strings.TrimSpace(string(data))})
			return err
		}
		all = append(all, remotetest.Member{Name: rel, Content: string(data)})
		return err
	}))
	return all
}
