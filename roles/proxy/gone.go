package proxy

import (
	"context"
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sidecar-kit/sidecar/internal/procfs"
	"github.com/sidecar-kit/sidecar/roles/proxy/route"
)

// watchedApp is the things by which an application is known.
type watchedApp struct {
	things []followed
	asked  bool // the user named them; otherwise they are upstreams of this pod
	calls  bool // there are upstreams outside of the pod, too, which the application may need after its port is closed
	before int  // times in a row that all were gone
}

// app tells what the application is known by: what --follow says, or else the upstreams that are in this pod.
func (p *Proxy) app(t *route.Table) *watchedApp {
	w := &watchedApp{asked: len(p.cfg.Follow) > 0}
	for _, text := range p.cfg.Follow {
		if f, err := parseFollow(text); err == nil {
			w.things = append(w.things, f)
		}
	}
	if w.asked {
		return w
	}
	outside := false
	for _, c := range t.Clusters {
		switch {
		case c.Source.Network == "unix":
			w.things = append(w.things, followed{"unix", c.Source.Address})
		case loopback(c.Source.Address):
			w.things = append(w.things, followed{"tcp", c.Source.Address})
		default:
			outside = true
		}
	}
	w.calls = outside && len(w.things) > 0
	return w
}

func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// gone tells whether nothing of the application is left. A port has to refuse twice: a restart in place looks the same once.
func (w *watchedApp) gone(ctx context.Context) bool {
	if len(w.things) == 0 {
		return false
	}
	for _, f := range w.things {
		if f.alive(ctx) {
			w.before = 0
			return false
		}
	}
	w.before++
	return w.before > 1
}

func (f followed) alive(ctx context.Context) bool {
	switch f.kind {
	case "tcp", "unix":
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		var d net.Dialer
		c, err := d.DialContext(ctx, f.kind, f.value)
		if err == nil {
			_ = c.Close()
			return true
		}
		return !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, os.ErrNotExist)
	case "pid":
		text, err := os.ReadFile(f.value)
		if err != nil {
			return !errors.Is(err, os.ErrNotExist)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		return err != nil || procfs.Running(pid) == nil
	}
	_, err := os.Stat(f.value)
	return err == nil
}
