package proxy

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/sidecar-kit/sidecar/roles/proxy/listen"
	"github.com/sidecar-kit/sidecar/roles/proxy/route"
	"github.com/sidecar-kit/sidecar/roles/proxy/stream"
)

// TestAClientThatLeavesIsNoTrouble: psql closes when TLS is required and denied. Nobody has to look at the database for it.
func TestAClientThatLeavesIsNoTrouble(t *testing.T) {
	r := run(t, "routes:\n  - pg=tcp://127.0.0.1:0 => tls://"+echo(t)+"?starttls=postgres&insecure\n")
	c := open(t, r.at(0))
	if _, err := c.Write([]byte{0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f}); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 1)
	if _, err := io.ReadFull(c, answer); err != nil || answer[0] != 'N' {
		t.Fatalf("answer %q, %v; want N", answer, err)
	}
	_ = c.Close()
	r.until("the end of the connection", func() bool { return r.value(`sidecar_proxy_streams_total{route="pg",ended="client"}`) == "1" })
	if strings.Contains(string(r.reg.Append(nil)), `step="starttls"} 1`) || strings.Contains(r.log.String(), "cannot be reached") {
		t.Errorf("the upstream is blamed: log %s", r.log)
	}
}

// TestTroubleNamesTheStep: route, step and remedy are in the log.
func TestTroubleNamesTheStep(t *testing.T) {
	r := run(t, "routes:\n  - db=tcp://127.0.0.1:0 => tcp://127.0.0.1:1\n")
	if c, err := net.Dial("tcp", r.at(0)); err == nil { // it may be reset before that is over
		_, _ = io.ReadAll(c)
		_ = c.Close()
	}
	r.until("the log", func() bool { return strings.Contains(r.log.String(), "cannot be reached") })
	for _, want := range []string{`"route":"db"`, `"step":"connect"`, "hint: "} {
		if !strings.Contains(r.log.String(), want) {
			t.Errorf("no %s in %s", want, r.log)
		}
	}
}

// TestClientsThatCloseTLSWithoutAWordAreNoFailures: with log=errors each connection of redis-cli would have a line.
func TestClientsThatCloseTLSWithoutAWordAreNoFailures(t *testing.T) {
	for _, tt := range []struct {
		log  string
		got  stream.Result
		want int
	}{
		{"errors", stream.Result{Ended: stream.ByClient, Err: fmt.Errorf("client: %w", stream.ErrTruncated)}, 0},
		{"all", stream.Result{Ended: stream.ByClient, Err: fmt.Errorf("client: %w", stream.ErrTruncated)}, 1},
		{"errors", stream.Result{Ended: stream.ByBackend, Err: fmt.Errorf("backend: %w", stream.ErrTruncated)}, 1},
		{"errors", stream.Result{Ended: stream.ByClient, Err: syscall.ECONNRESET}, 1},
		{"errors", stream.Result{Ended: stream.ByClient}, 0},
	} {
		var out bytes.Buffer
		a := newAccessLog(&out)
		l := &lane{r: &route.Route{Log: tt.log, Sample: 1}, cluster: &cluster{c: &route.Cluster{}}}
		a.stream(l, &listen.Info{}, tt.got, 0, tt.got.Ended.String())
		a.flush()
		if got := strings.Count(out.String(), "\n"); got != tt.want {
			t.Errorf("log=%s, %+v: %d lines; want %d", tt.log, tt.got, got, tt.want)
		}
	}
}
