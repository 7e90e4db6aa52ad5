package initcopy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/internal/proc"
	"github.com/sidecar-kit/sidecar/internal/publish"
	"github.com/sidecar-kit/sidecar/internal/role"
)

const (
	demoSize  = 32 << 20
	demoKills = 5
	// demoLimit is far above the second the demo takes: when it is over, something hangs.
	demoLimit = 30 * time.Second
)

// demo shows the role's main job with nothing but this program: a file is put into a volume, once more, in a new version,
// and in one more while the copy is killed again and again and a reader looks on.
func demo(ctx context.Context, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "sidecar-demo-")
	if err != nil {
		return fmt.Errorf("the demo needs a folder for temporary files (name one with TMPDIR): %w", err)
	}
	defer func() { err = errors.Join(err, publish.RemoveAll(dir)) }()
	ctx, cancel := context.WithTimeoutCause(ctx, demoLimit, fmt.Errorf("the demo did not end within %s", demoLimit))
	defer cancel()
	d := &demonstration{out: out, src: filepath.Join(dir, "sample.war"), volume: filepath.Join(dir, "volume")}
	if err := os.Mkdir(d.volume, 0o777); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{d.first, d.again, d.changed, d.killed} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

type demonstration struct {
	out         io.Writer
	src, volume string
	now         []byte // what the volume holds
}

func (d *demonstration) say(what, format string, args ...any) {
	fmt.Fprintf(d.out, "%-10s %s\n", what, fmt.Sprintf(format, args...))
}

// version writes a new source.
func (d *demonstration) version(n uint64) ([]byte, error) {
	data := make([]byte, demoSize)
	rng := rand.New(rand.NewPCG(n, 0)) //nolint:gosec // content, no secret
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	return data, os.WriteFile(d.src, data, 0o644) //nolint:gosec // for anybody to read
}

// run copies, in this process, as in a pod.
func (d *demonstration) run(ctx context.Context) (report, time.Duration, error) {
	cfg := Default()
	cfg.Src, cfg.Dst, cfg.Progress = []string{d.src}, d.volume, 0
	r, err := New(cfg, role.Env{Log: zerolog.Nop(), Metrics: unseenMetrics(), Stdout: io.Discard})
	if err != nil {
		return report{}, 0, err
	}
	begin := time.Now()
	err = r.Run(ctx)
	return r.last, time.Since(begin).Round(time.Millisecond), err
}

func (d *demonstration) visible() ([]byte, error) {
	return os.ReadFile(filepath.Join(d.volume, "sample.war"))
}

func (d *demonstration) first(ctx context.Context) (err error) {
	if d.now, err = d.version(1); err != nil {
		return err
	}
	r, took, err := d.run(ctx)
	if err == nil {
		d.say("copied", "sample.war, %d MiB, digested and on the disk after %s", r.Bytes>>20, took)
	}
	return err
}

func (d *demonstration) again(ctx context.Context) error {
	r, took, err := d.run(ctx)
	if err == nil && r.Result != "unchanged" {
		err = fmt.Errorf("the second run was %s", r.Result)
	}
	if err == nil {
		d.say("again", "nothing changed, nothing written, %s", took)
	}
	return err
}

func (d *demonstration) changed(ctx context.Context) (err error) {
	if d.now, err = d.version(2); err != nil {
		return err
	}
	_, took, err := d.run(ctx)
	if err == nil {
		d.say("new WAR", "replaced by one rename, %s", took)
	}
	return err
}

// killed kills copies half way. The first look that sees neither version whole is an error.
func (d *demonstration) killed(ctx context.Context) error {
	next, err := d.version(3)
	if err != nil {
		return err
	}
	before := d.now
	for n := range demoKills {
		if err := d.kill(ctx, time.Duration(n+1)*8*time.Millisecond); err != nil {
			return err
		}
		seen, err := d.visible()
		if err != nil {
			return err
		}
		if !bytes.Equal(seen, before) && !bytes.Equal(seen, next) {
			return fmt.Errorf("after kill %d the volume holds neither the old file nor the new one", n+1)
		}
	}
	d.say("kill -9", "%d times: the volume held the old file or the new one, whole, every time", demoKills)
	if _, _, err := d.run(ctx); err != nil {
		return err
	}
	seen, err := d.visible()
	if err != nil {
		return err
	}
	names, err := os.ReadDir(d.volume)
	if err == nil && (!bytes.Equal(seen, next) || len(names) != 2) {
		err = fmt.Errorf("after the last run the volume is not right: %v", names)
	}
	if err == nil {
		d.say("done", "the next run made it the new one, and left nothing else behind")
	}
	return err
}

// kill starts this program as another process, and kills it.
func (d *demonstration) kill(ctx context.Context, after time.Duration) error {
	p, err := proc.Start(ctx, proc.Cmd{
		Path: os.Args[0], Args: []string{"initcopy", "--admin=", d.src, d.volume}, Stdout: io.Discard, Stderr: io.Discard,
	})
	if err != nil {
		return err
	}
	timer := time.NewTimer(after)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	_ = syscall.Kill(p.Pid(), syscall.SIGKILL)
	_, _ = p.Wait() // an error, since it was killed
	return context.Cause(ctx)
}
