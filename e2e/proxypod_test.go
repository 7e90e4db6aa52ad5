package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/sidecar-kit/sidecar/e2e/engine"
	"github.com/sidecar-kit/sidecar/e2e/kubelet"
	"github.com/sidecar-kit/sidecar/e2e/load"
)

// proxyOptions are those of a pod with the ConfigMap that it is shipped with.
func proxyOptions(t *testing.T, file string, more map[string]map[string]string) kubelet.Options {
	t.Helper()
	var m corev1.ConfigMap
	readManifest(t, file, &m)
	opts := options(t, "")
	opts.Env = nil
	opts.Files = map[string]map[string]string{m.Name: m.Data}
	for name, files := range more {
		opts.Files[name] = files
	}
	return opts
}

// standIn replaces the application of the manifests.
func standIn(opts *kubelet.Options, command []string, binds ...string) {
	opts.Images["nginxinc/nginx-unprivileged:1.29"] = kubelet.Image{Ref: base, Command: command, Binds: binds}
}

// startChanged starts the pod of a manifest that change has been at.
func startChanged(t *testing.T, e engine.Engine, variant string, opts kubelet.Options, change func(*corev1.PodSpec)) *kubelet.Pod {
	t.Helper()
	_, spec := podSpec(t, variant)
	change(&spec)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	pod, err := kubelet.Start(ctx, e, podName(variant), spec, opts)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(pod.Describe())
		}
		_, _ = pod.Stop(context.Background())
	})
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

// stopsInOrder stops a pod and wants exit code 0 of the proxy at most limit after the application's end.
func stopsInOrder(t *testing.T, pod *kubelet.Pod, variant string, limit time.Duration) {
	t.Helper()
	codes, err := pod.Stop(context.Background())
	if err != nil || codes["proxy"] != 0 || codes["app"] != 0 {
		t.Errorf("Stop() = %v, %v; want 0 of all", codes, err)
	}
	after := pod.Ended("proxy").Sub(pod.Ended("app"))
	t.Logf("%s: the proxy ended %s after the application", variant, after.Round(time.Millisecond))
	if after < 0 || after > limit {
		t.Errorf("the proxy ended %s after the application; want 0 to %s", after, limit)
	}
	if slices.Contains(pod.Events(), "proxy restarted") {
		t.Errorf("events %q; want no restart", pod.Events())
	}
}

// TestProxyManifestsServeHTTPS starts deploy/https-legacy with a real nginx: the sidecar is up before the application, a
// renewed certificate is served while requests run, none of which fails, and the end is quick.
func TestProxyManifestsServeHTTPS(t *testing.T) {
	e := containers(t)
	for _, variant := range []string{"https-legacy/sidecar", "https-legacy/classic"} {
		t.Run(variant, func(t *testing.T) {
			ca := newAuthority(t)
			opts := proxyOptions(t, "https-legacy/service/app.yaml", map[string]map[string]string{"https-legacy-tls": ca.secret(t, time.Hour, "shop.example")})
			standIn(&opts, []string{"nginx", "-e", "stderr", "-c", "/etc/e2e.conf", "-g", "daemon off;"}, script(t, "confd.conf")+":/etc/e2e.conf:ro")
			pod := startPod(t, e, variant, opts)
			eventually(t, time.Minute, "pod ready", isReady(pod))
			if strings.HasSuffix(variant, "/sidecar") {
				events := pod.Events()
				if up, app := slices.Index(events, "proxy is up"), slices.Index(events, "app started"); up < 0 || app < up {
					t.Errorf("events %q; want the proxy up before the app starts", events)
				}
			}
			address := net.JoinHostPort(pod.IP, "8443")
			client := httpsClient(ca, address, true)
			eventually(t, time.Minute, "the page", func() error { return page(client, "https://shop.example/", "for https://shop.example") })
			checkRedirect(t, pod)

			g := load.Start(t.Context(), load.Config{
				Address: address, Host: "shop.example", TLS: &tls.Config{RootCAs: ca.pool()}, Want: "for https://shop.example",
				Workers: map[string]int{load.KeepAlive: 2, load.Fresh: 2, load.Multi: 2},
			})
			for range 3 {
				swapSecret(t, pod, ca, address)
			}
			enough := g.Done() + 200
			eventually(t, time.Minute, "200 more requests", func() error {
				if g.Done() < enough {
					return fmt.Errorf("%d so far", g.Done())
				}
				return nil
			})
			result := g.Stop()
			t.Log(result)
			if _, failed := result.Total(); failed > 0 || len(result.Serials) != 4 {
				t.Errorf("%s: %q; want no failure and 4 certificates", result, result.Errors)
			}
			stopsInOrder(t, pod, variant, 5*time.Second)
		})
	}
}

func page(client *http.Client, url, words string) error {
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var b strings.Builder
	if err := resp.Write(&b); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || !strings.Contains(b.String(), words) {
		return fmt.Errorf("%s: %q; want %q", url, b.String(), words)
	}
	return nil
}

// checkRedirect: who asks in plain text is sent to https.
func checkRedirect(t *testing.T, pod *kubelet.Pod) {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, err := http.NewRequest(http.MethodGet, "http://"+net.JoinHostPort(pod.IP, "8081")+"/a?b=c", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "shop.example"
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if to := resp.Header.Get("Location"); resp.StatusCode != http.StatusPermanentRedirect || to != "https://shop.example/a?b=c" {
		t.Errorf("%s to %s; want 308 to the same address under https", resp.Status, to)
	}
}

// swapSecret renews the certificate as cert-manager and a kubelet do, and waits until it is served.
func swapSecret(t *testing.T, pod *kubelet.Pod, ca *authority, address string) {
	t.Helper()
	before := servedSerial(t, ca, address)
	if err := pod.Update(t.Context(), "https-legacy-tls", ca.secret(t, time.Hour, "shop.example")); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "the new certificate", func() error {
		if now := servedSerial(t, ca, address); now == before {
			return fmt.Errorf("still %s", now)
		}
		return nil
	})
}

// servedSerial is the number of the certificate that is served.
func servedSerial(t *testing.T, ca *authority, address string) string {
	t.Helper()
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: 30 * time.Second}, "tcp", address, &tls.Config{RootCAs: ca.pool(), ServerName: "shop.example"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// TestProxyManifestsStopAfterTheApp: the application takes five seconds to stop and opens new connections through the proxy
// until its end. None fails. In the native variant the signal comes when the application is gone, in the classic one to both
// at once. Deaf applications close their port first and work on, as most servers of HTTP do.
func TestProxyManifestsStopAfterTheApp(t *testing.T) {
	e := containers(t)
	echo := newStage(t, e, nil)
	echo.add("echo", "-v", program(t, "legacy")+":/legacy:ro", base, "/legacy", "-echo", ":7000")
	for _, variant := range []string{"https-legacy/sidecar", "https-legacy/classic"} {
		for _, deaf := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, deaf %v", variant, deaf), func(t *testing.T) {
				t.Parallel()
				ca := newAuthority(t)
				opts := proxyOptions(t, "https-legacy/service/app.yaml", map[string]map[string]string{"https-legacy-tls": ca.secret(t, time.Hour, "shop.example")})
				standIn(&opts, []string{"/legacy", "-linger", "5s", "-outbound", "127.0.0.1:7001", fmt.Sprintf("-deaf=%v", deaf)}, program(t, "legacy")+":/legacy:ro")
				pod := startChanged(t, e, variant, opts, func(spec *corev1.PodSpec) {
					for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
						for i := range list {
							if list[i].Name == "proxy" {
								list[i].Args = append(list[i].Args, "--route=out=tcp://127.0.0.1:7001 => tcp://"+echo.ip+":7000")
							}
						}
					}
				})
				eventually(t, time.Minute, "pod ready", isReady(pod))
				address := net.JoinHostPort(pod.IP, "8443")
				client := httpsClient(ca, address, true) // the pod is ready before the application listens
				eventually(t, time.Minute, "the application", func() error { return page(client, "https://shop.example/", "") })
				g := load.Start(t.Context(), load.Config{
					Address: address, Host: "shop.example", TLS: &tls.Config{RootCAs: ca.pool()}, Workers: map[string]int{load.KeepAlive: 1, load.Fresh: 1, load.Multi: 1, load.Socket: 1},
				})
				time.Sleep(time.Second)
				// Other pods learn of the end of this one a moment later; a deaf application's clients have to be gone before.
				result := make(chan load.Result, 1)
				if deaf {
					result <- g.Stop()
				} else {
					time.AfterFunc(3*time.Second, func() { result <- g.Stop() })
				}
				stopsInOrder(t, pod, variant, 3*time.Second)
				r := <-result
				t.Log(r, "; ", strings.TrimSpace(lastLine(pod.AllLogs("app"))))
				if _, failed := r.Total(); failed > 0 {
					t.Errorf("%s: %q; want no failure", r, r.Errors)
				}
				if !strings.Contains(pod.AllLogs("app"), " good, 0 failed") {
					t.Errorf("the application says:\n%s", pod.Logs("app"))
				}
			})
		}
	}
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// TestProxyManifestsTunnelToDatabases starts deploy/db-tunnel with real databases: the application reaches them from its first
// line to its last, a route can be added while queries run, and other pods use the standalone one.
func TestProxyManifestsTunnelToDatabases(t *testing.T) {
	t.Parallel()
	e := containers(t)
	ca := newAuthority(t)
	_, pg := postgreSQL(t, e, ca.secret(t, time.Hour, "pg.example.com"))
	_, maria := mariaDB(t, e, ca.secret(t, time.Hour, "db1.example.com"))
	hosts := map[string]string{"pg.example.com": pg, "db1.example.com": maria}
	files := map[string]map[string]string{"db-tunnel-ca": {"ca.crt": ca.pem()}}

	t.Run("sidecar", func(t *testing.T) {
		opts := proxyOptions(t, "db-tunnel/sidecar/routes.yaml", files)
		opts.Hosts = hosts
		standIn(&opts, []string{"/dbapp.sh"}, script(t, "dbapp.sh")+":/dbapp.sh:ro")
		pod := startPod(t, e, "db-tunnel/sidecar", opts)
		eventually(t, time.Minute, "both databases", func() error {
			if !strings.Contains(pod.AllLogs("app"), "both databases answer") {
				return fmt.Errorf("the application says %q", pod.Logs("app"))
			}
			return nil
		})
		stopsInOrder(t, pod, "db-tunnel/sidecar", 5*time.Second)
		t.Log(lastLine(pod.AllLogs("app")))
	})
	t.Run("standalone", func(t *testing.T) {
		opts := proxyOptions(t, "db-tunnel/standalone/routes.yaml", files)
		opts.Hosts = hosts
		pod := startPod(t, e, "db-tunnel/standalone", opts)
		eventually(t, time.Minute, "pod ready", isReady(pod))
		s := newStage(t, e, map[string]string{"db-tunnel": pod.IP})
		client := strings.Replace(mariaClient, "127.0.0.1", "db-tunnel", 1)
		s.says("", client+"-e \"SELECT 'from afar'\"", "from afar")
		s.says("", pgClient+"PGHOST=db-tunnel psql -Atc \"SELECT 'from afar'\"", "from afar")

		long := make(chan string, 1)
		go func() {
			said, err := s.sh("", client+"-e \"SELECT SLEEP(6), 'slept through it'\"")
			long <- fmt.Sprint(said, err)
		}()
		time.Sleep(time.Second)
		edited := map[string]string{"proxy.yaml": strings.Replace(opts.Files["db-tunnel"]["proxy.yaml"], "    clusters:", "clusters:", 1)}
		edited["proxy.yaml"] = strings.Replace(edited["proxy.yaml"], "routes:\n", "routes:\n  - name: third\n    listen: tcp://0.0.0.0:3307\n    upstream: cluster:orders\n", 1)
		if err := pod.Update(t.Context(), "db-tunnel", edited); err != nil {
			t.Fatal(err)
		}
		eventually(t, time.Minute, "the new route", func() error {
			said, err := s.sh("", client+"-P 3307 -e \"SELECT 'by a new route'\"")
			if err != nil || !strings.Contains(said, "by a new route") {
				return fmt.Errorf("%s, %w", said, err)
			}
			return nil
		})
		if said := <-long; !strings.Contains(said, "slept through it<nil>") {
			t.Errorf("a query during the reload says %s", said)
		}
		if codes, err := pod.Stop(context.Background()); err != nil || codes["proxy"] != 0 {
			t.Errorf("Stop() = %v, %v; want 0", codes, err)
		}
	})
}
