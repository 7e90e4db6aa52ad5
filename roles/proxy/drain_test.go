package proxy

import (
	"net"
	"strings"
	"testing"
	"time"
)

// outside is a server that does not look like one of this pod: nobody knows that 0.0.0.0 is here.
func outside(t *testing.T) string {
	t.Helper()
	_, port, err := net.SplitHostPort(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("0.0.0.0", port)
}

// TestStopOutlivesAClosedPort: the application closes its port at once and makes connections for a while, with pauses that are
// shorter than --quiet, and some of them long.
func TestStopOutlivesAClosedPort(t *testing.T) {
	db := outside(t)
	app, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, "routes:\n  - in=http://127.0.0.1:0 => http://"+app.Addr().String()+"\n  - out=tcp://127.0.0.1:0 => tcp://"+db+"\n", func(c *Config) {
		c.Quiet = time.Second
	})
	out := r.at(1)
	_ = app.Close()
	r.stop()
	r.until("lame", func() bool { return r.p.phase.Load() == lame })
	for range 3 {
		c := open(t, out)
		time.Sleep(500 * time.Millisecond)
		talk(t, c, "one more thing")
		_ = c.Close()
	}
	err = <-r.ended
	r.ended <- err
	if err != nil || !strings.Contains(r.log.String(), "the application is gone") {
		t.Errorf("Run = %v, log %s", err, r.log)
	}
}

// TestStopWaitsForAnOpenPort: the application says nothing for longer than --quiet, but is there.
func TestStopWaitsForAnOpenPort(t *testing.T) {
	db := outside(t)
	app, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, "routes:\n  - in=http://127.0.0.1:0 => http://"+app.Addr().String()+"\n  - out=tcp://127.0.0.1:0 => tcp://"+db+"\n", func(c *Config) {
		c.Quiet = 50 * time.Millisecond
	})
	out := r.at(1)
	r.stop()
	r.until("lame", func() bool { return r.p.phase.Load() == lame })
	time.Sleep(500 * time.Millisecond)
	c := open(t, out)
	talk(t, c, "the last thing")
	_ = c.Close()
	_ = app.Close()
	err = <-r.ended
	r.ended <- err
	if err != nil || !strings.Contains(r.log.String(), "the application is gone") {
		t.Errorf("Run = %v, log %s", err, r.log)
	}
}
