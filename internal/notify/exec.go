package notify

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/internal/proc"
	"github.com/sidecar-kit/sidecar/internal/secret"
)

// outputLimit is how much of a program's output is kept for the log.
const outputLimit = 4 << 10

// Exec tells a program, which is run in the directory that was published.
type Exec struct {
	Command string
	Args    []string
	Timeout time.Duration    // its process group is ended then; default 30s
	Env     []string         // the program's environment; nil is this process's own
	Scrub   *secret.Scrubber // cleans the output; nil only escapes control bytes
	Log     zerolog.Logger
}

func (x Exec) Name() string { return "exec " + filepath.Base(x.Command) }

// Notify runs the program. Exit code 0 means delivered.
func (x Exec) Notify(ctx context.Context, e Event) error {
	var out tail
	p, err := proc.Start(ctx, proc.Cmd{
		Path: x.Command, Args: x.Args, Dir: e.Path, Stdout: &out, Stderr: &out,
		Timeout: orDefault(x.Timeout, 30*time.Second),
		Env:     append(x.environ(), "SIDECAR_HASH="+e.Version, "GITSYNC_HASH="+e.Version),
	})
	if err != nil {
		return fmt.Errorf("%s: %w", x.Name(), err)
	}
	st, err := p.Wait()
	text := x.Scrub.Clean(out.String())
	if err != nil {
		x.Log.Warn().Str("target", x.Name()).Str("output", text).Stringer("took", st.Took).Msg("program failed")
		return fmt.Errorf("%s: %w", x.Name(), err)
	}
	x.Log.Debug().Str("target", x.Name()).Str("output", text).Stringer("took", st.Took).Msg("program ran")
	return nil
}

func (x Exec) environ() []string {
	if x.Env == nil {
		return os.Environ()
	}
	return slices.Clip(x.Env)
}

// tail keeps the end of what is written: that is where a program says why.
type tail struct {
	mu  sync.Mutex
	buf []byte
	cut bool
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(p)
	if len(p) > outputLimit {
		p, t.cut = p[len(p)-outputLimit:], true
	}
	if over := len(t.buf) + len(p) - outputLimit; over > 0 {
		t.buf, t.cut = append(t.buf[:0], t.buf[over:]...), true
	}
	t.buf = append(t.buf, p...)
	return n, nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cut {
		return "... " + string(t.buf)
	}
	return string(t.buf)
}
