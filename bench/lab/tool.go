package lab

import (
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

//go:embed peer.sh
var peerScript string

// Link is the name every tool publishes under.
const Link = "current"

// Tool builds the command lines of one of the compared programs.
type Tool struct {
	Name  string
	Once  func(url, root string) []string
	Watch func(url, root string, period time.Duration) []string
	// Polls looks n times without pausing and ends; nil where a tool cannot.
	Polls func(url, root string, n int) []string
}

// Sidecar is the program of this repository.
func Sidecar(binary string) Tool {
	args := func(url, root string, more ...string) []string {
		return append([]string{binary, "sync", "--repo", url, "--ref", "main", "--root", root,
			"--link", Link, "--depth", "1", "--admin", "", "--log-level", "warn"}, more...)
	}
	return Tool{
		Name: "sidecar",
		Once: func(url, root string) []string { return args(url, root, "--once") },
		Watch: func(url, root string, period time.Duration) []string {
			return args(url, root, "--period", period.String())
		},
	}
}

// GitLoop is the shell loop over the git command line.
func GitLoop() Tool {
	args := func(url, root, period string, polls int) []string {
		return []string{"sh", "-c", peerScript, "peer", url, root, Link, period, strconv.Itoa(polls)}
	}
	return Tool{
		Name: "git CLI loop",
		Once: func(url, root string) []string { return args(url, root, "0", 1) },
		Watch: func(url, root string, period time.Duration) []string {
			return args(url, root, strconv.FormatFloat(period.Seconds(), 'f', 3, 64), 0)
		},
		Polls: func(url, root string, n int) []string { return args(url, root, "0", n) },
	}
}

// GitSync is git-sync v4 where it is installed; ok says whether it is.
func GitSync() (tool Tool, ok bool) {
	binary, err := exec.LookPath("git-sync")
	if err != nil {
		return Tool{}, false
	}
	args := func(url, root string, more ...string) []string {
		return append([]string{binary, "--repo=" + url, "--ref=main", "--root=" + root,
			"--link=" + Link, "--depth=1"}, more...)
	}
	return Tool{
		Name: "git-sync",
		Once: func(url, root string) []string { return args(url, root, "--one-time") },
		Watch: func(url, root string, period time.Duration) []string {
			return args(url, root, "--period="+period.String())
		},
	}, true
}

// Published is the hash that the link under root points at; empty when there is none.
func Published(root string) string {
	target, err := os.Readlink(filepath.Join(root, Link))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(filepath.Base(target))
}

// WaitPublished looks each millisecond until hash is published, and says how long it took.
func WaitPublished(root, hash string, limit time.Duration) (time.Duration, bool) {
	start := time.Now()
	for time.Since(start) < limit {
		if Published(root) == hash {
			return time.Since(start), true
		}
		time.Sleep(time.Millisecond)
	}
	return limit, false
}
