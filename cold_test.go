package main

import (
	"os/exec"
	"path"
	"regexp"
	"strings"
	"testing"
)

// coldPatterns are the packages that the Makefile builds without inlining.
func coldPatterns(t *testing.T) (patterns []string) {
	t.Helper()
	makePath, err := exec.LookPath("make")
	if err != nil {
		t.Skip("no make")
	}
	out, err := exec.CommandContext(t.Context(), makePath, "-n", "build").Output()
	if err != nil {
		t.Fatalf("make -n build: %v", err)
	}
	for _, found := range regexp.MustCompile(`-gcflags=(\S+)=-l`).FindAllStringSubmatch(string(out), -1) {
		patterns = append(patterns, found[1])
	}
	return patterns
}

// isCold matches as the go command does, where a pattern ends in /... or has no dots.
func isCold(pattern, pkg string) bool {
	folder, below := strings.CutSuffix(pattern, "/...")
	return pkg == folder || below && strings.HasPrefix(pkg, folder+"/")
}

// TestColdPackagesAreInTheProgram finds patterns that have a typing error, or stand for what has gone.
func TestColdPackagesAreInTheProgram(t *testing.T) {
	patterns := coldPatterns(t)
	if len(patterns) == 0 {
		t.Fatal("make -n build names no cold packages")
	}
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-tags", "urfave_cli_no_docs", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	program := strings.Fields(string(out))
	for _, pattern := range patterns {
		if strings.ContainsAny(strings.TrimSuffix(pattern, "/..."), "*") || strings.Count(pattern, "...") > 1 {
			t.Errorf("pattern %s: want a package, or a folder and /...", pattern)
		}
		matches := false
		for _, pkg := range program {
			matches = matches || isCold(pattern, pkg)
		}
		if !matches {
			t.Errorf("pattern %s matches no package of the program", pattern)
		}
	}
}

// TestHotPackagesAreInlined names what must never be matched: its own loops are hot, or loops elsewhere call its small functions.
func TestHotPackagesAreInlined(t *testing.T) {
	hot := strings.Fields(`bufio bytes crypto/tls encoding/base64 encoding/binary encoding/hex fmt hash/crc32 internal/poll io math/bits net
		net/textproto net/url os reflect regexp slices sort strconv strings sync sync/atomic syscall time unicode/utf8
		github.com/klauspost/compress/zstd github.com/rs/zerolog golang.org/x/crypto/chacha20 golang.org/x/sys/unix`)
	for _, ours := range strings.Fields(`internal/inflate internal/meter roles/cron/dispatch roles/cron/job roles/cron/plan roles/cron/run roles/cron/schedule
		roles/cron/timer roles/gitsync/store roles/gitsync/tree roles/initcopy/bulk roles/initcopy/item roles/initcopy/manifest roles/initcopy/place
		roles/initcopy/tree roles/initcopy/unpack roles/logship/content roles/logship/decode roles/logship/decode/scan roles/logship/decode/stamp
		roles/logship/multiline roles/logship/out roles/logship/out/elastic roles/logship/pipe roles/logship/record roles/logship/source
		roles/logship/state roles/logship/transform roles/proxy roles/proxy/h2 roles/proxy/std roles/proxy/stream roles/proxy/web roles/proxy/wire`) {
		hot = append(hot, path.Join(module, ours))
	}
	for _, pattern := range coldPatterns(t) {
		for _, pkg := range hot {
			if isCold(pattern, pkg) {
				t.Errorf("pattern %s matches %s, which is hot", pattern, pkg)
			}
		}
	}
}
