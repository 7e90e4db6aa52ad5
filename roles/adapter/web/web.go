// Package web is the outside of the adapter: it listens, speaks TLS where that is configured, and lets in whom it may. The
// configuration is a file in the format that Prometheus' exporters share (exporter-toolkit), with two keys more: bearer_token_files and
// allowed_ips. The file and all it names are read again when they change; what cannot be used leaves in force what was.
package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/internal/tlsconf"
)

const (
	headerTimeout = 10 * time.Second
	bodyTimeout   = 60 * time.Second // of a push of up to maxBody bytes
	writeTimeout  = 2 * time.Minute  // a scrape over a slow link
	idleTimeout   = 90 * time.Second // above a scrape interval, so that connections are kept
	headerLimit   = 64 << 10
	closeTimeout  = writeTimeout // of an address that a reload gives up
)

// Server listens on some addresses and gives requests to handlers that can be replaced.
type Server struct {
	log  zerolog.Logger
	conf atomic.Pointer[Config]
	tls  atomic.Pointer[running]
	busy chan struct{}

	mu    sync.Mutex
	doors map[string]*door
}

type running struct {
	server *tlsconf.Server
	end    context.CancelFunc
}

type door struct {
	listener net.Listener
	server   *http.Server
	handler  atomic.Pointer[http.Handler]
	done     chan struct{}
}

// New makes a server without an address. most is how many requests that are Limited are answered at once; others get 503.
func New(log zerolog.Logger, most int) *Server {
	return &Server{log: log, busy: make(chan struct{}, most), doors: map[string]*door{}}
}

// Use puts a configuration in force, for requests and handshakes that come from now on.
func (s *Server) Use(ctx context.Context, c *Config) error {
	use, err := s.Ready(c)
	if err == nil {
		use(ctx)
	}
	return err
}

// Ready reads what a configuration needs, and returns what puts it in force.
func (s *Server) Ready(c *Config) (use func(ctx context.Context), err error) {
	var server *tlsconf.Server
	if c.TLS != nil {
		o := *c.TLS
		o.Events = tlsconf.Events{
			Reloaded: func(changed []string) { s.log.Info().Strs("files", changed).Msg("new certificates are in use") },
			Refused: func(err error) {
				s.log.Error().AnErr("err", err).Msg("certificates cannot be used, the last good ones stay")
			},
			Warned: func(warnings []string) { s.log.Warn().Strs("warnings", warnings).Msg("certificates") },
		}
		if server, err = tlsconf.NewServer(o); err != nil {
			return nil, err
		}
	}
	return func(ctx context.Context) {
		var next *running
		if server != nil {
			life, end := context.WithCancel(ctx)
			next = &running{server: server, end: end}
			go func() { _ = server.Run(life) }()
		}
		s.conf.Store(c)
		if old := s.tls.Swap(next); old != nil {
			old.end()
		}
	}, nil
}

// Listen takes exactly the addresses that are keys of handlers, and gives up others. Where one cannot be taken nothing changes.
func (s *Server) Listen(ctx context.Context, handlers map[string]http.Handler) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh := map[string]*door{}
	for addr, h := range handlers {
		if d := s.doors[addr]; d != nil {
			continue
		}
		l, err := listen(ctx, addr)
		if err != nil {
			for _, d := range fresh {
				_ = d.listener.Close()
			}
			return err
		}
		d := &door{listener: l, done: make(chan struct{})}
		d.handler.Store(&h)
		fresh[addr] = d
	}
	for addr, d := range s.doors {
		h, ok := handlers[addr]
		if ok {
			d.handler.Store(&h)
			continue
		}
		delete(s.doors, addr)
		go func() {
			grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
			defer cancel()
			d.close(grace)
		}()
	}
	for addr, d := range fresh {
		s.doors[addr] = d
		s.serve(d)
	}
	return nil
}

// listen takes HOST:PORT, or unix:///PATH.
func listen(ctx context.Context, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	path, is := strings.CutPrefix(addr, "unix://")
	if !is {
		return lc.Listen(ctx, "tcp", addr)
	}
	if info, err := os.Stat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
		if c, err := net.Dial("unix", path); err == nil {
			_ = c.Close()
			return nil, fmt.Errorf("listen unix %s: somebody else listens there", path)
		}
		_ = os.Remove(path) // left by a process that was killed
	}
	return lc.Listen(ctx, "unix", path)
}

// Addr is the address that was taken for addr, with the port the system chose for :0.
func (s *Server) Addr(addr string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.doors[addr]; d != nil {
		return d.listener.Addr().String()
	}
	return ""
}

func (s *Server) serve(d *door) {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true) // gRPC probes of a kubelet
	d.server = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.answer(d, w, r) }), Protocols: protocols,
		ReadHeaderTimeout: headerTimeout, ReadTimeout: bodyTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: headerLimit,
		ErrorLog: quiet(),
	}
	go func() {
		defer close(d.done)
		if err := d.server.Serve(&secured{Listener: d.listener, server: s}); err != nil && !errors.Is(err, http.ErrServerClosed) {
			s.log.Error().AnErr("err", err).Str("listen", d.listener.Addr().String()).Msg("cannot take connections any more")
		}
	}()
}

// answer lets a request in, or says why not.
func (s *Server) answer(d *door, w http.ResponseWriter, r *http.Request) {
	if c := s.conf.Load(); c != nil {
		if r = c.admit(w, r); r == nil {
			return
		}
	}
	(*d.handler.Load()).ServeHTTP(w, r)
}

// Limited is h for requests that have to do something: at most so many at once as New was told. Probes, which are answered from memory, are not among them:
// scrapes that hang must not make a kubelet restart the pod.
func (s *Server) Limited(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case s.busy <- struct{}{}:
			defer func() { <-s.busy }()
		default:
			w.Header().Set("Retry-After", "1")
			http.Error(w, "too many requests at once", http.StatusServiceUnavailable)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// Close gives up all addresses, and lets requests in flight finish until ctx ends.
func (s *Server) Close(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all sync.WaitGroup
	for addr, d := range s.doors {
		all.Go(func() { d.close(ctx) })
		delete(s.doors, addr)
	}
	all.Wait()
	if old := s.tls.Swap(nil); old != nil {
		old.end()
	}
}

// close lets requests in flight finish until ctx ends, which cuts them off.
func (d *door) close(ctx context.Context) {
	if d.server.Shutdown(ctx) != nil {
		_ = d.server.Close()
	}
	<-d.done
}

// secured makes connections speak TLS while that is configured.
type secured struct {
	net.Listener
	server *Server
}

// Accept implements net.Listener.
func (l *secured) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if t := l.server.tls.Load(); t != nil {
		return tls.Server(c, t.server.Config()), nil
	}
	return c, nil
}
