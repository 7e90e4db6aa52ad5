package e2e

import (
	"context"
	"fmt"
	"maps"
	"net"
	"strings"
	"testing"
	"time"
)

// TestLogshipOutlastsAFullDisk: while the volume of the state is full nothing can be promised, so nothing is sent; then all of it is, once.
func TestLogshipOutlastsAFullDisk(t *testing.T) {
	t.Parallel()
	e := containers(t)
	const each = 20_000
	logs, volume := open(t), podName("state")
	if _, err := e.Do(t.Context(), "volume", "create", "--driver", "local", "--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", "o=size=2m,mode=0777", volume); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := e.Do(context.Background(), "volume", "rm", "-f", volume); err != nil {
			t.Error(err)
		}
	})
	// Somebody else keeps the volume mounted, so that it stays what it is.
	other := run(t, e, "ballast", "-v", volume+":/state", base, "sleep", "infinity")
	ballast := func(command string) {
		if _, err := e.Do(t.Context(), "exec", other.name, "sh", "-c", command); err != nil {
			t.Fatal(err)
		}
	}
	sink := strictSink(t, 3*each)
	shipper := runShip(t, e, "-v", logs+":/logs", "-v", volume+":/state", "--",
		"--path", "/logs/app.log", "--state", "/state", "--to", "elasticsearch+"+sink.URL+"/logs?"+patience+"&batch-events=100")
	writes := func(part int) {
		if code := runApp(t, e, "65532:65532", "-v", logs+":/logs", "--", fmt.Sprintf("/logs/app.log:json:%d:%d:20000", part*each+1, each)).wait(); code != "0" {
			t.Fatalf("the application ended with %s", code)
		}
	}
	writes(0)
	hasAll(t, sink, each, time.Minute)
	ballast("cat /dev/zero >/state/ballast || true")
	writes(1)
	time.Sleep(time.Second)
	shipper.killed()
	time.Sleep(time.Second)
	ballast("rm /state/ballast")
	writes(2)
	hasAll(t, sink, 3*each, time.Minute)
	if code := shipper.term(); code != "0" {
		t.Errorf("exit code %s; want 0", code)
	}
	if state, err := e.Do(t.Context(), "inspect", "-f", "{{.RestartCount}}", shipper.name); err != nil || state != "0" {
		t.Errorf("%s restarts, %v; want none", state, err)
	}
}

// TestLogshipStopsInAnOutage: SIGTERM ends it within its time though nobody takes what it has, and the next start goes on where it was.
func TestLogshipStopsInAnOutage(t *testing.T) {
	t.Parallel()
	e := containers(t)
	const each = 5000
	logs, state := open(t), open(t)
	sink := strictSink(t, 2*each)
	shipper := runShip(t, e, "-v", logs+":/logs", "-v", state+":/state", "--",
		"--path", "/logs/app.log", "--state", "/state", "--drain-timeout", "4s", "--to", "elasticsearch+"+sink.URL+"/logs?"+patience)
	for part := range 2 {
		if err := sink.Fault([]string{"503", "hang"}[part], 1, 0); err != nil {
			t.Fatal(err)
		}
		if code := runApp(t, e, "65532:65532", "-v", logs+":/logs", "--", fmt.Sprintf("/logs/app.log:json:%d:%d:20000", part*each+1, each)).wait(); code != "0" {
			t.Fatalf("the application ended with %s", code)
		}
		begin := time.Now()
		if code := shipper.term(); code != "0" {
			t.Errorf("exit code %s; want 0", code)
		}
		t.Logf("SIGTERM to exit in an outage: %s", time.Since(begin).Round(time.Millisecond))
		if _, err := e.Do(t.Context(), "start", shipper.name); err != nil {
			t.Fatal(err)
		}
		if err := sink.Fault("none", 1, 0); err != nil {
			t.Fatal(err)
		}
		hasAll(t, sink, (part+1)*each, time.Minute)
	}
}

// TestLogshipFollowsItsConfigMapAndItsSecret: a wrong API key loses nothing and is replaced without a restart; an invalid configuration changes
// nothing, and a valid one is taken into use.
func TestLogshipFollowsItsConfigMapAndItsSecret(t *testing.T) {
	t.Parallel()
	e := containers(t)
	const lines = 1000
	s := startShop(t, e, "log-elasticsearch/sidecar", fmt.Sprintf("nginx -e stderr -c /etc/e2e.conf -g 'daemon off;' & exec /logapp -stay /logs/orders.json:json:1:%d:20000 /logs/new.text:plain:5001:%d:20000", lines, lines))
	eventually(t, time.Minute, "pod ready", isReady(s.pod))
	s.arrived(time.Minute, [2]int{1, lines})

	right := maps.Clone(s.opts.Files["log-elasticsearch"])
	wrong := maps.Clone(right)
	s.front.Ask("bmV3OmtleQ==")
	s.visit("/?seq=9001")
	address := net.JoinHostPort(s.pod.IP, "9445")
	shows := func(series string, want float64) {
		t.Helper()
		eventually(t, 90*time.Second, series, func() error {
			if got, err := scraped(address, series); err != nil || got != want {
				return fmt.Errorf("%s is %v, %v; want %v", series, got, err, want)
			}
			return nil
		})
	}
	shows(`sidecar_logship_paused{output="elasticsearch"}`, 1)
	right["api-key"] = "bmV3OmtleQ==\n"
	if err := s.pod.Update(t.Context(), "log-elasticsearch", right); err != nil {
		t.Fatal(err)
	}
	s.arrived(90*time.Second, [2]int{9001, 9001})

	wrong["api-key"], wrong["logship.yaml"] = right["api-key"], strings.Replace(right["logship.yaml"], "decode: json", "decode: jason", 1)
	if err := s.pod.Update(t.Context(), "log-elasticsearch", wrong); err != nil {
		t.Fatal(err)
	}
	shows("sidecar_logship_config_valid", 0)
	s.visit("/?seq=9002")
	s.arrived(time.Minute, [2]int{9002, 9002})

	right["logship.yaml"] = strings.Replace(right["logship.yaml"], "paths: [/logs/*.json]", "paths: [/logs/*.json, /logs/*.text]", 1)
	if err := s.pod.Update(t.Context(), "log-elasticsearch", right); err != nil {
		t.Fatal(err)
	}
	shows("sidecar_logship_config_valid", 1)
	s.arrived(90*time.Second, [2]int{5001, 5000 + lines})
	codes, err := s.pod.Stop(context.Background())
	if docs := s.docs(); err != nil || codes["logship"] != 0 || len(docs) != 2*lines+2 {
		t.Errorf("%d events, Stop() = %v, %v; want %d events, and 0", len(docs), codes, err, 2*lines+2)
	}
	if events := s.pod.Events(); strings.Contains(strings.Join(events, "\n"), "logship restarted") {
		t.Errorf("events %q; want no restart", events)
	}
}
