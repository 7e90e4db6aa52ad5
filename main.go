// Command sidecar is the helper containers of a pod in one binary; the first
// argument chooses the role.
package main

import (
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/sidecar-kit/sidecar/internal/exit"
	"github.com/sidecar-kit/sidecar/internal/host"
	"github.com/sidecar-kit/sidecar/internal/zone"
	"github.com/sidecar-kit/sidecar/roles/adapter"
	"github.com/sidecar-kit/sidecar/roles/cron"
	"github.com/sidecar-kit/sidecar/roles/cron/shell"
	"github.com/sidecar-kit/sidecar/roles/gitsync"
	"github.com/sidecar-kit/sidecar/roles/initcopy"
	"github.com/sidecar-kit/sidecar/roles/logship"
	"github.com/sidecar-kit/sidecar/roles/proxy"
)

// version is set by the linker (-X main.version=v1.2.3).
var version string

func main() {
	time.Local = zone.Local()
	signals := host.Listen() // first: a SIGTERM from here on is a request, not the end
	os.Exit(run(signals, roles()))
}

// roles lists every role of this program.
func roles() []*cli.Command {
	return []*cli.Command{gitsync.Command(), initcopy.Command(), cron.Command(), proxy.Command(), logship.Command(), adapter.Command()}
}

// others are the commands that are no roles.
func others() []host.Other {
	return []host.Other{{Name: "sh", Usage: shell.Usage, Args: shell.Args, Doc: shell.Doc, Hidden: true, Run: shell.Main}}
}

func run(signals *host.Signals, roles []*cli.Command) int {
	program := host.Program{Version: version, Roles: roles, Others: others(), Stdout: os.Stdout, Stderr: os.Stderr}
	err := program.Run(signals, os.Args)
	host.Print(os.Stderr, err)
	return exit.Code(err)
}
