// Command proxyload is what stands around a proxy that is measured: the backend behind it and the load in front of it, in
// processes of their own, so that they can be pinned to a processor. It prints one JSON object of figures.
//
//	proxyload backend ADDR
//	proxyload hand|bulk|hold|open [flags] ADDR
package main

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"time"
)

// task is what the load tools are asked for.
type task struct {
	addr     string
	tls      bool
	resume   bool
	up       bool
	conns    int
	rate     float64
	duration time.Duration
	path     string
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "proxyload:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 {
		return errors.New("want a command and an address")
	}
	var t task
	f := flag.NewFlagSet(args[0], flag.ContinueOnError)
	f.BoolVar(&t.tls, "tls", false, "speak TLS")
	f.BoolVar(&t.resume, "resume", false, "resume sessions")
	f.BoolVar(&t.up, "up", false, "send instead of receiving")
	f.IntVar(&t.conns, "conns", 8, "connections at once")
	f.Float64Var(&t.rate, "rate", 1000, "requests a second")
	f.DurationVar(&t.duration, "for", time.Second, "how long")
	f.StringVar(&t.path, "path", "", "what to ask for; empty: bytes, no HTTP")
	if err := f.Parse(args[1:]); err != nil {
		return err
	}
	t.addr = f.Arg(0)
	commands := map[string]func(task) (map[string]float64, error){"backend": backend, "hand": hand, "bulk": bulk, "hold": hold, "open": open}
	command, ok := commands[args[0]]
	if !ok {
		return fmt.Errorf("no command %q", args[0])
	}
	figures, err := command(t)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(figures)
}

// clientTLS is the same for all proxies: what one of them does not know would cost the others more.
func clientTLS(cache tls.ClientSessionCache) *tls.Config {
	return &tls.Config{
		InsecureSkipVerify: true, // what a client verifies is no cost of the proxy
		MinVersion:         tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519},
		ClientSessionCache: cache, ServerName: "bench.local", NextProtos: nil,
	}
}

func (t *task) dial(cache tls.ClientSessionCache) (net.Conn, error) {
	c, err := net.DialTimeout("tcp", t.addr, 10*time.Second)
	if err != nil || !t.tls {
		return c, err
	}
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	s := tls.Client(c, clientTLS(cache))
	if err := s.Handshake(); err != nil {
		_ = c.Close()
		return nil, err
	}
	return s, c.SetDeadline(time.Time{})
}
