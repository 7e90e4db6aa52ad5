package adapter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/internal/health"
	"github.com/sidecar-kit/sidecar/internal/meter"
	"github.com/sidecar-kit/sidecar/internal/role"
)

// application is what speaks of itself in the demo.
const application = `# HELP http_requests_total Requests that were answered.
# TYPE http_requests_total counter
http_requests_total{code="200"} 1027
http_requests_total{code="500"} 3
# TYPE queue_length gauge
queue_length 4
`

// demo shows an application that has metrics at /metrics to a monitoring system that only knows JSON at /healthz.
func demo(ctx context.Context, stdout io.Writer) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	app := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, application)
	})}
	go func() { _ = app.Serve(listener) }()
	defer func() { _ = app.Close() }()

	cfg := Default()
	cfg.Listen = "127.0.0.1:0"
	cfg.From, cfg.Serve = []string{"http://" + listener.Addr().String() + "/metrics"}, []string{"/healthz:json"}
	env := role.Env{
		Log: zerolog.Nop(), Metrics: &meter.Registry{}, Health: &health.Set{}, Stdout: stdout, Drain: 5 * time.Second, Hangup: make(chan struct{}), Quit: make(chan struct{}),
	}
	a, err := New(&cfg, env)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	fmt.Fprintf(stdout, "The application says at /metrics:\n\n%s\nsidecar adapter --from http://%s/metrics --serve /healthz:json\n\nThe monitoring system reads at /healthz:\n\n", application, listener.Addr())
	answer, err := ask(ctx, a, cfg.Listen)
	_, e := io.WriteString(stdout, answer)
	stop()
	err = errors.Join(err, e, <-ended)
	if err == nil && answer == "" {
		err = errors.New("the answer is empty")
	}
	return err
}

// ask waits until the adapter listens, and asks it.
func ask(ctx context.Context, a *Adapter, listen string) (string, error) {
	for a.server.Addr(listen) == "" {
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+a.server.Addr(listen)+"/healthz", nil)
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", answer.StatusCode, text)
	}
	return string(text), err
}
