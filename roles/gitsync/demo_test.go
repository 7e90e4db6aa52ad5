package gitsync

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestDemoShowsAPushAndLeavesNothingBehind(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	var out bytes.Buffer
	if err := demo(t.Context(), &out); err != nil {
		t.Fatalf("demo = %v\n%s", err, out.String())
	}
	for _, want := range []string{
		`git +http://127\.0\.0\.1:\d+/site\.git has commit [0-9a-f]{40} with 200 pages`,
		`published +html -> \.worktrees/[0-9a-f]{40}\n`,
		`GET / +<h1>commit 1</h1>\n`,
		`GET / +<h1>commit 2</h1>, \d+ ms after the push\n`,
		`reader +\d+ walks, \d+ different commits, 0 mixtures`,
	} {
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("output has no %q:\n%s", want, out.String())
		}
	}
	if n := strings.Count(out.String(), "\n"); n > 15 {
		t.Errorf("output has %d lines; want what fits on a screen", n)
	}
	if left, err := filepath.Glob(filepath.Join(tmp, "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestDemoStopsTidilyWhenInterrupted(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	ctx, cancel := context.WithCancel(t.Context())
	begin := time.Now()
	err := demo(ctx, writerFunc(func(p []byte) (int, error) {
		if bytes.Contains(p, []byte("push")) {
			cancel()
		}
		return len(p), nil
	}))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("demo = %v; want context.Canceled", err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("demo took %s to stop", took)
	}
	if left, _ := os.ReadDir(tmp); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestDemoSaysWhatItNeeds(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "none"))
	if err := demo(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), "TMPDIR") {
		t.Errorf("demo = %v; want the remedy", err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
