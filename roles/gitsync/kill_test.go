package gitsync

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/internal/health"
	"github.com/sidecar-kit/sidecar/internal/meter"
	"github.com/sidecar-kit/sidecar/internal/role"
	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/internal/status"
)

const (
	killRoot = "SYNC_KILL_ROOT"
	killRepo = "SYNC_KILL_REPO"
)

func TestMain(m *testing.M) {
	if root := os.Getenv(killRoot); root != "" {
		syncForever(root, os.Getenv(killRepo))
	}
	os.Exit(m.Run())
}

// syncForever is the child: the role at work until it is killed.
func syncForever(root, repo string) {
	cfg := Default()
	cfg.Repo, cfg.Root, cfg.Link, cfg.Period, cfg.GC = secret.NewURL(repo), root, "link", 10*time.Millisecond, "always"
	err := cfg.Validate()
	var s *Sync
	if err == nil {
		s, err = New(cfg, role.Env{
			Log: zerolog.New(os.Stderr), Metrics: new(meter.Registry), Health: new(health.Set), Status: new(status.Board),
			Stdout: &bytes.Buffer{}, Handle: func(string, http.Handler) {}, Hangup: make(chan struct{}),
		})
	}
	if err == nil {
		err = s.Run(context.Background())
	}
	fmt.Fprintln(os.Stderr, "ended:", err)
	os.Exit(1)
}

// readable reads what is published through a directory handle: every file has to name the same version.
func readable(root string) (string, error) {
	d, err := os.OpenRoot(filepath.Join(root, "link"))
	if err != nil {
		return "", err
	}
	defer d.Close()
	first, err := d.ReadFile("f0")
	if err != nil {
		return "", err
	}
	for i := range 8 {
		data, err := d.ReadFile(fmt.Sprintf("d%d/f", i))
		if err != nil || !bytes.Equal(data, first) {
			return "", fmt.Errorf("d%d/f is %q, f0 %q: %w", i, data, first, err)
		}
	}
	return string(first), nil
}

func version(n int) map[string]string {
	out := map[string]string{"f0": fmt.Sprint("version ", n), fmt.Sprint("only", n): "x"}
	for i := range 8 {
		out[fmt.Sprintf("d%d/f", i)] = out["f0"]
	}
	return out
}

// TestKilledAtAnyInstantTheRoleGoesOn kills the working role at random instants of whole syncs.
func TestKilledAtAnyInstantTheRoleGoesOn(t *testing.T) {
	b := newBench(t)
	rnd := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	b.commit(version(0))
	var published, broken atomic.Int64
	var why atomic.Value
	stop := make(chan struct{})
	watcher := make(chan struct{})
	go func() {
		defer close(watcher)
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
			if _, err := readable(b.root); err == nil {
				published.Add(1)
			} else if published.Load() > 0 {
				broken.Add(1)
				why.Store(err.Error())
			}
		}
	}()
	for kill := range 40 {
		var out buffer
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), killRoot+"="+b.root, killRepo+"="+b.url)
		cmd.Stderr = &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if kill%2 == 1 { // every other start has to arrive before anything else happens to it
			want := fmt.Sprint("version ", kill-1)
			eventually(t, want+" after a kill: "+tailOf(out.String()), func() bool { got, _ := readable(b.root); return got == want })
			b.commit(version(kill))
		} else if kill > 0 {
			b.commit(version(kill))
		}
		time.Sleep(time.Duration(rnd.Int64N(int64(60 * time.Millisecond))))
		_ = cmd.Process.Signal(syscall.SIGKILL)
		_ = cmd.Wait()
		if strings.Contains(out.String(), "ended:") {
			t.Fatalf("kill %d: the role gave up: %s", kill, tailOf(out.String()))
		}
	}
	b.start()
	h := b.commit(map[string]string{"last": "last"})
	b.sync()
	b.wantSeen(h, map[string]string{"last": "last", "f0": "version 39"})
	close(stop)
	<-watcher
	if n := broken.Load(); n > 0 {
		t.Errorf("of %d looks %d found the content unreadable: %v", published.Load()+n, n, why.Load())
	}
	b.sync()
	if left, _ := filepath.Glob(b.path(".git.*")); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}
