package cron

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/internal/health"
	"github.com/sidecar-kit/sidecar/internal/publish"
	"github.com/sidecar-kit/sidecar/internal/role"
)

// demoTable runs within seconds what a crontab runs within minutes.
const demoTable = `# A demo: six fields, the first one is seconds.
#: name=hello
* * * * * * echo "hoge"
#: name=flaky retry=1 retry-delay=300ms
%d-59/20 * * * * * test "$SIDECAR_CRON_ATTEMPT" = 2
`

// demoLines are log messages that the demo tells, in its words.
func demoLines() map[string]string {
	return map[string]string{
		"job succeeded": "succeeded", "job failed and is tried again": "failed, is tried again", "job failed": "failed",
		"new table is in use": "the crontab was edited: new table in use", "the new table is not valid; the last valid one stays in use": "the crontab was broken: the last valid table stays in use",
	}
}

// teller turns log records into lines of the demo.
type teller struct {
	mu  sync.Mutex
	out io.Writer
}

func (t *teller) Write(p []byte) (int, error) {
	var r struct{ Message, Job, Stream string }
	if err := json.Unmarshal(p, &r); err != nil {
		return len(p), nil
	}
	text := demoLines()[r.Message]
	if r.Stream != "" {
		text = "wrote: " + r.Message
	}
	if text != "" {
		t.mu.Lock()
		defer t.mu.Unlock()
		fmt.Fprintf(t.out, "%s  %-6s %s\n", time.Now().Format("15:04:05.000"), r.Job, text)
	}
	return len(p), nil
}

// demo runs a small table for some seconds, edits it and breaks it.
func demo(ctx context.Context, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "sidecar-demo-")
	if err != nil {
		return fmt.Errorf("the demo needs a folder for temporary files (name one with TMPDIR): %w", err)
	}
	defer func() { err = errors.Join(err, publish.RemoveAll(dir)) }()
	table := filepath.Join(dir, "crontab")
	text := fmt.Sprintf(demoTable, (time.Now().Second()+2)%20)
	if err := os.WriteFile(table, []byte(text), 0o600); err != nil {
		return err
	}
	fmt.Fprintln(out, text)
	cfg := Default()
	cfg.Crontabs, cfg.Seconds = []string{table}, true
	c, err := New(&cfg, role.Env{
		Log: zerolog.New(&teller{out: out}), Metrics: unseenMetrics(), Health: &health.Set{}, Stdout: io.Discard, Drain: 5 * time.Second,
		Handle: func(string, http.Handler) {}, Hangup: make(chan struct{}),
	})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go demoEdits(ctx, stop, table, text)
	if err := c.Run(ctx); err != nil {
		return err
	}
	fmt.Fprintln(out, "\nstopped: what ran had ended. Next: sidecar cron next FILE, sidecar cron test FILE, sidecar cron FILE")
	return nil
}

// demoEdits changes the table under the running role.
func demoEdits(ctx context.Context, stop func(), table, text string) {
	defer stop()
	for _, edit := range []string{"", "#: name=edited\n*/2 * * * * * echo \"an edited table\"\n", "61 * * * * * never\n", ""} {
		if edit != "" {
			if os.WriteFile(table, []byte(text+edit), 0o600) != nil {
				return
			}
		}
		timer := time.NewTimer(2500 * time.Millisecond)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}
