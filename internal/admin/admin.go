// Package admin is the HTTP endpoint of every role: probes, metrics and a page
// for people. It answers from memory and never asks the role, so a role that is
// stuck can still be seen to be stuck. Used by host only.
package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/internal/health"
	"github.com/sidecar-kit/sidecar/internal/meter"
	"github.com/sidecar-kit/sidecar/internal/status"
)

const (
	readTimeout  = 10 * time.Second // a request is a few lines
	writeTimeout = 60 * time.Second // a scrape over a slow link
	idleTimeout  = 90 * time.Second // above a scrape interval, so that connections are kept
	headerLimit  = 16 << 10
	closeTimeout = 2 * time.Second // the kubelet may leave a couple of seconds in all
)

// Options describe an endpoint.
type Options struct {
	Addr    string
	Role    string
	Version string
	Health  *health.Set
	Status  *status.Board
	Metrics *meter.Registry
	Log     zerolog.Logger
	Quit    func() // POST /quit; nil refuses it
}

// Server is an endpoint whose address is taken.
type Server struct {
	opts     Options
	listener net.Listener
	mux      *http.ServeMux
	begin    time.Time
	page     func() (*page, error)
}

// Listen takes the address, so that a probe that comes at once waits instead of
// failing; Run answers.
func Listen(ctx context.Context, opts Options) (*Server, error) {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", opts.Addr)
	if err != nil {
		return nil, err
	}
	s := &Server{opts: opts, listener: listener, mux: http.NewServeMux(), begin: time.Now(), page: sync.OnceValues(newPage)}
	s.mux.Handle("GET /livez", probe(opts.Health.Live))
	s.mux.Handle("GET /readyz", probe(opts.Health.Ready))
	s.mux.Handle("GET /startupz", probe(opts.Health.Startup))
	// Scrapers are near; compression would cost a megabyte of memory at rest.
	s.mux.Handle("GET /metrics", opts.Metrics.Handler())
	s.mux.HandleFunc("GET /{$}", s.serveStatus)
	s.mux.HandleFunc("POST /quit", s.serveQuit)
	return s, nil
}

// Addr is the address that was taken, with the port the system chose for :0.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Handle adds a handler of the role.
func (s *Server) Handle(pattern string, h http.Handler) { s.mux.Handle(pattern, h) }

// Run serves until ctx ends and then lets requests in flight finish.
func (s *Server) Run(ctx context.Context) error {
	server := &http.Server{
		Handler: s.mux, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: headerLimit,
	}
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		if server.Shutdown(grace) != nil {
			_ = server.Close()
		}
	})
	err := server.Serve(s.listener)
	if !stop() {
		<-closed
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// probe answers 200 or 503; ?verbose lists the conditions, one a line.
func probe(ask func() health.Report) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		report := ask()
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		word := "ok"
		if !report.OK {
			w.WriteHeader(http.StatusServiceUnavailable)
			word = "not ok"
		}
		var b strings.Builder
		if r.URL.Query().Has("verbose") {
			for _, l := range report.Lines {
				b.WriteString(line(l))
			}
		}
		_, _ = io.WriteString(w, b.String()+word+"\n")
	})
}

func line(l health.Line) string {
	mark := "[-]"
	if l.OK {
		mark = "[+]"
	}
	if l.Detail == "" {
		return fmt.Sprintf("%s %s\n", mark, l.Name)
	}
	return fmt.Sprintf("%s %s: %s\n", mark, l.Name, l.Detail)
}

// serveQuit answers containers of the pod only: whoever reaches the pod's address for probes must not be able to stop it.
func (s *Server) serveQuit(w http.ResponseWriter, r *http.Request) {
	if from, err := netip.ParseAddrPort(r.RemoteAddr); err != nil || !from.Addr().Unmap().IsLoopback() {
		http.Error(w, "not allowed: ask from the same pod, over loopback", http.StatusForbidden)
		return
	}
	if s.opts.Quit == nil {
		http.Error(w, "not allowed: start the process with --allow-quit", http.StatusForbidden)
		return
	}
	_, _ = io.WriteString(w, "stopping\n")
	s.opts.Quit()
}
