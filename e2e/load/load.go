// Package load asks a route all the time, in several ways at once, and counts what failed.
package load

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sidecar-kit/sidecar/e2e/websocket"
)

// The ways to ask.
const (
	KeepAlive = "keep-alive"      // HTTP/1.1 on few connections
	Fresh     = "new connections" // one handshake for each request
	Multi     = "HTTP/2"          // several requests on one connection
	Socket    = "WebSocket"       // messages on few connections
)

// Reuse is how many requests a connection serves that is kept alive.
const Reuse = 500

// Ways are all of them.
var Ways = []string{KeepAlive, Fresh, Multi, Socket}

// Config says whom to ask and how.
type Config struct {
	Address string // where to connect
	Host    string // whom to ask for
	TLS     *tls.Config
	Workers map[string]int // by way
	Want    string         // what answers have in them; empty: the address that was asked for
}

// Result counts by way; Errors has one of each kind.
type Result struct {
	Done, Failed map[string]int64
	Errors       []string
	Serials      map[string]int64 // requests by serial number of the server's certificate
	Conns        map[string]int64 // by way, those of HTTP
}

// Total is the sum of all ways.
func (r Result) Total() (done, failed int64) {
	for _, way := range Ways {
		done += r.Done[way]
		failed += r.Failed[way]
	}
	return done, failed
}

func (r Result) String() string {
	var parts []string
	for _, way := range slices.Sorted(maps.Keys(r.Done)) {
		parts = append(parts, fmt.Sprintf("%s %d, %d failed", way, r.Done[way], r.Failed[way]))
	}
	return fmt.Sprintf("%s; %d certificates seen", strings.Join(parts, "; "), len(r.Serials))
}

// Generator is a load under way.
type Generator struct {
	config Config
	stop   context.CancelFunc
	wg     sync.WaitGroup
	done   atomic.Int64

	mu     sync.Mutex // guards result
	result Result
}

// Start begins; it never gives up, so that also what fails at the end is counted.
func Start(ctx context.Context, c Config) *Generator {
	ctx, stop := context.WithCancel(ctx)
	g := &Generator{config: c, stop: stop, result: Result{Done: map[string]int64{}, Failed: map[string]int64{}, Serials: map[string]int64{}, Conns: map[string]int64{}}}
	for way, n := range c.Workers {
		for range n {
			g.wg.Go(func() { g.work(ctx, way) })
		}
	}
	return g
}

// Done counts requests so far.
func (g *Generator) Done() int64 { return g.done.Load() }

// Stop lets each worker end what it is at.
func (g *Generator) Stop() Result {
	g.stop()
	g.wg.Wait()
	return g.result
}

func (g *Generator) count(way string, err error, state *tls.ConnectionState) {
	g.done.Add(1)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.result.Done[way]++
	if err != nil {
		g.result.Failed[way]++
		if text := fmt.Sprintf("%s %s: %v", time.Now().Format("15:04:05.000"), way, err); len(g.result.Errors) < 20 {
			g.result.Errors = append(g.result.Errors, text)
		}
	}
	if state != nil && len(state.PeerCertificates) > 0 {
		g.result.Serials[state.PeerCertificates[0].SerialNumber.String()]++
	}
}

func (g *Generator) work(ctx context.Context, way string) {
	if way == Socket {
		for ctx.Err() == nil {
			g.socket(ctx)
		}
		return
	}
	client := g.client(way)
	defer client.CloseIdleConnections()
	scheme := "https://"
	if g.config.TLS == nil {
		scheme = "http://"
	}
	for n := 0; ctx.Err() == nil; n++ {
		state, err := get(client, fmt.Sprintf("%s%s/load?n=%d", scheme, g.config.Host, n), way, g.config.Want)
		g.count(way, err, state)
		if n%Reuse == Reuse-1 {
			client.CloseIdleConnections() // connections of other ages, too
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond)
		}
	}
}

func (g *Generator) client(way string) *http.Client {
	var d net.Dialer
	protocols := new(http.Protocols)
	protocols.SetHTTP1(way != Multi)
	protocols.SetHTTP2(way == Multi)
	var config *tls.Config
	if g.config.TLS != nil {
		config = g.config.TLS.Clone()
	}
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			g.mu.Lock()
			g.result.Conns[way]++
			g.mu.Unlock()
			return d.DialContext(ctx, "tcp", g.config.Address)
		},
		TLSClientConfig: config, DisableKeepAlives: way == Fresh, Protocols: protocols,
	}}
}

// get wants status 200 and a body that has the right words. net/http repeats a GET when an
// idle connection was lost, as browsers do: Conns tells.
func get(client *http.Client, url, way, want string) (*tls.ConnectionState, error) {
	method, body := http.MethodGet, io.Reader(nil)
	if way == Fresh {
		method, body = http.MethodPost, strings.NewReader("a body")
	}
	req, err := http.NewRequest(method, url, body)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return resp.TLS, err
	}
	if want == "" {
		want = req.URL.RequestURI()
	}
	if resp.StatusCode != http.StatusOK || !strings.Contains(string(text), want) {
		return resp.TLS, fmt.Errorf("%s: %.100q", resp.Status, text)
	}
	return resp.TLS, nil
}

// name is a host without its port.
func name(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return host
}

// socket opens a WebSocket and sends a hundred messages.
func (g *Generator) socket(ctx context.Context) {
	conn, err := net.DialTimeout("tcp", g.config.Address, 10*time.Second)
	if err != nil {
		g.count(Socket, err, nil)
		time.Sleep(10 * time.Millisecond)
		return
	}
	defer conn.Close()
	var state *tls.ConnectionState
	if g.config.TLS != nil {
		config := g.config.TLS.Clone()
		config.NextProtos, config.ServerName = []string{"http/1.1"}, name(g.config.Host)
		secure := tls.Client(conn, config)
		if err := secure.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
			g.count(Socket, err, nil)
			return
		}
		if err := secure.HandshakeContext(context.WithoutCancel(ctx)); err != nil {
			g.count(Socket, err, nil)
			return
		}
		s := secure.ConnectionState()
		state, conn = &s, secure
	}
	ws, err := websocket.Upgrade(conn, g.config.Host, "/ws")
	g.count(Socket, err, state)
	if err != nil {
		return
	}
	message := make([]byte, 300)
	for range 100 {
		if ctx.Err() != nil {
			break
		}
		err := conn.SetDeadline(time.Now().Add(30 * time.Second))
		if err == nil {
			err = ws.Ask(message)
		}
		g.count(Socket, err, nil)
		if err != nil {
			return
		}
	}
	if err := ws.Close(); err != nil {
		g.count(Socket, fmt.Errorf("close: %w", err), nil)
	}
}
