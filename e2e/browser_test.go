package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/sidecar-kit/sidecar/bench/lab"
)

// look is one way to look at the page.
type look struct {
	name          string
	scheme        string
	width, height int64
	mobile        bool
}

// TestStatusPageInABrowser looks at the page of a running sync as a person would: light,
// dark, and on a phone. What is on it is read from the rendered text, not from the HTML.
func TestStatusPageInABrowser(t *testing.T) {
	browser := needs(t, "chromium")
	repos := t.TempDir()
	site := newSite(t, repos, "")
	server, err := lab.StartServer(helper(t, "gitserver"), repos, "-user", "reader", "-password", "hush-hush")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	hash := site.push(t, "words")
	root := filepath.Join(t.TempDir(), "root")
	admin := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	url := strings.Replace(server.URL, "http://", "http://reader:hush-hush@", 1) + "/site.git"
	start(t, sidecar(t), "sync", "--repo", url, "--ref", "main", "--root", root, "--link", "html", "--period", "200ms", "--admin", admin)
	published(t, root, hash)
	hash = site.push(t, "more words")
	published(t, root, hash)
	eventually(t, time.Minute, "ready", func() error {
		resp, err := http.Get("http://" + admin + "/readyz")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("readyz: %s", resp.Status)
		}
		return nil
	})
	time.Sleep(2 * time.Second) // for a few polls to be drawn

	for _, l := range []look{
		{"light", "light", 1280, 900, false},
		{"dark", "dark", 1280, 900, false},
		{"phone", "light", 375, 740, true},
		{"phone-dark", "dark", 375, 740, true},
	} {
		t.Run(l.name, func(t *testing.T) {
			seen := visitPage(t, browser, "http://"+admin+"/", l)
			seen.check(t, l, hash)
		})
	}
}

// sight is what the browser saw.
type sight struct {
	Text, Background, Color string
	ScrollWidth, InnerWidth int64
	Charts                  int

	complaints []string
	screenshot []byte
}

// rendered asks for what a person sees, after styles have been applied.
const rendered = `({
	Text: document.body.innerText,
	Background: getComputedStyle(document.body).backgroundColor,
	Color: getComputedStyle(document.body).color,
	ScrollWidth: document.documentElement.scrollWidth,
	InnerWidth: window.innerWidth,
	Charts: document.querySelectorAll("svg").length,
})`

func visitPage(t *testing.T, browser, url string, l look) sight {
	t.Helper()
	// chromium's own sandbox needs what root in a container does not have.
	options := chromedp.WithAllocatorOptions(chromedp.ExecPath(browser), chromedp.NoSandbox, chromedp.DisableGPU)
	ctx, cancelTime := context.WithTimeout(t.Context(), time.Minute)
	defer cancelTime()
	ctx, cancel := chromedp.NewContext(ctx, options)
	defer cancel()

	complaints := listen(t, ctx)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := chromedp.Call(ctx, cdplog.Enable, cdp.Empty{})
	must(err)
	_, err = chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: l.scheme}},
	})
	must(err)
	view := []chromedp.EmulateViewportOption{chromedp.EmulatePortrait}
	if l.mobile {
		view = append(view, chromedp.EmulateMobile)
	}
	must(chromedp.Do(ctx, chromedp.EmulateViewport(l.width, l.height, view...), chromedp.Navigate(url)))
	s, err := chromedp.Run(ctx, chromedp.Evaluate[sight](rendered))
	must(err)
	s.screenshot, err = chromedp.Run(ctx, chromedp.FullScreenshot(100))
	must(err)
	s.complaints = complaints()
	return s
}

// listen collects what would be red in the browser's console.
func listen(t *testing.T, ctx context.Context) func() []string {
	t.Helper()
	var mu sync.Mutex
	var list []string
	complain := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		list = append(list, fmt.Sprintf(format, args...))
	}
	err := chromedp.Listen(ctx, func(event any) {
		switch e := event.(type) {
		case *cdplog.EventEntryAdded: // CSP violations arrive here
			if !strings.HasSuffix(e.Entry.URL, "/favicon.ico") {
				complain("log %s: %s %s", e.Entry.Level, e.Entry.Text, e.Entry.URL)
			}
		case *runtime.EventConsoleAPICalled:
			complain("console %s", e.Type)
		case *runtime.EventExceptionThrown:
			complain("exception: %s", e.ExceptionDetails.Text)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return list
	}
}

func (s sight) check(t *testing.T, l look, hash string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(out, "page-"+l.name+".png"), s.screenshot, 0o644); err != nil {
		t.Error(err)
	}
	text := strings.ToLower(s.Text)
	for _, fact := range []string{hash[:7], "sync", "poll", "main", "ready", "failed"} {
		if !strings.Contains(text, fact) {
			t.Errorf("%q is not to be seen on the page:\n%s", fact, s.Text)
		}
	}
	if strings.Contains(s.Text, "hush-hush") {
		t.Errorf("the password is on the page:\n%s", s.Text)
	}
	if s.Charts == 0 {
		t.Error("no chart on the page")
	}
	if len(s.complaints) > 0 {
		t.Errorf("the browser complains: %q", s.complaints)
	}
	if s.ScrollWidth > l.width || s.InnerWidth > l.width {
		t.Errorf("page is %d wide in a window of %d (%d): it scrolls sideways", s.ScrollWidth, l.width, s.InnerWidth)
	}
	if dark := brightness(t, s.Color) > 128; dark != (l.scheme == "dark") {
		t.Errorf("text colour %s on %s in %s mode", s.Color, s.Background, l.scheme)
	}
}

// brightness of "rgb(r, g, b)".
func brightness(t *testing.T, color string) int {
	t.Helper()
	var r, g, b int
	if _, err := fmt.Sscanf(color, "rgb(%d, %d, %d)", &r, &g, &b); err != nil {
		t.Fatalf("colour %q: %v", color, err)
	}
	return (r + g + b) / 3
}
