package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/sidecar-kit/sidecar/bench/ship"
	"github.com/sidecar-kit/sidecar/e2e/engine"
	"github.com/sidecar-kit/sidecar/e2e/kubelet"
	"github.com/sidecar-kit/sidecar/e2e/logline"
	"github.com/sidecar-kit/sidecar/e2e/logsink"
)

// shop is a pod of deploy/log-elasticsearch with an Elasticsearch outside.
type shop struct {
	t     *testing.T
	pod   *kubelet.Pod
	sink  *ship.Sink
	front *logsink.Front
	opts  kubelet.Options
}

// startShop runs a variant with an application that is the command, behind a real nginx where the variant has one.
func startShop(t *testing.T, e engine.Engine, variant, command string) shop {
	t.Helper()
	s := shop{t: t, sink: strictSink(t, 10_000)}
	const key = "dGVzdDprZXk="
	s.front = &logsink.Front{Behind: s.sink.URL}
	s.front.Ask(key)
	ca := newAuthority(t)
	pair := ca.secret(t, time.Hour, "elasticsearch.example")
	cert, err := tls.X509KeyPair([]byte(pair["tls.crt"]), []byte(pair["tls.key"]))
	if err != nil {
		t.Fatal(err)
	}
	l := listenAll(t)
	srv := &http.Server{Handler: s.front}
	go func() { _ = srv.Serve(tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}})) }()
	t.Cleanup(func() { _ = srv.Close() })

	var m corev1.ConfigMap
	readManifest(t, "log-elasticsearch/config/config.yaml", &m)
	meta, spec := podSpec(t, variant)
	meta.Namespace = "orders"
	c, _ := container(t, variant, "logship")
	to := ""
	for _, v := range c.Env {
		if v.Name == "SIDECAR_LOGSHIP_TO" {
			to = strings.Replace(v.Value, "elasticsearch:9200", net.JoinHostPort(hostOf(t, e), portOf(l)), 1) + "&server-name=elasticsearch.example&backoff-min=50ms&backoff-max=500ms"
		}
	}
	stand := kubelet.Image{
		Ref: base, Command: []string{"sh", "-c", command},
		Binds: []string{script(t, "confd.conf") + ":/etc/e2e.conf:ro", built(t, "logapp", program) + ":/logapp:ro"},
	}
	opts := kubelet.Options{
		Base: base, Meta: meta, Images: map[string]kubelet.Image{image: {Ref: image}, "nginxinc/nginx-unprivileged:1.29": stand, "busybox:1.37": stand},
		Env:   map[string]string{"SIDECAR_LOGSHIP_TO": to},
		Files: map[string]map[string]string{m.Name: m.Data, "log-elasticsearch": {"ca.crt": ca.pem(), "api-key": key + "\n"}},
	}
	opts.Files["log-elasticsearch"] = maps.Clone(opts.Files["log-elasticsearch"])
	maps.Copy(opts.Files["log-elasticsearch"], m.Data) // the ConfigMap and the Secret have one name
	s.opts = opts
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s.pod, err = kubelet.Start(ctx, e, podName(variant), spec, opts)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.pod.Describe())
		}
		_, _ = s.pod.Stop(context.Background())
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// docs are the documents so far, by number; each must have come once, with an id of its own.
func (s shop) docs() map[int]logsink.Doc {
	s.t.Helper()
	list, err := s.front.Docs()
	if err != nil {
		s.t.Fatal(err)
	}
	byNumber, ids := map[int]logsink.Doc{}, map[string]bool{}
	for _, d := range list {
		n, ok := number(d)
		old, was := byNumber[n]
		if ids[d.ID] || d.ID == "" || was || !ok && !slices.Contains([]any{"/", "/label"}, at(d, "url.original")) { // those of the probe have none
			s.t.Fatalf("document %+v, which has the number %d (%v); there was %+v", d, n, ok, old)
		}
		ids[d.ID] = true
		if ok {
			byNumber[n] = d
		}
	}
	return byNumber
}

func number(d logsink.Doc) (int, bool) {
	if n, ok := d.Source["seq"].(float64); ok {
		return int(n), true
	}
	for _, key := range []string{"message", "url.original", "event.original"} {
		if n, ok := logline.Seq([]byte(fmt.Sprint(at(d, key)))); ok {
			return n, true
		}
	}
	return 0, false
}

// at is the value at a path of names with dots between, nested or not.
func at(d logsink.Doc, path string) any {
	var walk func(m map[string]any, path string) any
	walk = func(m map[string]any, path string) any {
		if v, ok := m[path]; ok {
			return v
		}
		for i, c := range path {
			if below, ok := m[path[:i]].(map[string]any); ok && c == '.' {
				if v := walk(below, path[i+1:]); v != nil {
					return v
				}
			}
		}
		return nil
	}
	return walk(d.Source, path)
}

// arrived waits for numbers from..to of all given ranges.
func (s shop) arrived(limit time.Duration, ranges ...[2]int) map[int]logsink.Doc {
	s.t.Helper()
	var docs map[int]logsink.Doc
	eventually(s.t, limit, "all events", func() error {
		docs = s.docs()
		for _, r := range ranges {
			for n := r[0]; n <= r[1]; n++ {
				if _, ok := docs[n]; !ok {
					return fmt.Errorf("%d events; number %d is missing", len(docs), n)
				}
			}
		}
		return nil
	})
	return docs
}

// tells wants what the downward API says in a document.
func (s shop) tells(d logsink.Doc, want map[string]string) {
	s.t.Helper()
	all := map[string]string{"kubernetes.pod.name": s.pod.Name, "kubernetes.namespace": "orders", "kubernetes.node.name": kubelet.Node}
	maps.Copy(all, want)
	for key, value := range all {
		if got := at(d, key); fmt.Sprint(got) != value {
			s.t.Errorf("%s is %v; want %s in %+v", key, got, value, d.Source)
		}
	}
	for _, key := range []string{"@timestamp", "log.file.path", "log.offset"} {
		if at(d, key) == nil {
			s.t.Errorf("no %s in %+v", key, d.Source)
		}
	}
}

// TestLogshipManifestsShip starts deploy/log-elasticsearch with a real nginx and an application that logs JSON and stack traces: everything
// arrives once though logship is killed and Elasticsearch is away in between; events are whole and know their pod; nothing is lost at the end.
func TestLogshipManifestsShip(t *testing.T) {
	t.Parallel()
	e := containers(t)
	const lines, tail = 3000, 300
	for _, variant := range logVariants[:2] {
		t.Run(variant, func(t *testing.T) {
			t.Parallel()
			s := startShop(t, e, variant, fmt.Sprintf("nginx -e stderr -c /etc/e2e.conf -g 'daemon off;' & exec /logapp -stay /logs/orders.json:json:1:%d:500:%d /logs/shop.trace:trace:5001:%d:500:%d", lines, tail, lines, tail))
			eventually(t, time.Minute, "pod ready", isReady(s.pod))
			events := s.pod.Events()
			if up, app := slices.Index(events, "logship is up"), slices.Index(events, "app started"); strings.HasSuffix(variant, "/sidecar") && (up < 0 || app < up) {
				t.Errorf("events %q; want logship up before the app starts", events)
			}
			requests := 0
			ask := func(n int) {
				for range n {
					requests++
					s.visit(fmt.Sprintf("/?seq=%d", 9000+requests))
				}
			}
			ask(50)
			if err := s.sink.Fault("503", 1, time.Second); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				time.Sleep(time.Second)
				ask(20)
				if err := s.pod.Kill(t.Context(), "logship", "KILL"); err != nil {
					t.Fatal(err)
				}
			}
			docs := s.arrived(2*time.Minute, [2]int{1, lines}, [2]int{5001, 5000 + lines}, [2]int{9001, 9000 + requests})
			s.tells(docs[7], map[string]string{
				"log.level": "warn", "user": "ann", "password": "***", "kubernetes.labels.app_kubernetes_io/component": "web", "kubernetes.annotations.example_com/team": "shop", "log.file.path": "/logs/orders.json",
			})
			s.tells(docs[9001], map[string]string{"http.request.method": "GET", "http.response.status_code": "200", "log.file.path": "/logs/access.log"})
			for n := 5001; n <= 5000+lines; n++ {
				want, err := logline.Event(logline.Trace, n)
				if got := at(docs[n], "message"); err != nil || got != want {
					t.Fatalf("trace %d is %q; want all its lines", n, got)
				}
			}
			s.tells(docs[5001], map[string]string{"log.file.path": "/logs/shop.trace"})
			s.relabelled(requests + 1)
			s.ends(variant, lines, tail, requests+1)
		})
	}
}

// visit asks nginx for a page, which it logs.
func (s shop) visit(path string) {
	s.t.Helper()
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + net.JoinHostPort(s.pod.IP, "8080") + path)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = resp.Body.Close()
}

// relabelled: documents follow the labels of the pod. The request is number n.
func (s shop) relabelled(n int) {
	s.t.Helper()
	if err := s.pod.Relabel(s.t.Context(), map[string]string{"release": "blue"}); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, 90*time.Second, "the new label", func() error {
		s.visit("/label")
		list, err := s.front.Docs()
		if err != nil {
			return err
		}
		if last := list[len(list)-1]; at(last, "kubernetes.labels.release") != "blue" {
			return fmt.Errorf("the last document is %+v", last.Source)
		}
		return nil
	})
	s.visit(fmt.Sprintf("/?seq=%d", 9000+n))
}

// ends stops the pod and wants the last lines that the application wrote when it got SIGTERM.
func (s shop) ends(variant string, lines, tail, requests int) {
	s.t.Helper()
	codes, err := s.pod.Stop(context.Background())
	if err != nil || codes["logship"] != 0 || codes["app"] != 0 {
		s.t.Errorf("Stop() = %v, %v; want 0 of all", codes, err)
	}
	if after := s.pod.Ended("logship").Sub(s.pod.Ended("app")); after < 0 {
		s.t.Errorf("%s: logship ended %s before the application", variant, -after)
	}
	s.arrived(0, [2]int{1, lines + tail}, [2]int{5001, 5000 + lines + tail}, [2]int{9001, 9000 + requests})
	if docs := s.docs(); len(docs) != 2*(lines+tail)+requests {
		s.t.Errorf("%d events; want %d", len(docs), 2*(lines+tail)+requests)
	}
	if c, err := s.sink.Counts(); err != nil || c.Malformed != 0 || c.Doubled != 0 {
		s.t.Errorf("%+v, %v; want nothing malformed and nothing twice", c, err)
	}
	if n := strings.Count(strings.Join(s.pod.Events(), "\n"), "logship restarted"); n != 2 {
		s.t.Errorf("events %q; want 2 restarts of logship, which was killed twice", s.pod.Events())
	}
}

// TestLogshipDoesNotKeepAJobFromCompleting: the program of the Job ends, then logship does, and everything was delivered.
func TestLogshipDoesNotKeepAJobFromCompleting(t *testing.T) {
	t.Parallel()
	e := containers(t)
	const lines = 3000
	s := startShop(t, e, "log-elasticsearch/job", fmt.Sprintf("exec /logapp /logs/job.json:json:1:%d:3000", lines))
	eventually(t, time.Minute, "the program's end", func() error {
		if !s.pod.Completed() {
			return fmt.Errorf("events %q", s.pod.Events())
		}
		return nil
	})
	codes, err := s.pod.Stop(context.Background())
	if err != nil || codes["logship"] != 0 || codes["app"] != 0 {
		t.Errorf("Stop() = %v, %v; want 0 of all", codes, err)
	}
	if docs := s.arrived(0, [2]int{1, lines}); len(docs) != lines {
		t.Errorf("%d events; want %d", len(docs), lines)
	}
}
