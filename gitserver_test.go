package main

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sidecar-kit/sidecar/roles/gitsync/gitserve"
)

// gitServer is a repository that a script fills and the program follows. It
// lives in the test's process, so no git has to be installed.
type gitServer struct {
	repo   *gitserve.Repo
	server *gitserve.Server
	http   *httptest.Server
}

type gitServersKey struct{}

func gitCommands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"gitserve":  gitServe,
		"commit":    gitCommit,
		"gittag":    gitTag,
		"gitref":    gitRef,
		"gitfail":   gitFail,
		"gitmodule": gitModule,
		"gitstop":   gitStop,
	}
}

// gitServe starts a server on the loopback interface: "gitserve NAME
// [USER:PASSWORD]". It sets REPO to the repository's address.
func gitServe(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: gitserve NAME [USER:PASSWORD]")
	}
	var opts gitserve.Options
	if len(args) == 2 {
		opts.Username, opts.Password, _ = strings.Cut(args[1], ":")
	}
	g := &gitServer{repo: gitserve.NewRepo()}
	g.server = gitserve.Handler(g.repo, opts)
	g.http = httptest.NewServer(g.server)
	ts.Defer(g.http.Close)
	ts.Value(gitServersKey{}).(map[string]*gitServer)[args[0]] = g
	ts.Setenv("REPO", g.http.URL+"/"+args[0]+".git")
}

func gitNamed(ts *testscript.TestScript, name string) *gitServer {
	g := ts.Value(gitServersKey{}).(map[string]*gitServer)[name]
	if g == nil {
		ts.Fatalf("no gitserve %s", name)
	}
	return g
}

// gitCommit adds a commit: "commit [-force] NAME BRANCH PATH=TEXT...". Without
// =TEXT the path is deleted, PATH@=TARGET is a symbolic link; -force replaces
// the branch's history. It sets COMMIT.
func gitCommit(ts *testscript.TestScript, neg bool, args []string) {
	force := len(args) > 0 && args[0] == "-force"
	if force {
		args = args[1:]
	}
	if neg || len(args) < 3 {
		ts.Fatalf("usage: commit [-force] NAME BRANCH PATH=TEXT...")
	}
	changes := map[string]gitserve.File{}
	for _, a := range args[2:] {
		path, text, ok := strings.Cut(a, "=")
		f := gitserve.File{}
		if ok {
			f.Data = []byte(text + "\n")
		}
		if link, isLink := strings.CutSuffix(path, "@"); isLink {
			path, f.Data, f.Mode = link, []byte(text), 0o120000
		}
		changes[path] = f
	}
	repo := gitNamed(ts, args[0]).repo
	add := repo.Commit
	if force {
		add = repo.ForceCommit
	}
	h, err := add(args[1], changes)
	ts.Check(err)
	ts.Setenv("COMMIT", h.String())
}

// gitTag makes a tag, with a message an annotated one: "gittag NAME TAG HASH [MESSAGE]".
func gitTag(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 || len(args) > 4 {
		ts.Fatalf("usage: gittag NAME TAG HASH [MESSAGE]")
	}
	_, err := gitNamed(ts, args[0]).repo.Tag(args[1], plumbing.NewHash(args[2]), strings.Join(args[3:], ""))
	ts.Check(err)
}

// gitRef sets a ref, or without a hash deletes it: "gitref NAME REF [HASH]".
func gitRef(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: gitref NAME REF [HASH]")
	}
	repo := gitNamed(ts, args[0]).repo
	if len(args) == 2 {
		ts.Check(repo.DeleteRef(args[1]))
		return
	}
	ts.Check(repo.SetRef(args[1], plumbing.NewHash(args[2])))
}

// gitModule makes a commit with index.html and a submodule: "gitmodule NAME
// BRANCH PATH URL HASH". PATH is one name. It sets COMMIT.
func gitModule(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 5 {
		ts.Fatalf("usage: gitmodule NAME BRANCH PATH URL HASH")
	}
	repo, path := gitNamed(ts, args[0]).repo, args[2]
	text := fmt.Sprintf("[submodule %q]\n\tpath = %s\n\turl = %s\n", path, path, args[3])
	modules, err := repo.PutObject(plumbing.BlobObject, []byte(text))
	ts.Check(err)
	index, err := repo.PutObject(plumbing.BlobObject, []byte("top\n"))
	ts.Check(err)
	entries := []gitserve.Entry{
		{Mode: filemode.Regular, Name: ".gitmodules", Hash: modules},
		{Mode: filemode.Regular, Name: "index.html", Hash: index},
		{Mode: filemode.Submodule, Name: path, Hash: plumbing.NewHash(args[4])},
	}
	slices.SortFunc(entries, func(a, b gitserve.Entry) int { return strings.Compare(a.Name, b.Name) })
	tree, err := repo.PutTree(entries...)
	ts.Check(err)
	commit, err := repo.PutCommit(tree)
	ts.Check(err)
	ts.Check(repo.SetRef("refs/heads/"+args[1], commit))
	ts.Setenv("COMMIT", commit.String())
}

// gitFail answers the next requests with a status: "gitfail NAME TIMES STATUS".
func gitFail(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: gitfail NAME TIMES STATUS")
	}
	times, err := strconv.Atoi(args[1])
	ts.Check(err)
	status, err := strconv.Atoi(args[2])
	ts.Check(err)
	gitNamed(ts, args[0]).server.FailNext(times, status, 0)
}

// gitStop takes a server away: "gitstop NAME".
func gitStop(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: gitstop NAME")
	}
	gitNamed(ts, args[0]).http.Close()
}

// repoOnDisk is what sync's least arguments name.
func repoOnDisk(work string) error {
	repo, err := gitserve.NewRepoDir(filepath.Join(work, "repo.git"))
	if err != nil {
		return err
	}
	_, err = repo.Commit("main", map[string]gitserve.File{"index.html": {Data: []byte("hello\n")}})
	return err
}

// waitLink waits until the link leads to a commit: "waitlink LINK HASH". With !
// it asserts that the link is not there.
func waitLink(ts *testscript.TestScript, neg bool, args []string) {
	if neg && len(args) == 1 {
		if _, err := os.Lstat(ts.MkAbs(args[0])); !errors.Is(err, os.ErrNotExist) {
			ts.Fatalf("%s is there: %v", args[0], err)
		}
		return
	}
	if neg || len(args) != 2 {
		ts.Fatalf("usage: waitlink LINK HASH")
	}
	target := ""
	for range tries {
		target, _ = os.Readlink(ts.MkAbs(args[0]))
		if filepath.Base(target) == args[1] {
			return
		}
		nap()
	}
	ts.Fatalf("waitlink %s: leads to %q; want %s", args[0], target, args[1])
}
