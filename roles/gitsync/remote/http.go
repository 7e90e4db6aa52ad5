package remote

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	maxRedirects = 5
	// What is read of an answer after its end, so that the connection can be kept.
	drainLimit = 4 << 10
)

// httpRemote is a repository behind the smart HTTP protocol. What the server can do is asked once; from then
// on a List is one POST on a kept connection.
type httpRemote struct {
	cfg  Config
	loc  location
	tr   *straight
	auth *authorizer
	home *url.URL // the address as given, without credentials

	readers sync.Pool // of *packetReader: a poll's largest allocation otherwise

	mu     sync.Mutex
	server *httpServer // nil until asked
	ask    lsRefs
}

// httpServer is what the first request taught us.
type httpServer struct {
	*advert
	upload  *url.URL // where to POST
	trusted bool     // still the host the credentials are for
}

// lsRefs keeps the last encoded request, because a poll repeats it.
type lsRefs struct {
	prefixes []string
	body     []byte
}

func openHTTP(cfg Config, loc location) (Remote, error) {
	tlsc, err := tlsConfig(cfg)
	if err != nil {
		return nil, err
	}
	home := &url.URL{Scheme: loc.scheme, Host: loc.host, Path: strings.TrimRight(loc.path, "/"), RawQuery: loc.query}
	h := &httpRemote{cfg: cfg, loc: loc, home: home}
	dial := (&net.Dialer{Timeout: cfg.Timeouts.Dial, KeepAlive: 30 * time.Second}).DialContext
	// HTTP/1.1 only: one connection carries one request at a time anyway, and a poll costs less.
	h.tr = &straight{dial: dial, tls: tlsc, timeouts: cfg.Timeouts, proxied: &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dial,
		TLSClientConfig:        tlsc,
		TLSHandshakeTimeout:    cfg.Timeouts.Dial,
		TLSNextProto:           map[string]func(string, *tls.Conn) http.RoundTripper{},
		ResponseHeaderTimeout:  cfg.Timeouts.Response,
		MaxResponseHeaderBytes: maxResponseHeader,
		MaxIdleConnsPerHost:    2,
		IdleConnTimeout:        idleFor,
		DisableCompression:     true,
		ReadBufferSize:         16 << 10,
		WriteBufferSize:        4 << 10,
	}}
	if h.auth, err = newAuthorizer(cfg, loc, h.tr); err != nil {
		return nil, err
	}
	return h, nil
}

func tlsConfig(cfg Config) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(4)}
	if cfg.CAFile != "" {
		pem, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read certificate authorities (http.sslCAInfo): %w: %w", ErrConfig, err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%w: %s (http.sslCAInfo) holds no PEM certificate", ErrConfig, cfg.CAFile)
		}
	}
	if cfg.CertFile != "" || cfg.KeyFile != "" {
		if cfg.CertFile == "" || cfg.KeyFile == "" {
			return nil, fmt.Errorf("%w: http.sslCert and http.sslKey go together", ErrConfig)
		}
		// Loaded for each handshake, so that a renewed certificate needs no restart.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(cfg.CertFile, cfg.KeyFile)
			if err != nil {
				return nil, fmt.Errorf("%w: load client certificate %s: %w", ErrConfig, cfg.CertFile, err)
			}
			return &pair, nil
		}
	}
	return c, nil
}

func (h *httpRemote) Close() error {
	h.tr.CloseIdleConnections()
	return nil
}

func (h *httpRemote) List(ctx context.Context, prefixes []string) ([]Ref, error) {
	refs, err := h.list(ctx, prefixes)
	if err != nil {
		return nil, h.explain("list refs", err)
	}
	return refs, nil
}

func (h *httpRemote) list(ctx context.Context, prefixes []string) ([]Ref, error) {
	s, fresh, err := h.discover(ctx)
	if err != nil {
		return nil, err
	}
	if s.version != 2 {
		return h.listOld(ctx, s, fresh, prefixes)
	}
	resp, err := h.post(ctx, s, h.listBody(s, prefixes))
	if err != nil && !fresh && forgotten(err) {
		h.forget()
		if s, _, err = h.discover(ctx); err != nil {
			return nil, err
		}
		if s.version != 2 {
			return h.listOld(ctx, s, true, prefixes)
		}
		resp, err = h.post(ctx, s, h.listBody(s, prefixes))
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	p, ok := h.readers.Get().(*packetReader)
	if !ok {
		p = newPacketReader(nil, firstBuffer)
	}
	*p = packetReader{r: resp.Body, buf: p.buf}
	refs, err := readRefs(h.cfg, p, prefixes)
	p.r = nil
	h.readers.Put(p)
	if err != nil {
		return nil, err
	}
	drain(resp.Body)
	return refs, nil
}

// listOld filters what an old server listed; it lists again only when that answer was used before.
func (h *httpRemote) listOld(ctx context.Context, s *httpServer, fresh bool, prefixes []string) ([]Ref, error) {
	if !fresh {
		h.forget()
		var err error
		if s, _, err = h.discover(ctx); err != nil {
			return nil, err
		}
		if s.version == 2 {
			return h.list(ctx, prefixes)
		}
	}
	return selectRefs(s.refs, prefixes), nil
}

func selectRefs(all []Ref, prefixes []string) []Ref {
	var refs []Ref
	for _, r := range all {
		if wanted(r.Name, prefixes) {
			refs = append(refs, r)
		}
	}
	return refs
}

func (h *httpRemote) listBody(s *httpServer, prefixes []string) []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ask.body == nil || !slices.Equal(h.ask.prefixes, prefixes) {
		h.ask = lsRefs{prefixes: slices.Clone(prefixes), body: s.lsRefsRequest(h.cfg, prefixes)}
	}
	return h.ask.body
}

func (h *httpRemote) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.server, h.ask = nil, lsRefs{}
}

func (h *httpRemote) Fetch(ctx context.Context, req FetchRequest) (*FetchResponse, error) {
	if err := req.check(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	resp, err := h.fetch(ctx, cancel, req)
	if err != nil {
		cancel(nil)
		return nil, h.explain("fetch", err)
	}
	return resp, nil
}

func (h *httpRemote) fetch(ctx context.Context, cancel context.CancelCauseFunc, req FetchRequest) (*FetchResponse, error) {
	resp, s, err := h.startFetch(ctx, req)
	if err != nil {
		return nil, err
	}
	body := resp.Body
	p := newPacketReader(newStallReader(ctx, cancel, body, h.cfg.Timeouts.Stall), packBuffer)
	var out *FetchResponse
	raw := false
	if s.version == 2 {
		out, err = readSections(h.cfg, p)
	} else {
		out, raw, err = readOldAnswer(h.cfg, p, s.advert, req)
	}
	if err != nil {
		body.Close()
		return nil, err
	}
	pack := &packReader{cfg: h.cfg, p: p, raw: raw}
	pack.closed = func() error {
		if errors.Is(pack.err, io.EOF) && !raw {
			drain(body)
		}
		err := body.Close()
		cancel(nil)
		return err
	}
	out.Pack = pack
	return out, nil
}

// startFetch posts the request, once more after a new discovery when the server seems to have changed.
func (h *httpRemote) startFetch(ctx context.Context, req FetchRequest) (*http.Response, *httpServer, error) {
	for again := false; ; again = true {
		s, fresh, err := h.discover(ctx)
		if err != nil {
			return nil, nil, err
		}
		var body []byte
		if s.version == 2 {
			body, err = s.fetchRequest(h.cfg, req)
		} else {
			body, err = s.oldRequest(h.cfg, req)
		}
		if err != nil {
			return nil, nil, err
		}
		resp, err := h.post(ctx, s, body)
		if err == nil || fresh || again || !forgotten(err) {
			return resp, s, err
		}
		h.forget()
	}
}

// discover returns what the server can do; fresh tells that it was asked just now.
func (h *httpRemote) discover(ctx context.Context) (s *httpServer, fresh bool, err error) {
	h.mu.Lock()
	s = h.server
	h.mu.Unlock()
	if s != nil {
		return s, false, nil
	}
	resp, at, trusted, err := h.getInfoRefs(ctx)
	if err != nil {
		return nil, false, err
	}
	defer resp.Body.Close()
	if t := resp.Header.Get("Content-Type"); t != "application/x-git-upload-pack-advertisement" {
		return nil, false, fmt.Errorf("%w: the address answers with %q instead of a git repository: check --repo", ErrProtocol, h.cfg.quote(t))
	}
	a, err := readAdvert(h.cfg, newPacketReader(resp.Body, firstBuffer))
	if err != nil {
		return nil, false, err
	}
	drain(resp.Body)
	upload := *at
	upload.Path = strings.TrimSuffix(at.Path, "/info/refs") + "/git-upload-pack"
	upload.RawQuery = h.home.RawQuery
	s = &httpServer{advert: a, upload: &upload, trusted: trusted}
	h.mu.Lock()
	h.server, h.ask = s, lsRefs{}
	h.mu.Unlock()
	return s, true, nil
}

func drain(r io.Reader) { _, _ = io.CopyN(io.Discard, r, drainLimit) }

// post sends one command. Redirects are refused: the address was settled by the first request.
func (h *httpRemote) post(ctx context.Context, s *httpServer, body []byte) (*http.Response, error) {
	header := h.header(s.version)
	header["Content-Type"] = []string{"application/x-git-upload-pack-request"}
	header["Accept"] = []string{"application/x-git-upload-pack-result"}
	// An empty key is not sent; it tells the transport that the request may be repeated on a new
	// connection when the kept one turns out to be closed.
	header["Idempotency-Key"] = []string{}
	req := &http.Request{
		Method: http.MethodPost, URL: s.upload, Host: s.upload.Host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		ContentLength: int64(len(body)),
		Body:          io.NopCloser(bytes.NewReader(body)),
		GetBody:       func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil },
	}
	resp, err := h.send(ctx, req, s.trusted)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		return nil, h.statusError(resp, s.trusted)
	}
	if t := resp.Header.Get("Content-Type"); t != "application/x-git-upload-pack-result" {
		resp.Body.Close()
		return nil, fmt.Errorf("%w: the server answers a request with content type %q", ErrProtocol, h.cfg.quote(t))
	}
	return resp, nil
}

func (h *httpRemote) header(version int) http.Header {
	header := http.Header{"User-Agent": {h.cfg.UserAgent}}
	if version == 2 {
		header["Git-Protocol"] = []string{"version=2"}
	}
	return header
}
