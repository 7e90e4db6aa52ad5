package std

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sidecar-kit/sidecar/roles/proxy/message"
	"github.com/sidecar-kit/sidecar/roles/proxy/web"
	"github.com/sidecar-kit/sidecar/roles/proxy/wire"
)

// exchange is a request and its answer.
type exchange struct {
	server  *Server
	req     wire.Request // as the client sent it
	treated wire.Request // as the policy made it
	client  web.Client
	route   *web.Route
	backend *web.Backend
	record  web.Record
	cancel  context.CancelFunc
	in, out atomic.Int64

	mu    sync.Mutex
	timer *time.Timer // cancels: until the head of the answer is there, and between two pieces of its body
	slow  bool        // it did
}

type exchangeKey struct{}

func of(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// ServeHTTP serves one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.active.Add(1)
	x := &exchange{server: s}
	x.record = web.Record{Start: time.Now(), Client: &x.client, Major: uint8(r.ProtoMajor), Minor: uint8(r.ProtoMinor)}
	defer func() {
		broke := recover() // ReverseProxy breaks off what it cannot end, by a panic that net/http understands
		if broke != nil && broke != http.ErrAbortHandler && s.config.Panic != nil {
			s.config.Panic(broke)
		}
		if broke != nil && x.record.Cause == web.Done {
			x.record.Cause = x.torn(r)
		}
		x.record.In, x.record.Out, x.record.Total = x.in.Load(), x.out.Load(), time.Since(x.record.Start)
		if s.config.Observer != nil {
			s.config.Observer.Request(&x.record)
		}
		s.last.Store(time.Now().UnixNano())
		s.active.Add(-1)
		if broke != nil {
			panic(broke)
		}
	}()
	peer := s.peer(r)
	x.client = web.Client{Addr: peer.Remote, Local: peer.Local, TLS: peer.TLS, Minor: 1}
	if s.lame.Load() {
		w.Header().Set("Connection", "close")
	}
	if _, err := message.Request(nil, &x.req, r, s.config.Head); err != nil {
		x.refuse(w, err)
		return
	}
	x.record.Method, x.record.Host, x.record.Target = x.req.Method, x.req.Host, x.req.Target
	if x.admitted(w) {
		defer x.route.Leave()
		x.forward(w, r)
	}
}

func (x *exchange) torn(r *http.Request) web.Cause {
	switch {
	case x.isLate():
		return web.BackendSlow
	case r.Context().Err() != nil:
		return web.ClientGone
	}
	return web.BackendTorn
}

func (s *Server) peer(r *http.Request) web.Peer {
	if c, ok := r.Context().Value(connKey{}).(*conn); ok {
		return c.peer
	}
	if s.config.Peer != nil {
		if p, ok := s.config.Peer(r.Context()); ok {
			return p
		}
	}
	return web.Peer{TLS: r.TLS}
}

// refuse answers a request that package wire does not take.
func (x *exchange) refuse(w http.ResponseWriter, err error) {
	status := http.StatusBadRequest
	if bad, ok := errors.AsType[*wire.BadMessage](err); ok {
		status, x.record.Class = bad.Status, bad.Class
	}
	x.record.Err = err
	w.Header().Set("Connection", "close")
	x.reply(w, status, web.BadRequest, http.StatusText(status))
}

func (x *exchange) reply(w http.ResponseWriter, status int, cause web.Cause, text string) {
	x.record.Status, x.record.Cause = status, cause
	http.Error(w, text, status)
}

// admitted finds the route and applies what it asks for before a backend is picked. Leave must be called when it returns true.
func (x *exchange) admitted(w http.ResponseWriter) bool {
	sites := x.server.sites.Load()
	if err := sites.Ambiguous(x.req.Host, x.req.Target); err != nil {
		x.reply(w, http.StatusBadRequest, web.BadRequest, err.Error())
		return false
	}
	rt := sites.Find(x.req.Host, x.req.Target)
	if rt == nil {
		x.reply(w, http.StatusNotFound, web.Answered, "no route matches")
		return false
	}
	x.route, x.record.Route = rt, rt
	if rt.Rate != nil {
		if wait := rt.Rate.Take(rt.Policy.ClientAddr(&x.req, x.client.Addr.Addr()), x.record.Start); wait > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
			x.reply(w, http.StatusTooManyRequests, web.RateLimited, "too many requests")
			return false
		}
	}
	if rt.Redirect != "" {
		location, status := rt.Location(&x.req)
		if location == "" {
			x.reply(w, status, web.BadRequest, "there is no Host")
			return false
		}
		w.Header().Set("Location", location)
		x.record.Status, x.record.Cause = status, web.Answered
		w.WriteHeader(status)
		return false
	}
	if most := rt.Limits.MaxBody; most > 0 && x.req.Length > most {
		w.Header().Set("Connection", "close")
		x.reply(w, http.StatusRequestEntityTooLarge, web.TooLarge, "the body is too large")
		return false
	}
	if !rt.Enter() {
		rt.Leave()
		x.reply(w, http.StatusServiceUnavailable, web.Overloaded, "too many requests at once")
		return false
	}
	if rt.Pick != nil {
		x.backend = rt.Pick()
	}
	if x.backend == nil {
		rt.Leave()
		x.reply(w, http.StatusServiceUnavailable, web.NoBackend, "no backend is available")
		return false
	}
	x.record.Backend = x.backend
	return true
}

// forward lets the ReverseProxy do its work under the limits of the route.
func (x *exchange) forward(w http.ResponseWriter, r *http.Request) {
	head := x.route.Policy.AppendRequest(nil, &x.req, &x.client)
	if _, err := x.treated.Parse(head, wire.Limits{Head: 1 << 20, Line: 1 << 20, Fields: 1000}); err != nil {
		x.refuse(w, err)
		return
	}
	ctx, cancel := context.WithCancel(context.WithValue(r.Context(), exchangeKey{}, x))
	defer cancel()
	x.cancel = cancel
	x.timer = time.AfterFunc(or(x.route.Limits.Response, time.Minute), x.late)
	defer x.timer.Stop()
	r = r.WithContext(ctx)
	if r.Body != nil && r.Body != http.NoBody {
		in := &input{x: x, body: r.Body, control: http.NewResponseController(w)}
		defer in.end()
		_ = in.control.EnableFullDuplex() // an answer may begin before the body is over, and must not end it
		r.Body = in
	}
	x.server.proxy.ServeHTTP(&output{ResponseWriter: w, x: x}, r)
	if x.record.Upgrade && x.isLate() {
		x.record.Cause = web.IdleEnd
	}
}

func or(d, other time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return other
}

func (x *exchange) late() {
	x.mu.Lock()
	x.slow = true
	x.mu.Unlock()
	x.cancel()
}

func (x *exchange) isLate() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.slow
}

// progress gives the answer's next piece its time.
func (x *exchange) progress() { x.timer.Reset(or(x.route.Limits.Silence, 15*time.Minute)) }

// rewrite replaces all that ReverseProxy made by what the policy says.
func rewrite(p *httputil.ProxyRequest) {
	x := of(p.In.Context())
	out := p.Out
	h := make(http.Header, len(x.treated.Fields))
	for i := range x.treated.Fields {
		f := &x.treated.Fields[i]
		switch f.ID {
		case wire.Host, wire.Connection, wire.Upgrade, wire.ContentLength, wire.TransferEncoding, wire.Trailer:
			continue
		}
		name := http.CanonicalHeaderKey(string(f.Name))
		h[name] = append(h[name], string(f.Value))
	}
	if x.treated.Upgrade != nil {
		h["Connection"], h["Upgrade"] = []string{"Upgrade"}, []string{string(x.treated.Upgrade)}
	}
	if strings.HasPrefix(h.Get("Content-Type"), "application/grpc") {
		h["Te"] = []string{"trailers"}
	}
	if h["User-Agent"] == nil {
		h["User-Agent"] = []string{""} // net/http must not make one up
	}
	out.Header, out.Host = h, string(x.treated.Host)
	out.Trailer = p.In.Trailer // the copy would never get the values
	target := string(x.treated.Target)
	out.URL = &url.URL{Scheme: "http", Host: "backend", Opaque: target}
	if strings.HasPrefix(target, "//") { // net/http would take it for a host
		path, query, found := strings.Cut(target, "?")
		plain, err := url.PathUnescape(path)
		if err != nil {
			plain = path
		}
		out.URL = &url.URL{Scheme: "http", Host: "backend", Path: plain, RawPath: path, RawQuery: query, ForceQuery: found && query == ""}
	}
	if x.treated.Body == wire.None {
		out.Body, out.ContentLength = http.NoBody, 0
	}
}

// answered applies the policy to the head of an answer.
func (s *Server) answered(r *http.Response) error {
	x := of(r.Request.Context())
	x.record.First = time.Since(x.record.Start)
	x.progress()
	var w wire.Response
	if _, err := message.Answer(nil, &w, r, x.req.Method, wire.Limits{Head: 1 << 20, Fields: 1000}); err != nil {
		return err
	}
	upgrade := r.Header.Get("Upgrade")
	h := message.Head(x.route.Policy.AppendResponse(nil, &w, &x.client, false))
	if w.Length >= 0 && r.StatusCode != http.StatusSwitchingProtocols {
		h["Content-Length"] = []string{strconv.FormatInt(w.Length, 10)}
	}
	if r.StatusCode == http.StatusSwitchingProtocols {
		h["Connection"], h["Upgrade"] = []string{"Upgrade"}, []string{upgrade}
		x.record.Upgrade = true
		if up, ok := r.Body.(io.ReadWriteCloser); ok {
			r.Body = &tunnel{up, x}
		}
	}
	if s.lame.Load() && r.StatusCode != http.StatusSwitchingProtocols {
		h["Connection"] = []string{"close"}
	}
	r.Header = h
	x.record.Cause = web.Done
	return nil
}

// failed answers a request that no answer came to.
func failed(w http.ResponseWriter, r *http.Request, err error) {
	x := of(r.Context())
	x.record.Err = err
	status, cause := http.StatusBadGateway, web.BackendLost
	bad, isBad := errors.AsType[*wire.BadMessage](err)
	_, large := errors.AsType[*http.MaxBytesError](err)
	_, dial := errors.AsType[*dialError](err)
	switch {
	case large || errors.Is(err, errTooLarge):
		status, cause = http.StatusRequestEntityTooLarge, web.TooLarge
	case x.isLate():
		status, cause = http.StatusGatewayTimeout, web.BackendSlow
	case errors.Is(err, errClient) || r.Context().Err() != nil:
		status, cause = http.StatusBadRequest, web.ClientGone
	case isBad:
		cause, x.record.Class = web.BadAnswer, bad.Class
	case dial:
		cause = web.ConnectFailed
	}
	x.reply(w, status, cause, http.StatusText(status))
}

var (
	errTooLarge = errors.New("the body is too large")
	errClient   = errors.New("read the request's body")
)

// output counts, and keeps fields of the hop out of interim answers, which ReverseProxy passes on as they are.
type output struct {
	http.ResponseWriter
	x *exchange
}

// Unwrap is for http.ResponseController.
func (o *output) Unwrap() http.ResponseWriter { return o.ResponseWriter }

func (o *output) WriteHeader(status int) {
	h := o.Header()
	if status >= 200 || status == http.StatusSwitchingProtocols {
		o.x.record.Status = status
		for _, name := range []string{"Content-Type", "Date"} {
			if _, ok := h[name]; !ok && o.x.record.Cause == web.Done {
				h[name] = nil // net/http must not make one up
			}
		}
		o.ResponseWriter.WriteHeader(status)
		return
	}
	var w wire.Response
	if _, err := message.Answer(nil, &w, &http.Response{StatusCode: status, Header: h, ContentLength: -1}, o.x.req.Method, wire.Limits{}); err != nil {
		return
	}
	lines := message.Head(o.x.route.Policy.AppendResponse(nil, &w, &o.x.client, false))
	clear(h)
	for name, values := range lines {
		h[name] = values
	}
	o.ResponseWriter.WriteHeader(status)
}

func (o *output) Write(p []byte) (int, error) {
	o.x.progress()
	control := http.NewResponseController(o.ResponseWriter)
	_ = control.SetWriteDeadline(time.Now().Add(or(o.x.route.Limits.Progress, time.Minute)))
	n, err := o.ResponseWriter.Write(p)
	o.x.out.Add(int64(n))
	if err != nil {
		o.x.record.Cause, o.x.record.Err = web.ClientGone, err
	}
	return n, err
}
