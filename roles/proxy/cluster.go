package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sidecar-kit/sidecar/internal/tlsconf"
	"github.com/sidecar-kit/sidecar/roles/proxy/dial"
	"github.com/sidecar-kit/sidecar/roles/proxy/h2"
	"github.com/sidecar-kit/sidecar/roles/proxy/route"
	"github.com/sidecar-kit/sidecar/roles/proxy/starttls"
	"github.com/sidecar-kit/sidecar/roles/proxy/web"
)

// cluster is where connections go: one address now. Its idle connections and TLS sessions live as long as its settings stay.
type cluster struct {
	c       *route.Cluster
	target  *dial.Target
	tls     *tlsconf.Client // nil: plain
	backend *web.Backend
	h2      *h2.Upstream // nil: HTTP/1 or bytes
	stop    context.CancelFunc

	dials  atomic.Int64
	last   atomic.Pointer[string] // error, with its time
	errors [5]atomic.Int64        // by step
}

// steps are where a dial may end.
func steps() [5]dial.Step {
	return [...]dial.Step{dial.StepResolve, dial.StepConnect, dial.StepProxy, dial.StepStartTLS, dial.StepTLS}
}

// cluster makes c, or takes over the one that is the same.
func (p *Proxy) cluster(c *route.Cluster, old *snapshot) (*cluster, error) {
	if old != nil {
		if had := old.clusters[c.Key()]; had != nil {
			return had, nil
		}
	}
	made := &cluster{c: c, target: newTarget(c)}
	made.target.Pool = p.pool
	if c.TLS != nil {
		client, err := tlsconf.NewClient(clientOptions(c, p.tlsEvents(c.URL)))
		if err != nil {
			return nil, err
		}
		made.tls = client
		made.target.TLS = func() *tls.Config { return client.Config() }
	}
	if c.Protocol != "tcp" {
		made.backend = p.backend(made)
	}
	return made, nil
}

// begin follows the files of the cluster.
func (c *cluster) begin(base context.Context, running *sync.WaitGroup) {
	ctx, stop := context.WithCancel(base)
	c.stop = stop
	if c.tls != nil {
		running.Go(func() { _ = c.tls.Run(ctx) })
	}
}

// end closes what is idle. Connections in use go on.
func (c *cluster) end() {
	if c.stop != nil {
		c.stop()
	}
	if c.backend != nil {
		c.backend.Close()
	}
	if c.h2 != nil {
		c.h2.Close()
	}
}

// dial opens a connection and counts.
func (c *cluster) dial(ctx context.Context, who dial.Client) (net.Conn, error) {
	c.dials.Add(1)
	conn, err := c.target.Dial(ctx, who)
	if failed, ok := errors.AsType[*dial.Error](err); ok && !errors.Is(err, starttls.ErrClient) {
		text, _, _ := strings.Cut(err.Error(), "\n")
		text = time.Now().UTC().Format("15:04:05 ") + text
		c.last.Store(&text)
		for i, s := range steps() {
			if s == failed.Step {
				c.errors[i].Add(1)
			}
		}
	}
	return conn, err
}
