package probe

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
	"strings"
	"sync/atomic"
)

// healthPath is grpc.health.v1.Health/Check of the gRPC health checking protocol
// (github.com/grpc/grpc, doc/health-checking.md).
const healthPath = "/grpc.health.v1.Health/Check"

// grpcMax is far above the two bytes of a health answer.
const grpcMax = 64 << 10

// grpcWant is a server and the service it is asked about; "" is the server.
type grpcWant struct {
	host, addr string
	service    string
	authority  string
	trust      *trust // nil: without TLS
}

func openGRPC(t target, o *options) (look, error) {
	u, err := t.network()
	if err != nil {
		return nil, err
	}
	if u.User != nil || u.RawQuery != "" {
		return nil, fmt.Errorf("%s: %w", t.shown, errShape)
	}
	w := &grpcWant{service: strings.Trim(u.Path, "/")}
	if w.host, w.addr, err = t.join(u, ""); err != nil {
		return nil, err
	}
	w.authority = w.addr
	if host, ok := o.text("host"); ok {
		w.authority = host
	}
	if t.scheme == "grpcs" {
		w.trust = o.trust()
	}
	return w.look, nil
}

func (w *grpcWant) look(ctx context.Context) (string, error) {
	var connected atomic.Bool
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	protocols.SetHTTP2(true)
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := connect(ctx, network, addr)
		connected.Store(err == nil)
		return conn, err
	}
	transport := &http.Transport{
		Protocols: protocols, DisableKeepAlives: true, DisableCompression: true, DialContext: dial,
		DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return w.secure(ctx, conn)
		},
	}
	defer transport.CloseIdleConnections()
	scheme := "http"
	if w.trust != nil {
		scheme = "https"
	}
	u := url.URL{Scheme: scheme, Host: w.addr, Path: healthPath}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(healthRequest(w.service)))
	if err != nil {
		return "", err
	}
	req.Host = w.authority
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("Te", "trailers")
	// No grpc-timeout: the server's own end of the time could come before ours and read
	// like a refusal. It sees the stream reset instead.
	req.Header.Set("User-Agent", "grpc-sidecar-probe")
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return "", w.explain(err, connected.Load())
	}
	defer resp.Body.Close()
	return w.judge(resp)
}

func (w *grpcWant) secure(ctx context.Context, conn net.Conn) (net.Conn, error) {
	secured, err := w.trust.handshake(ctx, conn, w.host, "h2")
	if err != nil {
		return nil, err
	}
	if got := secured.ConnectionState().NegotiatedProtocol; got != "h2" {
		_ = secured.Close()
		return nil, errNotHTTP2
	}
	return secured, nil
}

var errNotHTTP2 = &unmet{"the server does not speak HTTP/2, is it gRPC?", "not HTTP/2"}

// explain recognises a server that answers in HTTP/1 or in nothing that is known.
func (w *grpcWant) explain(err error, connected bool) error {
	short := plainHTTP(err, connected)
	if _, isLate := errors.AsType[*late](short); isLate || !connected || isOurs(err) {
		return short
	}
	if w.trust == nil {
		return fmt.Errorf("no HTTP/2 (%w), is it gRPC, and without TLS?", short)
	}
	return fmt.Errorf("no HTTP/2 (%w), is it gRPC?", short)
}

// judge reads status and message of an answer.
func (w *grpcWant) judge(resp *http.Response) (string, error) {
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("HTTP status %d, is it gRPC?", resp.StatusCode)
	}
	if kind := resp.Header.Get("Content-Type"); !strings.HasPrefix(kind, "application/grpc") {
		return "", fmt.Errorf("content type %q, is it gRPC?", kind)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, grpcMax))
	if err != nil {
		return "", plain(err, "connected, but the answer did not end")
	}
	if len(body) == grpcMax {
		return "", errFrame
	}
	code, text := resp.Trailer.Get("Grpc-Status"), resp.Trailer.Get("Grpc-Message")
	if code == "" {
		code, text = resp.Header.Get("Grpc-Status"), resp.Header.Get("Grpc-Message")
	}
	if code != "0" {
		return "", w.refused(code, text)
	}
	status, err := healthStatus(body)
	if err != nil {
		return "", err
	}
	if status != serving {
		return "", fmt.Errorf("%s, want SERVING", statusName(status))
	}
	return "SERVING", nil
}

// refused says what a status of gRPC means here.
func (w *grpcWant) refused(code, text string) error {
	if decoded, err := url.PathUnescape(text); err == nil {
		text = decoded
	}
	switch code {
	case "":
		return errors.New("the answer has no grpc-status, is it gRPC?")
	case "4":
		return &late{"the server gave no answer"}
	case "5":
		return fmt.Errorf("SERVICE_UNKNOWN: the server does not know the service %q", w.service)
	case "12":
		return errors.New("UNIMPLEMENTED: the server has no grpc.health.v1.Health service")
	}
	names := map[string]string{"1": "CANCELLED", "2": "UNKNOWN", "7": "PERMISSION_DENIED", "8": "RESOURCE_EXHAUSTED", "13": "INTERNAL", "14": "UNAVAILABLE", "16": "UNAUTHENTICATED"}
	name := names[code]
	if name == "" {
		name = "grpc-status " + code
	}
	return errors.New(strings.TrimSuffix(name+": "+text, ": "))
}

// The values of HealthCheckResponse.ServingStatus.
const (
	unknown = iota
	serving
	notServing
	serviceUnknown
)

func statusName(status uint64) string {
	switch status {
	case unknown:
		return "UNKNOWN"
	case serving:
		return "SERVING"
	case notServing:
		return "NOT_SERVING"
	case serviceUnknown:
		return "SERVICE_UNKNOWN"
	}
	return fmt.Sprintf("status %d", status)
}

// healthRequest is a frame with HealthCheckRequest{service = 1}.
func healthRequest(service string) []byte {
	var message []byte
	if service != "" {
		message = append(message, 1<<3|2)
		message = binary.AppendUvarint(message, uint64(len(service)))
		message = append(message, service...)
	}
	frame := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))
	return append(frame, message...)
}

var errFrame = errors.New("the answer is no gRPC health message")

// healthStatus reads a frame with HealthCheckResponse{status = 1}: a byte for
// compression, four for the length, then protobuf. Unknown fields are left out.
func healthStatus(frame []byte) (uint64, error) {
	if len(frame) < 5 || frame[0] != 0 || uint64(binary.BigEndian.Uint32(frame[1:5])) != uint64(len(frame)-5) {
		return 0, errFrame
	}
	var status uint64
	for data := frame[5:]; len(data) > 0; {
		tag, n := binary.Uvarint(data)
		if n <= 0 || tag>>3 == 0 {
			return 0, errFrame
		}
		data = data[n:]
		value, size := uint64(0), 0
		switch tag & 7 {
		case 0:
			if value, size = binary.Uvarint(data); size <= 0 {
				return 0, errFrame
			}
		case 1:
			size = 8
		case 2:
			length, n := binary.Uvarint(data)
			if n <= 0 || length > uint64(len(data)) {
				return 0, errFrame
			}
			size = n + int(length)
		case 5:
			size = 4
		default:
			return 0, errFrame
		}
		if size > len(data) {
			return 0, errFrame
		}
		if tag == 1<<3 {
			status = value
		}
		data = data[size:]
	}
	return status, nil
}
