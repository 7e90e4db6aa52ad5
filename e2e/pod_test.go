package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/e2e/engine"
	"github.com/sidecar-kit/sidecar/e2e/kubelet"
)

// gitHost is a git server in a container of its own, reachable from every pod.
type gitHost struct {
	url  string // of the repository
	site clone
}

func startGitHost(t *testing.T, e engine.Engine) gitHost {
	t.Helper()
	name := podName("git")
	repos, err := filepath.Abs(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	server := helper(t, "gitserver")
	if _, err := e.Do(t.Context(), "run", "-d", "--name", name, "-v", repos+":/repos", "-v", server+":/gitserver:ro",
		base, "/gitserver", "-root", "/repos", "-listen", "0.0.0.0:80"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("git server:\n%s", e.Logs(name))
		}
		if _, err := e.Do(context.Background(), "rm", "-f", name); err != nil {
			t.Error(err)
		}
	})
	ip, err := e.IP(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	// The container runs before its server listens.
	eventually(t, time.Minute, "git server", func() error {
		conn, err := net.DialTimeout("tcp", net.JoinHostPort(ip, "80"), time.Second)
		if err != nil {
			return err
		}
		return conn.Close()
	})
	url := "http://" + ip + "/site.git"
	return gitHost{url: url, site: newSite(t, repos, url)}
}

// Names differ between runs, so that what a killed run left behind does not matter.
func podName(kind string) string {
	return fmt.Sprintf("e2e-%s-%d-%d", strings.ReplaceAll(kind, "/", "-"), os.Getpid(), serial.Add(1))
}

var serial atomic.Int64

func options(t *testing.T, repo string) kubelet.Options {
	t.Helper()
	conf, err := filepath.Abs("testdata/nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	return kubelet.Options{
		Base: base,
		Images: map[string]kubelet.Image{
			image: {Ref: image},
			"nginxinc/nginx-unprivileged:1.29": {
				Ref:     base,
				Command: []string{"nginx", "-e", "stderr", "-c", "/etc/e2e.conf", "-g", "daemon off;"},
				Binds:   []string{conf + ":/etc/e2e.conf:ro"},
			},
		},
		Env: map[string]string{"SIDECAR_SYNC_REPO": repo, "GIT_SYNC_REPO": repo, "SIDECAR_SYNC_PERIOD": "1s"},
	}
}

func startPod(t *testing.T, e engine.Engine, variant string, opts kubelet.Options) *kubelet.Pod {
	t.Helper()
	d, err := kubelet.ReadDeployment(filepath.Join(manifests, variant, "deployment.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	pod, err := kubelet.Start(ctx, e, podName(variant), d.Spec.Template.Spec, opts)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(pod.Describe())
		}
		pod.Stop(context.Background())
	})
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

func fetch(pod *kubelet.Pod, path string) (string, error) {
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + pod.IP + ":8080" + path)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s %s", path, resp.Status)
	}
	return string(body), nil
}

func serves(pod *kubelet.Pod, words string) func() error {
	return func() error {
		body, err := fetch(pod, "/")
		if err != nil {
			return err
		}
		if !strings.Contains(body, words) {
			return fmt.Errorf("page is %q", body)
		}
		return nil
	}
}

// TestPushIsServed is the promise of the first pattern: in each of the manifests, with a
// real nginx, a push changes the page, and neither SIGKILL nor the stop costs a visitor.
func TestPushIsServed(t *testing.T) {
	e := containers(t)
	for _, variant := range variants {
		t.Run(variant, func(t *testing.T) {
			host := startGitHost(t, e)
			host.site.push(t, "first words")
			pod := startPod(t, e, variant, options(t, host.url))
			sync := syncContainer(t, variant)

			eventually(t, time.Minute, "pod ready", func() error {
				if !pod.Ready() {
					return fmt.Errorf("not ready: %s", pod.Events())
				}
				return nil
			})
			if err := serves(pod, "first words")(); err != nil {
				t.Fatal(err)
			}
			visitor := visit(pod)

			host.site.push(t, "second words")
			took := eventually(t, time.Minute, "second page", serves(pod, "second words"))
			t.Logf("push to page: %s", took.Round(time.Millisecond))

			if err := pod.Kill(t.Context(), sync, "KILL"); err != nil {
				t.Fatal(err)
			}
			host.site.push(t, "third words")
			eventually(t, 40*time.Second, "page after kill -9", serves(pod, "third words"))
			if failed, looks := visitor(); failed != 0 || looks < 10 {
				t.Errorf("%d of %d visits failed; want none of at least 10", failed, looks)
			}

			codes, err := pod.Stop(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if codes[sync] != 0 {
				t.Errorf("sync ended with %d on SIGTERM; want 0\n%s", codes[sync], pod.Logs(sync))
			}
			if !strings.HasSuffix(variant, "/classic") {
				events := pod.Events()
				if n, s := slices.Index(events, "nginx stopped"), slices.Index(events, sync+" stopped"); n < 0 || s < n {
					t.Errorf("events %q; want nginx stopped before its sidecar", events)
				}
			}
		})
	}
}

// visit fetches the page all the time and says at the end how often that failed.
func visit(pod *kubelet.Pod) func() (failed, looks int) {
	stop, done := make(chan struct{}), make(chan struct{})
	var failed, looks int
	go func() {
		defer close(done)
		for {
			if _, err := fetch(pod, "/"); err != nil {
				failed++
			}
			looks++
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return func() (int, int) {
		close(stop)
		<-done
		return failed, looks
	}
}

// TestPodStartsWhileTheGitServerIsAway: /startupz waits for nothing, so nginx comes up;
// the pod is not ready, and becomes ready by itself once the server answers.
func TestPodStartsWhileTheGitServerIsAway(t *testing.T) {
	e := containers(t)
	host := startGitHost(t, e)
	// Nobody has pushed yet: the branch does not exist.
	pod := startPod(t, e, "nginx-content/own-names", options(t, host.url))
	events := pod.Events()
	if !slices.Contains(events, "sync is up") || !slices.Contains(events, "nginx started") {
		t.Fatalf("events %q; want the sidecar up and nginx started", events)
	}
	time.Sleep(2 * time.Second)
	if pod.Ready() || pod.ContainerReady("sync") {
		t.Error("ready without any content")
	}
	host.site.push(t, "late words")
	eventually(t, 40*time.Second, "page after a late first push", serves(pod, "late words"))
	for _, event := range pod.Events() {
		if strings.HasPrefix(event, "sync exited") {
			t.Errorf("events %q; want retries in the process, not restarts", pod.Events())
		}
	}
}

// TestRunsAsAnyUser: OpenShift gives a random uid with group 0, others their own pair.
func TestRunsAsAnyUser(t *testing.T) {
	e := containers(t)
	host := startGitHost(t, e)
	host.site.push(t, "anybody's words")
	for _, user := range []string{"12345:0", "12345:12345"} {
		t.Run(user, func(t *testing.T) {
			opts := options(t, host.url)
			opts.User = user
			pod := startPod(t, e, "nginx-content/own-names", opts)
			eventually(t, time.Minute, "page", serves(pod, "anybody's words"))
			if codes, err := pod.Stop(context.Background()); err != nil || codes["sync"] != 0 {
				t.Errorf("Stop() = %v, %v; want 0", codes, err)
			}
		})
	}
}
