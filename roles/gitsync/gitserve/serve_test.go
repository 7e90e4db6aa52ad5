package gitserve_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/storage/memory"

	"github.com/sidecar-kit/sidecar/roles/gitsync/gitserve"
	"github.com/sidecar-kit/sidecar/roles/gitsync/remote"
)

func files(pairs ...string) map[string]gitserve.File {
	m := map[string]gitserve.File{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = gitserve.File{Data: []byte(pairs[i+1])}
	}
	return m
}

func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func serve(t testing.TB, repo *gitserve.Repo, opts gitserve.Options) (*gitserve.Server, string) {
	t.Helper()
	h := gitserve.Handler(repo, opts)
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return h, gitserve.URL(srv.URL)
}

func open(t testing.TB, cfg remote.Config) remote.Remote {
	t.Helper()
	r := must[remote.Remote](t)(remote.Open(cfg))
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// ingest reads a fetch into a store that may already hold objects.
func ingest(t testing.TB, into *memory.Storage, resp *remote.FetchResponse) int {
	t.Helper()
	defer resp.Pack.Close()
	pack := must[[]byte](t)(io.ReadAll(resp.Pack))
	parser, err := packfile.NewParserWithStorage(packfile.NewScanner(bytes.NewReader(pack)), into)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(); err != nil && !errors.Is(err, packfile.ErrEmptyPackfile) {
		t.Fatalf("parse pack of %d bytes: %v", len(pack), err)
	}
	return len(pack)
}

func TestSameCallsGiveSameCommits(t *testing.T) {
	a, b := gitserve.NewRepo(), gitserve.NewRepo()
	for i := range 3 {
		change := files("a/b/c.txt", fmt.Sprint(i), "d", "x")
		x, y := must[gitserve.Hash](t)(a.Commit("main", change)), must[gitserve.Hash](t)(b.Commit("main", change))
		if x != y {
			t.Fatalf("commit %d = %s and %s; want the same", i, x, y)
		}
	}
}

func TestDeleteRemovesFilesAndEmptyDirectories(t *testing.T) {
	repo := gitserve.NewRepo()
	first := must[gitserve.Hash](t)(repo.Commit("main", files("keep", "k")))
	must[gitserve.Hash](t)(repo.Commit("main", files("a/b/c", "c", "a/b/d", "d")))
	third := must[gitserve.Hash](t)(repo.Commit("main", map[string]gitserve.File{"a/b/c": {}, "a/b/d": {}}))
	tree := func(h gitserve.Hash) string {
		obj := must[plumbing.EncodedObject](t)(repo.EncodedObject(plumbing.CommitObject, h))
		r := must[io.ReadCloser](t)(obj.Reader())
		line, _, _ := strings.Cut(string(must[[]byte](t)(io.ReadAll(r))), "\n")
		return line
	}
	if tree(first) != tree(third) {
		t.Errorf("tree after delete = %s; want %s as before the files", tree(third), tree(first))
	}
}

func TestListShowsHeadTagsAndPrefixes(t *testing.T) {
	for _, v0 := range []bool{false, true} {
		repo := gitserve.NewRepo()
		c := must[gitserve.Hash](t)(repo.Commit("main", files("f", "1")))
		tag := must[gitserve.Hash](t)(repo.Tag("v1", c, "release"))
		must[gitserve.Hash](t)(repo.Tag("light", c, ""))
		_, url := serve(t, repo, gitserve.Options{V0: v0})
		r := open(t, remote.Config{URL: url})
		refs := must[[]remote.Ref](t)(r.List(t.Context(), []string{"HEAD", "refs/tags/v"}))
		want := []remote.Ref{
			{Name: "HEAD", Hash: c, Target: "refs/heads/main"},
			{Name: "refs/tags/v1", Hash: tag, Peeled: c},
		}
		if fmt.Sprint(refs) != fmt.Sprint(want) {
			t.Errorf("List(v0=%v) = %v; want %v", v0, refs, want)
		}
	}
}

func TestFetchSendsOnlyTheChange(t *testing.T) {
	for _, v0 := range []bool{false, true} {
		t.Run(fmt.Sprintf("v0=%v", v0), func(t *testing.T) {
			repo := gitserve.NewRepo()
			site := map[string]gitserve.File{}
			for i := range 200 {
				site[fmt.Sprintf("d%d/f%d", i%10, i)] = gitserve.File{Data: bytes.Repeat([]byte(fmt.Sprintf("line %d\n", i)), 100)}
			}
			site["run"] = gitserve.File{Data: []byte("#!/bin/sh\n"), Mode: filemode.Executable}
			c1 := must[gitserve.Hash](t)(repo.Commit("main", site))
			srv, url := serve(t, repo, gitserve.Options{V0: v0})
			r := open(t, remote.Config{URL: url})
			got := memory.NewStorage()
			resp := must[*remote.FetchResponse](t)(r.Fetch(t.Context(), remote.FetchRequest{Wants: []remote.Hash{c1}, Depth: 1}))
			ingest(t, got, resp)
			if n := srv.Stats().Objects; n != 200+1+10+1+1 {
				t.Errorf("first fetch = %d objects; want 213", n)
			}
			line := append(bytes.Clone(site["d3/f3"].Data), "one more\n"...)
			c2 := must[gitserve.Hash](t)(repo.Commit("main", map[string]gitserve.File{"d3/f3": {Data: line}}))
			resp = must[*remote.FetchResponse](t)(r.Fetch(t.Context(), remote.FetchRequest{
				Wants: []remote.Hash{c2}, Haves: []remote.Hash{c1}, Shallow: []remote.Hash{c1}, Depth: 1,
			}))
			if fmt.Sprint(resp.Shallow) != fmt.Sprint([]remote.Hash{c2}) {
				t.Errorf("shallow = %v; want %v", resp.Shallow, c2)
			}
			size := ingest(t, got, resp)
			if n := srv.Stats().Objects; n != 4 || size > 800 {
				t.Errorf("change = %d objects, %d bytes; want 4 objects, <= 800 bytes", n, size)
			}
			if _, err := got.EncodedObject(plumbing.CommitObject, c2); err != nil {
				t.Errorf("commit after the second fetch: %v", err)
			}
		})
	}
}
