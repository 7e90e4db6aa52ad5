// Package engine drives the container engine by its command line: docker, or whatever
// DOCKER names. Its users are the mini-kubelet and the e2e tests.
package engine

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Engine is the command to run.
type Engine struct{ program string }

// Find returns the engine, or the reason why there is none.
func Find() (Engine, error) {
	if os.Getenv("E2E_NO_CONTAINERS") != "" {
		return Engine{}, fmt.Errorf("E2E_NO_CONTAINERS is set")
	}
	e := Engine{program: os.Getenv("DOCKER")}
	if e.program == "" {
		e.program = "docker"
	}
	if _, err := e.Do(context.Background(), "info"); err != nil {
		return e, fmt.Errorf("no container engine: %w", err)
	}
	return e, nil
}

// Do runs one command and returns its standard output, trimmed.
func (e Engine) Do(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, e.program, args...)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", e.program, args[0], err, strings.TrimSpace(complaint.String()))
	}
	return strings.TrimSpace(out.String()), nil
}

// Logs returns the end of both streams of a container, interleaved.
func (e Engine) Logs(name string) string { return e.logs("--tail", "30", name) }

// AllLogs returns all of both streams.
func (e Engine) AllLogs(name string) string { return e.logs(name) }

func (e Engine) logs(args ...string) string {
	out, err := exec.Command(e.program, append([]string{"logs"}, args...)...).CombinedOutput()
	if err != nil {
		return err.Error()
	}
	return string(out)
}

// IP is the address of a container on the default network.
func (e Engine) IP(ctx context.Context, name string) (string, error) {
	return e.Do(ctx, "inspect", "-f", "{{.NetworkSettings.IPAddress}}", name)
}
