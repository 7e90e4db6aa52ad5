package e2e

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sidecar-kit/sidecar/bench/ship"
	"github.com/sidecar-kit/sidecar/e2e/engine"
	"github.com/sidecar-kit/sidecar/e2e/logsink"
)

// receiver is where an output of a test sends to.
type receiver struct {
	name string
	to   string
	has  func(n int) error // nil when it has the numbers from 1 to n, and nothing else
	note func() string
}

// counted is a receiver with a ledger.
func counted(name, to string, l *logsink.Ledger) receiver {
	return receiver{name, to, l.Has, func() string {
		return fmt.Sprintf("%d requests, %d events came again with the id they had", l.Ask(), l.Again())
	}}
}

const patience = "backoff-min=20ms&backoff-max=500ms"

func overHTTP(t *testing.T) []receiver {
	t.Helper()
	loki, otlp := &logsink.Loki{}, &logsink.OTLP{}
	id := regexp.MustCompile(`"seq":\d+`)
	lines := &logsink.Lines{ID: func(line []byte) string { return string(id.Find(line)) }}
	at := func(h http.Handler) string { return "127.0.0.1:" + serveAll(t, h) }
	sink := strictSink(t, 100_000)
	if err := sink.Fault("drop", 7, 0); err != nil {
		t.Fatal(err)
	}
	return []receiver{
		counted("loki", "loki://"+at(loki)+"?labels=app=shop,file=%{path}&"+patience, &loki.Ledger),
		counted("otlp", "otlp://"+at(otlp)+"?service=shop&gzip=true&"+patience, &otlp.Ledger),
		counted("http", "http://"+at(lines)+"/lines?gzip=true&"+patience, &lines.Ledger),
		elastic("elasticsearch", sink, "elasticsearch+"+sink.URL+"/logs?gzip=true&"+patience),
	}
}

func elastic(name string, sink *ship.Sink, to string) receiver {
	return receiver{name, to, func(n int) error {
		c, err := sink.Counts()
		if err != nil || c.Unique != int64(n) || c.Highest != int64(n) || c.Doubled != 0 || c.Malformed != 0 {
			return fmt.Errorf("%+v, %w; want %d lines, each once", c, err, n)
		}
		return nil
	}, func() string { return "" }}
}

func fluent(t *testing.T) receiver {
	t.Helper()
	f := &logsink.Forward{}
	l := listenAll(t)
	go f.Serve(l)
	return counted("forward", "forward://127.0.0.1:"+portOf(l)+"?"+patience, &f.Ledger)
}

// kafka is franz-go's broker, and its client reads what is there.
func kafka(t *testing.T) receiver {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(2), kfake.SeedTopics(3, "logs"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumeTopics("logs"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	var l logsink.Ledger
	go func() { // ends with the client
		for {
			fetches := client.PollFetches(t.Context())
			if fetches.IsClientClosed() || t.Context().Err() != nil {
				return
			}
			fetches.EachRecord(func(r *kgo.Record) {
				if len(r.Headers) != 1 || r.Headers[0].Key != "id" {
					_ = l.Wrong("kafka: headers %v", r.Headers)
					return
				}
				l.Take(r.Value, string(r.Headers[0].Value))
			})
		}
	}()
	return counted("kafka", "kafka://"+cluster.ListenAddrs()[0]+"/logs?compression=snappy&"+patience, &l)
}

// objects is a server of the S3 protocol, which answers one of five requests with 503, and checks what is signed.
func objects(t *testing.T, dir string) receiver {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket("logs"); err != nil {
		t.Fatal(err)
	}
	inner := gofakes3.New(backend, gofakes3.WithIntegrityCheck(true)).Server()
	var asked logsink.Ledger
	port := serveAll(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=the-key/") {
			_ = asked.Wrong("s3: authorization %q", r.Header.Get("Authorization"))
		}
		if asked.Ask()%5 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	written(t, dir, map[string]string{"s3-key": "the-key\n", "s3-secret": "the-secret\n"})
	has := func(n int) error {
		list, err := backend.ListBucket("logs", nil, gofakes3.ListBucketPage{})
		if err != nil {
			return err
		}
		var l logsink.Ledger
		for _, o := range list.Contents {
			if err := object(backend, o.Key, &l); err != nil {
				return fmt.Errorf("%s: %w", o.Key, err)
			}
		}
		if l.Again() > 0 {
			return fmt.Errorf("%d events are in two objects", l.Again())
		}
		return errors.Join(asked.Has(0), l.Has(n))
	}
	to := "s3://logs/app?endpoint=http://127.0.0.1:" + port + "&access-key-file=/secrets/s3-key&secret-key-file=/secrets/s3-secret&batch-age=500ms&" + patience
	return receiver{"s3", to, has, func() string { return fmt.Sprintf("%d requests", asked.Ask()) }}
}

func object(backend gofakes3.Backend, key string, l *logsink.Ledger) error {
	o, err := backend.GetObject("logs", key, nil)
	if err != nil {
		return err
	}
	defer o.Contents.Close()
	z, err := gzip.NewReader(o.Contents)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(z)
	if err != nil {
		return err
	}
	for line := range bytes.Lines(text) {
		l.Take(line, "")
	}
	return nil
}

// syslogs is Debian's rsyslog, over TCP and over TLS; what it wrote is read from its files.
func syslogs(t *testing.T, e engine.Engine, secrets string) (list []receiver, c contained) {
	t.Helper()
	ca := newAuthority(t)
	dir, out := folder(t, ca.secret(t, time.Hour, "syslog.example")), open(t)
	written(t, secrets, map[string]string{"ca.crt": ca.pem()})
	c = run(t, e, "rsyslog", "-v", dir+":/tls:ro", "-v", out+":/out", "-v", script(t, "rsyslog.conf")+":/rsyslog.conf:ro", base,
		"sh", "-c", "while rm -f /tmp/pid; do rsyslogd -n -f /rsyslog.conf -i /tmp/pid; done")
	ip, err := e.IP(t.Context(), c.name)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []struct{ name, scheme, port, more string }{
		{"tcp", "syslog://", "5514", ""}, {"tls", "syslog+tls://", "6514", "&ca=/secrets/ca.crt&server-name=syslog.example"},
	} {
		address := net.JoinHostPort(ip, kind.port)
		eventually(t, time.Minute, "rsyslog", func() error {
			conn, err := net.DialTimeout("tcp", address, time.Second)
			if err != nil {
				return err
			}
			return conn.Close()
		})
		again := 0
		list = append(list, receiver{"syslog-" + kind.name, kind.scheme + address + "?app=shop&confirm=true&batch-age=500ms" + kind.more + "&" + patience, func(n int) (err error) {
			again, err = syslogFile(filepath.Join(out, kind.name), n)
			return err
		}, func() string { return fmt.Sprintf("%d messages came again with the id they had", again) }})
	}
	return list, c
}

func syslogFile(path string, n int) (again int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	form := regexp.MustCompile(`^1 shop warning \[sidecar@32473 id="([^"]+)" path="/logs/app.log"\] (.*)$`)
	var l logsink.Ledger
	for s := bufio.NewScanner(f); s.Scan(); {
		m := form.FindSubmatch(s.Bytes())
		if m == nil {
			return 0, fmt.Errorf("line %q", s.Text())
		}
		l.Take(m[2], string(m[1]))
	}
	return l.Again(), l.Has(n)
}

// files is an output into a folder, with rotation. It cannot tell what it has: a kill may double the batch that is under way.
func files(dir string, kills int) receiver {
	const batch = 5000
	again := 0
	return receiver{"file", "file:///out/shop.ndjson?max-size=256KiB&keep=1000", func(n int) error {
		var l logsink.Ledger
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if ok, _ := filepath.Match("shop.ndjson*", filepath.Base(path)); err != nil || !ok {
				return err
			}
			text, err := os.ReadFile(path)
			for line := range bytes.Lines(text) {
				l.Take(line, "")
			}
			return err
		})
		if again = l.Again(); again > kills*batch {
			return fmt.Errorf("%d lines are there twice", again)
		}
		return errors.Join(err, l.Has(n))
	}, func() string { return fmt.Sprintf("%d lines are there twice", again) }}
}

// TestLogshipDeliversToEveryReceiver: one logship sends one file to receivers of all kinds, all of which fail now and then, while it is
// killed three times and the file is rotated. Each has every line in the end, with the id it had before.
func TestLogshipDeliversToEveryReceiver(t *testing.T) {
	t.Parallel()
	e := containers(t)
	const lines, kills = 20_000, 3
	logs, state, out, secrets := open(t), open(t), open(t), open(t)
	all := append(overHTTP(t), fluent(t), kafka(t), objects(t, secrets), files(out, kills))
	viaSyslog, rsyslog := syslogs(t, e, secrets)
	all = append(all, viaSyslog...)
	args := []string{
		"-v", logs + ":/logs", "-v", state + ":/state", "-v", out + ":/out", "-v", secrets + ":/secrets:ro", "--",
		"--path", "/logs/app.log", "--decode", "json", "--state", "/state", "--config", "/secrets/logship.yaml",
	}
	config := "outputs:\n"
	for _, r := range all {
		config += fmt.Sprintf("  - {name: %q, to: %q}\n", r.name, r.to)
	}
	written(t, secrets, map[string]string{"logship.yaml": config})
	shipper := runShip(t, e, args...)
	app := runApp(t, e, "65532:65532", "-v", logs+":/logs", "--", fmt.Sprintf("/logs/app.log:json:1:%d:4000", lines))
	for i := range kills {
		time.Sleep(time.Second)
		shipper.killed()
		if err := os.Rename(filepath.Join(logs, "app.log"), filepath.Join(logs, fmt.Sprintf("app.log.%d", kills-i))); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Do(t.Context(), "exec", rsyslog.name, "sh", "-c", "kill $(cat /tmp/pid) || true"); err != nil {
			t.Error(err)
		}
	}
	if code := app.wait(); code != "0" {
		t.Fatalf("the application ended with %s", code)
	}
	t.Run("all", func(t *testing.T) {
		for _, r := range all {
			t.Run(r.name, func(t *testing.T) {
				took := eventually(t, time.Minute, r.name, func() error { return r.has(lines) })
				t.Logf("after %s: %s", took.Round(time.Millisecond), r.note())
			})
		}
	})
	if code := shipper.term(); code != "0" {
		t.Errorf("exit code %s; want 0", code)
	}
	for _, r := range all {
		if err := r.has(lines); err != nil {
			t.Errorf("%s at the end: %v", r.name, err)
		}
	}
}
