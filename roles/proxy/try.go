package proxy

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/sidecar-kit/sidecar/internal/exit"
	"github.com/sidecar-kit/sidecar/internal/tlsconf"
	"github.com/sidecar-kit/sidecar/roles/proxy/dial"
	"github.com/sidecar-kit/sidecar/roles/proxy/route"
)

// try connects to every upstream as a route would, through all steps, and says how each went.
func (c *Config) try(ctx context.Context, stdout io.Writer, _ []string) error {
	t, err := c.table()
	if err != nil {
		return err
	}
	type result struct {
		took time.Duration
		err  error
	}
	results := make([]result, len(t.Clusters))
	var wg sync.WaitGroup
	for i, cl := range t.Clusters {
		wg.Go(func() {
			begin := time.Now()
			err := reach(ctx, cl)
			results[i] = result{time.Since(begin), err}
		})
	}
	wg.Wait()
	failed := 0
	for i, cl := range t.Clusters {
		line := fmt.Sprintf("ok      %s in %s\n", cl.Name, results[i].took.Round(100*time.Microsecond))
		if err := results[i].err; err != nil {
			failed++
			line = fmt.Sprintf("failed  %s: %s\n", cl.Name, strings.ReplaceAll(err.Error(), "\n", "\n        "))
		}
		if _, err := io.WriteString(stdout, line); err != nil {
			return err
		}
	}
	if failed > 0 {
		return &exit.Error{Code: exit.Failed, Err: fmt.Errorf("%d of %d upstreams cannot be reached", failed, len(t.Clusters))}
	}
	return nil
}

func reach(ctx context.Context, c *route.Cluster) error {
	target := newTarget(c)
	if c.TLS != nil {
		client, err := tlsconf.NewClient(clientOptions(c, tlsconf.Events{}))
		if err != nil {
			return err
		}
		target.TLS = func() *tls.Config { return client.Config() }
	}
	return target.Probe(ctx)
}

// newTarget is the address of a cluster without TLS.
func newTarget(c *route.Cluster) *dial.Target {
	return &dial.Target{
		Network: c.Source.Network, Address: c.Source.Address, StartTLS: c.StartTLS, SendProxy: uint8(c.Send), //nolint:gosec // 0 to 2
		ConnectTimeout: c.Timeout, HandshakeTimeout: c.Timeout,
	}
}
