package proxy

import (
	"io"
	"net"
	"strings"
	"testing"
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
