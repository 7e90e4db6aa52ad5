package blackbox

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/internal/proto"
)

type grpcSettings struct {
	service  string
	metadata map[string][]string
}

const checkPath = "/grpc.health.v1.Health/Check"

// Codes of gRPC.
const (
	grpcUnknown     = 2
	grpcDeadline    = 4
	grpcUnavailable = 14
)

func (l *look) probeGRPC(ctx context.Context) error {
	const seconds, response = "probe_grpc_duration_seconds", "probe_grpc_healthcheck_response"
	r := l.report
	r.set(seconds, "Duration of gRPC request by phase", 0, "phase", "resolve")
	r.set("probe_grpc_ssl", "Indicates if SSL was used for the connection", 0)
	r.set("probe_grpc_status_code", "Response gRPC status code", 0)
	target := l.target
	if !strings.Contains(target, "://") {
		target = "http://" + target
	}
	u, err := url.Parse(target)
	if err != nil || u.Hostname() == "" {
		return errors.New("the target is no HOST:PORT")
	}
	u.Scheme = "http"
	if l.useTLS {
		u.Scheme = "https"
	}
	port := portOf(u)
	addr, err := l.find(ctx, u.Hostname(), port, seconds)
	if err != nil {
		return err
	}
	for _, s := range []string{"NOT_SERVING", "SERVICE_UNKNOWN", "SERVING", "UNKNOWN"} {
		r.set(response, "Response HealthCheck response", 0, "serving_status", s)
	}
	start := time.Now()
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		c, err := l.dial(ctx, "tcp", addr, port)
		if err != nil || !l.useTLS {
			return c, err
		}
		secure, err := l.tls.shake(ctx, c, u.Hostname(), true, "h2")
		if err != nil {
			return nil, err
		}
		return secure, nil
	}
	code, status, err := l.health(ctx, &url.URL{Scheme: u.Scheme, Host: net.JoinHostPort(u.Hostname(), port), Path: checkPath}, dial)
	r.set(seconds, "", time.Since(start).Seconds(), "phase", "check")
	r.set("probe_grpc_status_code", "", float64(code))
	if err != nil {
		return err
	}
	names := []string{"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"}
	if status >= uint64(len(names)) {
		return fmt.Errorf("the service is in state %d, which is not known", status)
	}
	r.set(response, "", 1, "serving_status", names[status])
	if names[status] != "SERVING" {
		return errors.New("the service is " + names[status])
	}
	return nil
}

// health asks for the status of a service.
func (l *look) health(ctx context.Context, u *url.URL, dial func(context.Context, string, string) (net.Conn, error)) (code int, status uint64, err error) {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	protocols.SetHTTP2(true)
	transport := &http.Transport{Protocols: protocols, DisableKeepAlives: true, DisableCompression: true, DialContext: dial, DialTLSContext: dial}
	defer transport.CloseIdleConnections()
	var message []byte
	if l.grpc.service != "" {
		message = proto.Bytes(nil, 1, l.grpc.service)
	}
	body := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...) //nolint:gosec // a name
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return grpcUnknown, 0, err
	}
	for name, values := range l.grpc.metadata {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("Te", "trailers")
	answer, err := transport.RoundTrip(req)
	if err != nil {
		if ctx.Err() != nil {
			return grpcDeadline, 0, err
		}
		return grpcUnavailable, 0, err
	}
	defer func() { _ = answer.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	if err != nil {
		return grpcUnavailable, 0, err
	}
	if answer.TLS != nil {
		l.report.set("probe_grpc_ssl", "", 1)
		l.report.secured(answer.TLS, false, false)
	}
	return readHealth(answer, data)
}

func readHealth(answer *http.Response, data []byte) (code int, status uint64, err error) {
	word := answer.Trailer.Get("Grpc-Status")
	if word == "" {
		word = answer.Header.Get("Grpc-Status")
	}
	if word == "" {
		return codeOf(answer.StatusCode), 0, fmt.Errorf("status %d without a status of gRPC", answer.StatusCode)
	}
	if code, err = strconv.Atoi(word); err != nil {
		return grpcUnknown, 0, errors.New("the status of gRPC is no number")
	}
	if code != 0 {
		return code, 0, fmt.Errorf("gRPC status %d", code)
	}
	if len(data) < 5 || data[0] != 0 || uint64(binary.BigEndian.Uint32(data[1:])) != uint64(len(data)-5) {
		return grpcUnknown, 0, errors.New("the answer is no message of gRPC")
	}
	err = proto.Each(data[5:], func(field int, n uint64, _ []byte) error {
		if field == 1 {
			status = n
		}
		return nil
	})
	return code, status, err
}

// codeOf is what clients of gRPC make of an answer over HTTP without a status of gRPC.
func codeOf(status int) int {
	switch status {
	case http.StatusBadRequest:
		return 13
	case http.StatusUnauthorized:
		return 16
	case http.StatusForbidden:
		return 7
	case http.StatusNotFound:
		return 12
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return grpcUnavailable
	}
	return grpcUnknown
}
