package e2e

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

const (
	serving    = healthpb.HealthCheckResponse_SERVING
	notServing = healthpb.HealthCheckResponse_NOT_SERVING
	unknown    = healthpb.HealthCheckResponse_SERVICE_UNKNOWN
)

// TestAdapterSpeaksGRPCHealth: grpc-go's client asks the adapter for what its checks saw of grpc-go's health server.
func TestAdapterSpeaksGRPCHealth(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	app := health.NewServer()
	server := grpc.NewServer()
	healthpb.RegisterHealthServer(server, app)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	app.SetServingStatus("shop", serving)

	p := runAdapter(t, fmt.Sprintf(`checks:
  app: {grpc: %q, every: 200ms, timeout: 30s, groups: [live]}
  shop: {grpc: "%s/shop", every: 200ms, timeout: 30s}
`, l.Addr(), l.Addr()))
	conn, err := grpc.NewClient(p.scrape, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := healthpb.NewHealthClient(conn)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	wantStatus := func(service string, want healthpb.HealthCheckResponse_ServingStatus) {
		t.Helper()
		eventually(t, time.Minute, fmt.Sprintf("%q %s", service, want), func() error {
			got, err := client.Check(ctx, &healthpb.HealthCheckRequest{Service: service})
			if err == nil && got.Status != want {
				err = fmt.Errorf("it is %s", got.Status)
			}
			return err
		})
	}
	for _, service := range []string{"", "ready", "live", "app", "shop"} {
		wantStatus(service, serving)
	}
	if _, err := client.Check(ctx, &healthpb.HealthCheckRequest{Service: "nothing"}); status.Code(err) != codes.NotFound {
		t.Errorf("Check(nothing) = %v; want NotFound", err)
	}
	list, err := client.List(ctx, &healthpb.HealthListRequest{})
	if err != nil || list.Statuses["shop"].GetStatus() != serving || list.Statuses[""].GetStatus() != serving {
		t.Errorf("List() = %v, %v; want shop and the whole serving", slices.Sorted(maps.Keys(list.GetStatuses())), err)
	}

	watch := func(service string) grpc.ServerStreamingClient[healthpb.HealthCheckResponse] {
		t.Helper()
		stream, err := client.Watch(ctx, &healthpb.HealthCheckRequest{Service: service})
		if err != nil {
			t.Fatal(err)
		}
		return stream
	}
	next := func(stream grpc.ServerStreamingClient[healthpb.HealthCheckResponse], want healthpb.HealthCheckResponse_ServingStatus) {
		t.Helper()
		got, err := stream.Recv()
		if err != nil || got.Status != want {
			t.Fatalf("Watch says %v, %v; want %s", got, err, want)
		}
	}
	shop, whole, nothing := watch("shop"), watch(""), watch("nothing")
	next(shop, serving)
	next(whole, serving)
	next(nothing, unknown) // and stays open, as the protocol wants
	app.SetServingStatus("shop", notServing)
	next(shop, notServing)
	next(whole, notServing)
	wantStatus("live", serving)
	if code, body := answered(p.scrape, "/readyz/shop"); code != http.StatusServiceUnavailable {
		t.Errorf("/readyz/shop = %d %s; want 503, as gRPC says", code, body)
	}
	app.SetServingStatus("shop", serving)
	next(shop, serving)
	next(whole, serving)
	server.Stop() // nobody is there
	next(shop, notServing)
	next(whole, notServing)
	wantStatus("live", notServing)
	p.ends()
	for _, stream := range []grpc.ServerStreamingClient[healthpb.HealthCheckResponse]{shop, nothing} {
		if got, err := stream.Recv(); err == nil {
			t.Errorf("after the end Watch says %v; want an error", got)
		}
	}
}
