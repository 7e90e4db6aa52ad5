package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/sidecar-kit/sidecar/bench/lab"
)

// h2spec is the version that is run. It is no requirement of this module: its own ones would move ours.
const h2spec = "github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible"

// installed builds a program once per run of the benchmark.
func (b *bench) installed(name, module string) (string, error) {
	path := filepath.Join(b.bin, name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	build := exec.Command("go", "install", module)
	build.Dir = b.dir
	build.Env = append(os.Environ(), "GOBIN="+b.bin, "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w: %s", module, err, out)
	}
	return path, nil
}

var h2specDone = regexp.MustCompile(`(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed`)

func runH2spec(path, addr string) (lab.Sample, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "-t", "-k", "-h", host(addr), "-p", port(addr), "-P", "/100", "-o", "2")
	out, err := cmd.CombinedOutput() // it exits with 1 when a case fails
	m := h2specDone.FindSubmatch(out)
	if m == nil {
		return nil, fmt.Errorf("h2spec: %w: %.300s", err, out)
	}
	return lab.Sample{"all": number(string(m[1])), "passed": number(string(m[2]))}, nil
}

// proxyH2spec counts the cases of h2spec that pass in front of a plain HTTP/1.1 application.
func (b *bench) proxyH2spec(r *rig) ([]row, error) {
	path, err := b.installed("h2spec", h2spec)
	if err != nil {
		return missingRows([]string{err.Error()}), nil
	}
	here, missing, err := r.enlist(duty{scheme: "https", h2: true}, b.us(), nginx(), haproxy())
	defer stopAll(here)
	if err != nil {
		return nil, err
	}
	results, errs := make([]lab.Sample, len(here)), make([]error, len(here))
	var all sync.WaitGroup // most of it is waiting for what does not come
	for i, c := range here {
		all.Go(func() { results[i], errs[i] = runH2spec(path, c.addr) })
	}
	all.Wait()
	passed := map[string]lab.Sample{}
	for i, c := range here {
		if errs[i] != nil && i == 0 {
			return nil, errs[i]
		}
		if errs[i] != nil {
			missing = append(missing, fmt.Sprintf("%s: %v", c.name, errs[i]))
			continue
		}
		passed[c.name] = results[i]
	}
	us := passed["sidecar"]
	show := func(s lab.Sample) string { return fmt.Sprintf("%.0f of %.0f", s["passed"], s["all"]) }
	rows := []row{judged("h2spec "+strings.TrimSuffix(h2spec[strings.Index(h2spec, "@")+1:], "+incompatible")+": cases that pass", show(us), "-", "-", -us["passed"], -138, -145, "at least 138 / 145")}
	for _, c := range here[1:] {
		if s := passed[c.name]; s != nil {
			rows = append(rows, info("the same, beside "+c.name, show(us), show(s), "-"))
		}
	}
	return append(rows, missingRows(missing)...), nil
}
