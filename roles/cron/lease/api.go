package lease

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// bodyLimit is far above any Lease.
const bodyLimit = 1 << 20

// client speaks to the API server.
type client struct {
	o       Options
	timeout time.Duration // of one request

	mu     sync.Mutex
	http   *http.Client
	caTime time.Time
}

// newClient fills in what the cluster tells its pods.
func newClient(o *Options) (*client, error) {
	if o.Server == "" {
		host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
		if host == "" || port == "" {
			return nil, errors.New("a Lease needs a Kubernetes cluster: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set")
		}
		o.Server = "https://" + net.JoinHostPort(host, port)
	}
	if u, err := url.Parse(o.Server); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("address of the API server %q: want https://HOST:PORT", o.Server)
	}
	if o.Namespace == "" {
		data, err := os.ReadFile(filepath.Join(o.Account, "namespace"))
		if err != nil {
			return nil, fmt.Errorf("namespace of the Lease: %w\nhint: set automountServiceAccountToken: true in the pod", err)
		}
		o.Namespace = strings.TrimSpace(string(data))
	}
	if !dnsName.MatchString(o.Namespace) {
		return nil, fmt.Errorf("namespace of the Lease %q: want lower-case letters, digits and dashes, such as default", o.Namespace)
	}
	c := &client{o: *o, timeout: o.RenewDeadline / 2, http: o.Client}
	if o.Client == nil {
		if _, err := c.via(); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// via returns the HTTP client; a new one when the authorities have changed. It speaks HTTP/1.1 because there a request that is not answered takes its
// connection with it, where HTTP/2 would try the dead connection again.
func (c *client) via() (*http.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.o.Client != nil {
		return c.http, nil
	}
	path := filepath.Join(c.o.Account, "ca.crt")
	info, err := os.Stat(path)
	if err == nil && c.http != nil && info.ModTime().Equal(c.caTime) {
		return c.http, nil
	}
	var pem []byte
	if err == nil {
		pem, err = os.ReadFile(path)
	}
	pool := x509.NewCertPool()
	if err == nil && !pool.AppendCertsFromPEM(pem) {
		err = fmt.Errorf("%s has no certificate", path)
	}
	switch {
	case err != nil && c.http != nil:
		return c.http, nil // it is being replaced
	case err != nil:
		return nil, fmt.Errorf("authorities of the API server: %w", err)
	case c.http != nil:
		c.http.CloseIdleConnections()
	}
	c.caTime = info.ModTime()
	c.http = &http.Client{
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
			TLSNextProto:    map[string]func(string, *tls.Conn) http.RoundTripper{},
			DialContext:     (&net.Dialer{Timeout: c.timeout}).DialContext,
			IdleConnTimeout: time.Minute, MaxIdleConns: 2,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the token stays here
	}
	return c.http, nil
}

func (c *client) collection() string {
	return "/apis/coordination.k8s.io/v1/namespaces/" + c.o.Namespace + "/leases"
}

func (c *client) get(ctx context.Context) (record, error) {
	return c.do(ctx, http.MethodGet, c.collection()+"/"+c.o.Name, nil)
}

func (c *client) put(ctx context.Context, r record) (record, error) {
	body, err := r.encode(c.o.Namespace, c.o.Name)
	if err != nil {
		return record{}, err
	}
	return c.do(ctx, http.MethodPut, c.collection()+"/"+c.o.Name, body)
}

func (c *client) post(ctx context.Context, r record) (record, error) {
	body, err := r.encode(c.o.Namespace, c.o.Name)
	if err != nil {
		return record{}, err
	}
	rec, err := c.do(ctx, http.MethodPost, c.collection(), body)
	if missing(err) {
		return rec, fmt.Errorf("%s\nhint: does the namespace %s exist?", err.Error(), c.o.Namespace) // no missing Lease
	}
	return rec, err
}

func (c *client) do(ctx context.Context, method, path string, body []byte) (record, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, c.o.Server+path, bytes.NewReader(body))
	if err != nil {
		return record{}, err
	}
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	// Read for each request: the kubelet replaces it every hour.
	if token, err := os.ReadFile(filepath.Join(c.o.Account, "token")); err == nil {
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	via, err := c.via()
	if err != nil {
		return record{}, err
	}
	resp, err := via.Do(req)
	if err != nil {
		return record{}, err // it names method and address
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, bodyLimit+1))
	switch {
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return record{}, newStatusError(c.o, method, resp, data)
	case err != nil:
		return record{}, fmt.Errorf("%s %s: %w", method, path, err)
	case len(data) > bodyLimit:
		return record{}, fmt.Errorf("%s %s: the answer is larger than 1 MiB, is it the API server?", method, path)
	}
	rec, err := decode(data)
	if err != nil {
		return record{}, fmt.Errorf("%s %s: %w", method, path, err)
	}
	return rec, nil
}

// statusError is an answer that is no Lease.
type statusError struct {
	code  int
	after time.Duration
	text  string
}

func (e *statusError) Error() string { return e.text }

func newStatusError(o Options, method string, resp *http.Response, data []byte) error {
	var status struct{ Message string }
	_ = json.Unmarshal(data, &status) // a proxy answers in other words
	if len(status.Message) > 300 {
		status.Message = status.Message[:300]
	}
	e := &statusError{code: resp.StatusCode, text: fmt.Sprintf("%s Lease %s/%s: %s", method, o.Namespace, o.Name, resp.Status)}
	if status.Message != "" {
		e.text += fmt.Sprintf(": %q", status.Message)
	}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 && seconds < 3600 {
		e.after = time.Duration(seconds) * time.Second
	}
	switch e.code {
	case http.StatusUnauthorized:
		e.text += "\nhint: the token of the service account is not accepted: is " + o.Account + "/token mounted?"
	case http.StatusForbidden:
		e.text += "\nhint: give the service account a Role with the rule {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, create, update]} in namespace " + o.Namespace
	}
	return e
}

func coded(err error, codes ...int) bool {
	refused, ok := errors.AsType[*statusError](err)
	for _, code := range codes {
		if ok && refused.code == code {
			return true
		}
	}
	return false
}

func missing(err error) bool { return coded(err, http.StatusNotFound) }

// changed says that the Lease is not what it was when it was read.
func changed(err error) bool {
	return coded(err, http.StatusNotFound, http.StatusConflict, http.StatusGone, http.StatusPreconditionFailed)
}

// transient says that the same request may succeed, or may have.
func transient(err error) bool {
	refused, ok := errors.AsType[*statusError](err)
	return !ok || refused.code == http.StatusTooManyRequests || refused.code >= 500 || refused.code == http.StatusUnauthorized
}
