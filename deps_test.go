package main

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/sidecar-kit/sidecar"

// floors says which packages of ours a package may import. A role may import
// role and everything below it; role is above both floors.
func floors() map[string][]string {
	ground := []string{"exit", "backoff", "gz", "health", "inflate", "memory", "meter", "order", "procfs", "proto", "secret", "status", "suggest", "zone"}
	allowed := map[string][]string{
		"draft":   ground,
		"strict":  ground,
		"watch":   ground,
		"publish": ground,
		"notify":  append([]string{"proc"}, ground...),
		"proc":    ground,
		"tlsconf": append([]string{"watch"}, ground...),
		"admin":   append([]string{"tlsconf"}, ground...),
		"probe":   ground,
		"role":    ground,
		"host":    append([]string{"role", "admin", "proc", "probe"}, ground...),
	}
	for _, g := range ground {
		allowed[g] = nil
	}
	return allowed
}

// below is what a role may import besides its own packages.
func below() []string {
	return []string{
		"role", "draft", "strict", "watch", "publish", "notify", "probe", "proc", "tlsconf",
		"exit", "backoff", "gz", "health", "inflate", "memory", "meter", "order", "procfs", "proto", "secret", "status", "suggest", "zone",
	}
}

// owners says who may import a module or a package of the standard library that
// does more than it seems. Patterns match a folder, or one file of it.
func owners() map[string][]string {
	return map[string][]string{
		"github.com/go-git":               {"roles/gitsync"},
		"github.com/klauspost/compress":   {"internal/gz", "internal/zone", "roles/gitsync", "roles/initcopy/unpack", "roles/initcopy/remote/remotetest", "roles/logship"},
		"github.com/pjbgf/sha1cd":         {"roles/gitsync"},
		"golang.org/x/crypto":             {"roles/gitsync", "roles/adapter"},
		"github.com/bmatcuk/doublestar":   {"roles/initcopy", "roles/logship/source"},
		"github.com/itchyny/gojq":         {"roles/adapter/jq"},
		"github.com/nxadm/tail":           {"roles/logship"},
		"github.com/robfig/cron":          {"roles/cron"},
		"mvdan.cc/sh":                     {"roles/cron/shell"},
		"github.com/fsnotify/fsnotify":    {"internal/watch"},
		"github.com/urfave/cli":           {".", "internal/host", "roles/*/command.go"},
		"go.yaml.in/yaml":                 {"internal/draft", "internal/host", "internal/strict", "roles/*/settings.go", "roles/*/file.go"},
		"github.com/rs/zerolog":           {"internal", "roles"},
		"github.com/rs/zerolog/log":       nil,
		"golang.org/x/sys":                {"internal", "roles"},
		"github.com/rogpeppe/go-internal": nil, // tests only
		"os/exec":                         {"internal/proc"},
		"os/signal":                       {"internal/host"},
		"log":                             {"roles/adapter/web", "roles/proxy/h2", "roles/proxy/std"}, // to silence net/http; the logger is a value
		"flag":                            {"internal/host"},
		"expvar":                          nil, // global registries
		"net/http/pprof":                  nil,
		"time/tzdata":                     nil, // internal/zone has the same in an eighth
	}
}

func TestImports(t *testing.T) {
	for _, complaint := range checkImports(".") {
		t.Error(complaint)
	}
}

// TestForbiddenImportsAreFound plants each kind of violation in a tree of its own.
func TestForbiddenImportsAreFound(t *testing.T) {
	tests := []struct{ file, imports, want string }{
		{"roles/echo/echo.go", module + "/roles/gitsync", "roles/echo/echo.go imports roles/gitsync: roles never import roles"},
		{"roles/echo/echo.go", module + "/internal/host", "roles/echo/echo.go imports internal/host: only command.go may"},
		{"roles/echo/sub/x.go", module + "/internal/host", "roles/echo/sub/x.go imports internal/host: only command.go may"},
		{"roles/echo/echo.go", module + "/internal/admin", "roles/echo/echo.go imports internal/admin: not below a role"},
		{"roles/gitsync/sub/x.go", module + "/roles/echo", "roles/gitsync/sub/x.go imports roles/echo: roles never import roles"},
		{"internal/exit/x.go", module + "/internal/secret", "internal/exit/x.go imports internal/secret: not below it"},
		{"internal/notify/x.go", module + "/internal/role", "internal/notify/x.go imports internal/role: not below it"},
		{"internal/host/x.go", module + "/roles/gitsync", "internal/host/x.go imports roles/gitsync: not below it"},
		{"internal/util/x.go", "fmt", "internal/util/x.go: unknown package internal/util, give it a floor in deps_test.go"},
		{"roles/echo/echo.go", "github.com/urfave/cli/v2", "roles/echo/echo.go imports github.com/urfave/cli/v2: owned by ., internal/host, roles/*/command.go"},
		{"roles/echo/echo.go", "github.com/go-git/go-git/v5", "roles/echo/echo.go imports github.com/go-git/go-git/v5: owned by roles/gitsync"},
		{"roles/echo/echo.go", "os/exec", "roles/echo/echo.go imports os/exec: owned by internal/proc"},
		{"roles/echo/echo.go", "example.com/new", "roles/echo/echo.go imports example.com/new: no owner in deps_test.go"},
		{"internal/host/x.go", "github.com/rs/zerolog/log", "internal/host/x.go imports github.com/rs/zerolog/log: owned by nobody"},
		{"roles/gitsync/sub/x.go", "github.com/go-git/go-git/v5", ""},
		{"roles/echo/command.go", module + "/internal/host", ""},
		{"roles/echo/echo_test.go", "os/exec", ""},
		{"main.go", module + "/roles/gitsync", ""},
	}
	for _, tt := range tests {
		root := t.TempDir()
		name := filepath.Join(root, tt.file)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte("package x\n\nimport _ "+strconv.Quote(tt.imports)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(checkImports(root), "; "); got != tt.want {
			t.Errorf("checkImports with %s importing %s = %q; want %q", tt.file, tt.imports, got, tt.want)
		}
	}
}

// TestZonesAreLoadedByInternalZone: the library finds no zone in an image from scratch.
func TestZonesAreLoadedByInternalZone(t *testing.T) {
	callers := 0
	for _, root := range []string{"main.go", "internal", "roles"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			if !strings.Contains(string(text), "time.LoadLocation(") {
				return err
			}
			callers++
			if filepath.Dir(path) != filepath.Join("internal", "zone") {
				t.Errorf("%s calls time.LoadLocation; want zone.Load", path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if callers == 0 {
		t.Error("nobody calls time.LoadLocation; want internal/zone")
	}
}

// checkImports parses every file under root that is part of the program.
func checkImports(root string) []string {
	var complaints []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		nested := d.IsDir() && rel != "." && exists(filepath.Join(path, "go.mod"))
		if nested || d.IsDir() && rel != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(rel, ".go") || strings.HasSuffix(rel, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		complaints = append(complaints, unknownPackage(rel)...)
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if reason := forbidden(rel, imported); reason != "" {
				complaints = append(complaints, fmt.Sprintf("%s imports %s: %s", rel, strings.TrimPrefix(imported, module+"/"), reason))
			}
		}
		return nil
	})
	if err != nil {
		complaints = append(complaints, err.Error())
	}
	return complaints
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func unknownPackage(file string) []string {
	parts := strings.Split(file, "/")
	if parts[0] != "internal" {
		return nil
	}
	if _, ok := floors()[parts[1]]; ok {
		return nil
	}
	return []string{fmt.Sprintf("%s: unknown package internal/%s, give it a floor in deps_test.go", file, parts[1])}
}

// forbidden says why a file may not import a package; "" means it may.
func forbidden(file, imported string) string {
	if ours, ok := strings.CutPrefix(imported, module+"/"); ok {
		return forbiddenOurs(strings.Split(file, "/"), strings.Split(ours, "/"))
	}
	return forbiddenModule(file, imported)
}

func forbiddenOurs(file, imported []string) string {
	switch {
	case len(file) == 1: // main.go
		return ""
	case file[0] == "roles" && imported[0] == "roles":
		if file[1] != imported[1] {
			return "roles never import roles"
		}
	case file[0] == "roles" && imported[1] == "host":
		if len(file) != 3 || file[2] != "command.go" {
			return "only command.go may"
		}
	case file[0] == "roles":
		if !slices.Contains(below(), imported[1]) {
			return "not below a role"
		}
	case imported[0] != "internal" || imported[1] != file[1] && !slices.Contains(floors()[file[1]], imported[1]):
		return "not below it"
	}
	return ""
}

// forbiddenModule looks for the longest entry of owners that covers the import.
func forbiddenModule(file, imported string) string {
	best := ""
	for path := range owners() {
		covers := imported == path || strings.HasPrefix(imported, path+"/") && strings.Contains(path, ".")
		if covers && len(path) > len(best) {
			best = path
		}
	}
	standard := !strings.Contains(strings.Split(imported, "/")[0], ".")
	switch {
	case best == "" && standard:
		return ""
	case best == "":
		return "no owner in deps_test.go"
	case len(owners()[best]) == 0:
		return "owned by nobody"
	}
	for _, pattern := range owners()[best] {
		if owned(file, pattern) {
			return ""
		}
	}
	return "owned by " + strings.Join(owners()[best], ", ")
}

func owned(file, pattern string) bool {
	if pattern == "." {
		return !strings.Contains(file, "/")
	}
	ok, err := filepath.Match(pattern, file)
	return err == nil && ok || strings.HasPrefix(file, pattern+"/")
}
