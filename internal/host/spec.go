// Package host turns the description of a role into a command and supervises
// it: flags, environment and file with one precedence, logger, metrics, admin
// endpoint, signals, drain and exit code. Every role gets the same ones, and
// none of them has to think about it. It is the only user of os/signal.
package host

import (
	"context"
	"io"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/sidecar-kit/sidecar/internal/role"
)

// Spec describes a role.
type Spec struct {
	Name  string
	Usage string // one line for the list of roles
	Doc   string // the long help text
	Admin string // default address of the admin endpoint, different for every role

	// Flags are bound by Destination into the role's Config. EnvVars and
	// Aliases of a flag are compatibility names; SIDECAR_<ROLE>_<FLAG> is
	// derived and must not be listed.
	Flags []cli.Flag

	// Compat holds compatibility names for the host's own flags, by flag name.
	Compat map[string]Compat

	// Legacy are flags of a replaced tool that mean something else than a flag of
	// the same kind here, or nothing.
	Legacy []Legacy

	// Commands are what the role can do beside its work: sidecar ROLE COMMAND.
	Commands []Sub

	// Keys are keys of the config file whose values have a shape of their own.
	Keys []*Key

	// Args, where set, says which arguments a role takes after its flags ("SRC... DST"), and Place what they mean: values
	// by the name of the flag that they stand for. A role without them takes flags only.
	Args  string
	Place func(args []string) (map[string][]string, error)

	// Finite says that the role ends by itself when its work is done.
	Finite bool

	// Signals returns the signals that are delivered on Env.Hangup beside
	// SIGHUP. It is called when the flags are parsed.
	Signals func() []os.Signal

	// Check returns all complaints about the configuration at once. It is also
	// asked when Decode of a Key complained, so that a user sees everything.
	Check func() error

	// Strict returns what --check complains about besides: what is wrong and can be
	// lived with, such as a certificate that has expired. It is asked when Check
	// has no complaint, or with it.
	Strict func() error

	// New makes the role. It allocates and registers; it does no I/O that can hang.
	New func(role.Env) (role.Runner, error)

	// Demo, where set, shows the role at work without any configuration.
	Demo func(ctx context.Context, stdout io.Writer) error
}

// Compat lists other names of one of the host's flags.
type Compat struct {
	Flags []string
	Envs  []string
}
