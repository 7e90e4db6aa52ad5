package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sidecar-kit/sidecar/internal/host"
	"github.com/sidecar-kit/sidecar/roles/logship/outputs"
	"github.com/sidecar-kit/sidecar/roles/proxy/route"
)

//nolint:gochecknoglobals // flags of a test binary are registered before TestMain parses them
var update = flag.Bool("update", false, "write the generated tables into docs/roles")

// TestGoldenReference compares the tables in docs/roles/<role>.md with what the
// program has, so that the pages can not drift: go test . -run Golden -update.
func TestGoldenReference(t *testing.T) {
	for _, cmd := range roles() {
		t.Run(cmd.Name, func(t *testing.T) {
			flags, metrics, err := host.Reference(cmd, arguments(t, cmd.Name, t.TempDir()))
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("docs/roles", cmd.Name+".md")
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			after, err := between(string(before), "flags", flags)
			if err == nil {
				after, err = between(after, "metrics", metrics)
			}
			tables := host.Tables(cmd)
			if cmd.Name == "proxy" {
				tables["options"] = routeOptions()
			}
			if cmd.Name == "logship" {
				tables["options"] = outputOptions()
			}
			for name, table := range tables {
				if err == nil {
					after, err = between(after, name, table)
				}
			}
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			switch {
			case after == string(before):
			case *update:
				if err := os.WriteFile(path, []byte(after), 0o644); err != nil {
					t.Fatal(err)
				}
			default:
				t.Errorf("%s is not what the program has; run: go test . -run Golden -update", path)
			}
		})
	}
}

// outputOptions renders what may stand in an output.
func outputOptions() string {
	var b strings.Builder
	b.WriteString("| option | outputs | default | what it does |\n|---|---|---|---|\n")
	cell := strings.NewReplacer("|", `\|`).Replace
	for _, o := range outputs.Options() {
		kinds := "all"
		if len(o.Kinds) > 0 {
			kinds = strings.Join(o.Kinds, ", ")
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", o.Name, kinds, cell(o.Default), cell(o.Usage))
	}
	return b.String()
}

// routeOptions renders what may stand in a route.
func routeOptions() string {
	var b strings.Builder
	b.WriteString("| option | stands | for | default | what it does |\n|---|---|---|---|---|\n")
	for _, o := range route.Options() {
		side := map[route.Side]string{route.OfListener: "before =>", route.OfRoute: "anywhere", route.OfCluster: "after =>"}[o.Of]
		def := o.Default()
		if def != "" {
			def = "`" + def + "`"
		}
		cell := strings.NewReplacer("|", `\|`).Replace
		fmt.Fprintf(&b, "| `%s=%s` | %s | %s | %s | %s |\n", o.Name, cell(o.Value), side, o.Needs, def, cell(o.Usage))
	}
	return b.String()
}

// TestReferenceOfEcho shows what the generated tables look like.
func TestReferenceOfEcho(t *testing.T) {
	flags, metrics, err := host.Reference(echoCommand(), arguments(t, "echo", t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| `--text` | `SIDECAR_ECHO_TEXT` | `hello` | what to say | `--message` `OLD_TEXT` |",
		"| `--once` | `SIDECAR_ECHO_ONCE` | `false` | do one pass and exit | `--one-time` `OLD_ONE_TIME` |",
		"| `--password` | `SIDECAR_ECHO_PASSWORD` |  | kept secret | `OLD_PASSWORD` |",
	} {
		if !strings.Contains(flags, want) {
			t.Errorf("flags have no line %q:\n%s", want, flags)
		}
	}
	for _, want := range []string{
		"| `--log-format` | `SIDECAR_ECHO_LOG_FORMAT` | `json` | log as json or text | `--json` (json) |",
		"| `-S` (compatibility only) |  | `false` | accepted, without effect: logs go to standard error |  |",
	} {
		if !strings.Contains(flags, want) {
			t.Errorf("flags have no line %q:\n%s", want, flags)
		}
	}
	tables := host.Tables(echoCommand())
	if want := "| `--upper`, `-u` | `false` | in capitals |"; !strings.Contains(tables["flags:spell"], want) {
		t.Errorf("flags:spell has no line %q:\n%s", want, tables["flags:spell"])
	}
	if want := "`greetings`: who is greeted\n\n```yaml\ngreetings:\n  - bob\n```\n"; tables["keys"] != want {
		t.Errorf("keys = %q; want %q", tables["keys"], want)
	}
	if want := "| `sidecar_echo_words_total` | counter | kind | Words that were said. |"; !strings.Contains(metrics, want) {
		t.Errorf("metrics have no line %q:\n%s", want, metrics)
	}
}

// between replaces the lines between the markers of a name.
func between(page, name, table string) (string, error) {
	begin, end := "<!-- "+name+":begin -->\n", "<!-- "+name+":end -->"
	head, rest, ok := strings.Cut(page, begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return "", fmt.Errorf("no lines %q and %q", strings.TrimSpace(begin), end)
	}
	return head + begin + table + end + tail, nil
}

func TestBetween(t *testing.T) {
	got, err := between("a\n<!-- x:begin -->\nold\n<!-- x:end -->\nb\n", "x", "new\n")
	if want := "a\n<!-- x:begin -->\nnew\n<!-- x:end -->\nb\n"; err != nil || got != want {
		t.Errorf("between(...) = %q, %v; want %q", got, err, want)
	}
	if _, err := between("nothing", "x", ""); err == nil {
		t.Error("between without markers = nil; want an error")
	}
}
