package gitsync

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/internal/health"
	"github.com/sidecar-kit/sidecar/internal/publish"
	"github.com/sidecar-kit/sidecar/internal/role"
	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/internal/status"
	"github.com/sidecar-kit/sidecar/roles/gitsync/gitserve"
)

const (
	demoPages  = 200
	demoPushes = 5
	demoPeriod = 50 * time.Millisecond
	// demoLimit is far above the second the demo takes: when it is over, something hangs.
	demoLimit = 30 * time.Second
)

// demo shows the role's main job with nothing but this program: a git server on the loopback interface, the role
// publishing its repository through the same New and Run as in a pod, a web server on the link, and pushes.
func demo(ctx context.Context, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "sidecar-demo-")
	if err != nil {
		return fmt.Errorf("the demo needs a folder for temporary files (name one with TMPDIR): %w", err)
	}
	defer func() { err = errors.Join(err, publish.RemoveAll(dir)) }()
	ctx, cancel := context.WithTimeoutCause(ctx, demoLimit, fmt.Errorf("the demo did not end within %s", demoLimit))
	defer cancel()
	d := &demonstration{
		out: out, begin: time.Now(), repo: gitserve.NewRepo(),
		root: filepath.Join(dir, "data"), link: filepath.Join(dir, "data", "html"),
	}
	var stops []func() error
	defer func() {
		for _, stop := range slices.Backward(stops) {
			err = errors.Join(err, stop())
		}
	}()
	for _, start := range []func(context.Context) (func() error, error){d.serveGit, d.startSync, d.servePages} {
		stop, err := start(ctx)
		if err != nil {
			return err
		}
		stops = append(stops, stop)
	}
	if err := d.firstPush(ctx); err != nil {
		return err
	}
	if err := d.watchedPushes(ctx); err != nil {
		return err
	}
	d.say("done", "the servers stop and %s is removed", dir)
	_, err = fmt.Fprint(out, "\nYour own: sidecar sync --repo https://git.example.com/site.git --root /data --link html\n")
	return err
}

type demonstration struct {
	out        io.Writer
	begin      time.Time
	repo       *gitserve.Repo
	git, pages string // addresses
	root, link string
	number     int // of the newest commit
	failed     chan error
}

// say prints one step with the seconds since the start.
func (d *demonstration) say(what, format string, args ...any) {
	_, _ = fmt.Fprintf(d.out, "%6.2fs  %-9s  %s\n", time.Since(d.begin).Seconds(), what, fmt.Sprintf(format, args...))
}

// push makes the next commit: every page names it, so that a mixture would show.
func (d *demonstration) push() (gitserve.Hash, error) {
	d.number++
	text := fmt.Appendf(nil, "<h1>commit %d</h1>\n", d.number)
	files := map[string]gitserve.File{"index.html": {Data: text}}
	for i := 1; i < demoPages; i++ {
		files[fmt.Sprintf("pages/%03d.html", i)] = gitserve.File{Data: text}
	}
	return d.repo.Commit("main", files)
}

func (d *demonstration) serveGit(ctx context.Context) (func() error, error) {
	hash, err := d.push()
	if err != nil {
		return nil, err
	}
	base, stop, err := serveDemo(ctx, gitserve.Handler(d.repo, gitserve.Options{}))
	if err != nil {
		return nil, err
	}
	d.git = base + "/site.git"
	d.say("git", "%s has commit %s with %d pages", d.git, hash, demoPages)
	return stop, nil
}

func (d *demonstration) startSync(ctx context.Context) (func() error, error) {
	cfg := Default()
	cfg.Repo, cfg.Root, cfg.Link = secret.NewURL(d.git), d.root, "html"
	cfg.DotGit, cfg.Period = false, demoPeriod
	cfg.MaxFailures = Failures{n: 0, set: true}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s, err := New(cfg, role.Env{
		Log: zerolog.Nop(), Metrics: unseenMetrics(), Health: new(health.Set), Status: new(status.Board),
		Stdout: io.Discard, Drain: time.Second, Handle: func(string, http.Handler) {},
	})
	if err != nil {
		return nil, err
	}
	d.say("sync", "sidecar sync --repo %s --root %s --link html --dot-git=false --period %s", d.git, d.root, demoPeriod)
	ctx, cancel := context.WithCancel(ctx)
	d.failed = make(chan error, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Run(ctx); err != nil {
			d.failed <- err
		}
	}()
	return func() error {
		cancel()
		<-done
		return nil
	}, nil
}

func (d *demonstration) servePages(ctx context.Context) (func() error, error) {
	base, stop, err := serveDemo(ctx, http.FileServer(http.Dir(d.link)))
	d.pages = base + "/"
	return stop, err
}

// serveDemo serves on a port of the loopback interface that the system chooses.
func serveDemo(ctx context.Context, h http.Handler) (base string, stop func() error, err error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: demoLimit}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l) // ends with Close
	}()
	return "http://" + l.Addr().String(), func() error {
		err := server.Close()
		<-done
		return err
	}, nil
}

// firstPush shows the first page, a push, and the changed page.
func (d *demonstration) firstPush(ctx context.Context) error {
	if _, err := d.seen(ctx); err != nil {
		return err
	}
	target, err := os.Readlink(d.link)
	if err != nil {
		return err
	}
	d.say("published", "html -> %s", target)
	d.say("web", "a web server on that link: %s", d.pages)
	page, err := d.get(ctx)
	if err != nil {
		return err
	}
	d.say("GET /", "%s", page)
	hash, err := d.push()
	if err != nil {
		return err
	}
	d.say("push", "%s", hash)
	took, err := d.seen(ctx)
	if err != nil {
		return err
	}
	if page, err = d.get(ctx); err != nil {
		return err
	}
	d.say("GET /", "%s, %d ms after the push", page, took.Milliseconds())
	return nil
}

// watchedPushes pushes while a reader walks through all pages without a pause.
func (d *demonstration) watchedPushes(ctx context.Context) error {
	d.say("reader", "reads all %d pages over and over, while %d more pushes arrive", demoPages, demoPushes)
	reading, cancel := context.WithCancel(ctx)
	var w walked
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { w = d.walk(reading) })
	var times []time.Duration
	for range demoPushes {
		if _, err := d.push(); err != nil {
			return err
		}
		took, err := d.seen(ctx)
		if err != nil {
			return err
		}
		times = append(times, took)
	}
	cancel()
	wg.Wait()
	slices.Sort(times)
	d.say("pushes", "each was on the page after %d to %d ms (sync looks every %d ms)",
		times[0].Milliseconds(), times[len(times)-1].Milliseconds(), demoPeriod.Milliseconds())
	if w.err != nil {
		return fmt.Errorf("the reader failed: %w", w.err)
	}
	d.say("reader", "%d walks, %d different commits, %d mixtures of two commits", w.walks, w.commits, w.mixed)
	if w.mixed > 0 {
		return fmt.Errorf("a reader saw %d mixtures of two commits", w.mixed)
	}
	return nil
}

// seen waits until the web server shows the newest commit.
func (d *demonstration) seen(ctx context.Context) (time.Duration, error) {
	begin := time.Now()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	want := fmt.Sprintf("<h1>commit %d</h1>", d.number)
	for {
		if page, err := d.get(ctx); err == nil && page == want {
			return time.Since(begin), nil
		}
		select {
		case <-tick.C:
		case err := <-d.failed:
			return 0, fmt.Errorf("sync: %w", err)
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

func (d *demonstration) get(ctx context.Context) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.pages, http.NoBody)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return strings.TrimSpace(string(text)), err
}

type walked struct {
	walks, commits, mixed int
	err                   error
}

// walk reads every page through one handle of the published folder, again and again until ctx ends.
func (d *demonstration) walk(ctx context.Context) (w walked) {
	last := ""
	for ctx.Err() == nil {
		first, mixed, err := readSite(d.link)
		if err != nil {
			w.err = err
			return w
		}
		w.walks++
		if mixed {
			w.mixed++
		}
		if first != last {
			last = first
			w.commits++
		}
	}
	return w
}

// readSite opens the folder behind the link once and reads all pages from it.
func readSite(link string) (first string, mixed bool, err error) {
	dir, err := os.OpenRoot(link)
	if err != nil {
		return "", false, err
	}
	defer dir.Close()
	text, err := dir.ReadFile("index.html")
	if err != nil {
		return "", false, err
	}
	first = string(text)
	for i := 1; i < demoPages; i++ {
		page, err := dir.ReadFile(fmt.Sprintf("pages/%03d.html", i))
		if err != nil {
			return "", false, err
		}
		mixed = mixed || string(page) != first
	}
	return first, mixed, nil
}
