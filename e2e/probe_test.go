package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/sidecar-kit/sidecar/e2e/engine"
)

// probes runs `sidecar probe` and compares the exit code and what it says.
func probes(t *testing.T, url string, code int, want string) {
	t.Helper()
	b, err := exec.Command(sidecar(t), "probe", "--timeout", "5s", url).CombinedOutput()
	got := 0
	if ended, ok := err.(*exec.ExitError); ok {
		got = ended.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	if got != code || !regexp.MustCompile(want).Match(b) {
		t.Errorf("probe %s = %d %q; want %d %s", url, got, b, code, want)
	}
}

// certificate writes a self-signed certificate for 127.0.0.1.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"svc"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write(t, cert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})))
	return cert, key
}

// startRedis runs Debian's redis-server and returns its address.
func startRedis(t *testing.T, settings ...string) string {
	t.Helper()
	port := fmt.Sprint(freePort(t))
	args := []string{needs(t, "redis-server"), "--bind", "127.0.0.1", "--port", port, "--dir", t.TempDir(), "--save", ""}
	start(t, append(args, settings...)...)
	return "127.0.0.1:" + port
}

func waits(t *testing.T, url string) {
	t.Helper()
	if b, err := exec.Command(sidecar(t), "wait", url, "--interval", "20ms", "-t", "30").CombinedOutput(); err != nil {
		t.Fatalf("wait %s: %v\n%s", url, err, b)
	}
}

func TestProbeAgainstRealRedis(t *testing.T) {
	open := startRedis(t)
	waits(t, "redis://"+open)
	probes(t, "redis://"+open, 0, "^ok redis://127.0.0.1:[0-9]+: PONG in ")

	dir := t.TempDir()
	password, wrong := filepath.Join(dir, "password"), filepath.Join(dir, "wrong")
	write(t, password, "hunter2\n")
	write(t, wrong, "hunter3\n")
	locked := startRedis(t, "--requirepass", "hunter2", "--user", "app", "on", ">hunter2", "+ping")
	waits(t, "redis://"+locked+"#password-file="+password)
	probes(t, "redis://"+locked, 1, "NOAUTH .*password-file")
	probes(t, "redis://"+locked+"#password-file="+wrong, 1, "WRONGPASS ")
	probes(t, "redis://app@"+locked+"#password-file="+password, 0, "PONG")
	probes(t, "redis://:hunter2@"+locked+"/0", 0, `^ok redis://:\*\*\*@`)
	probes(t, "redis://nobody@"+locked+"#password-file="+password, 1, "WRONGPASS ")
	probes(t, "redis://"+open+"#password-file="+password, 1, "without any password configured")
}

func TestProbeAgainstRealRedisOverTLS(t *testing.T) {
	cert, key := certificate(t)
	port := fmt.Sprint(freePort(t))
	startRedis(t, "--port", "0", "--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert, "--tls-auth-clients", "no")
	waits(t, "rediss://127.0.0.1:"+port+"#ca="+cert)
	probes(t, "rediss://127.0.0.1:"+port, 1, "unknown authority")
	probes(t, "tls://127.0.0.1:"+port+"#servername=svc&min-valid=30m&ca="+cert, 0, `TLS 1\.3`)
	probes(t, "tls://127.0.0.1:"+port+"#min-valid=2h&ca="+cert, 1, "its certificate expires at")
	probes(t, "redis://127.0.0.1:"+port, 1, "the server closed the connection|reset by peer|is it redis")
}

// A redis that reads its data from the disk accepts connections, and is not ready.
func TestWaitOutlastsTheLoadingOfRedis(t *testing.T) {
	dir := t.TempDir()
	first := startRedis(t, "--dir", dir)
	waits(t, "redis://"+first)
	conn, err := net.Dial("tcp", first)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for i := range 1000 {
		fmt.Fprintf(conn, "SET key%d %s\r\n", i, strings.Repeat("x", 1024))
	}
	fmt.Fprintf(conn, "CONFIG SET rdbcompression no\r\nSAVE\r\n")
	eventually(t, time.Minute, "dump", func() error {
		_, err := os.Stat(filepath.Join(dir, "dump.rdb"))
		return err
	})
	second := startRedis(t, "--dir", dir, "--key-load-delay", "1500", "--loading-process-events-interval-bytes", "1024")
	b, err := exec.Command(sidecar(t), "wait", "redis://"+second, "--interval", "20ms", "-t", "30").CombinedOutput()
	if err != nil || !strings.Contains(string(b), `"seen":"LOADING Redis is loading the dataset in memory`) || !strings.Contains(string(b), `"seen":"PONG"`) {
		t.Errorf("wait = %v; want LOADING, then PONG:\n%s", err, b)
	}
	if n := strings.Count(string(b), "LOADING"); n > 2 {
		t.Errorf("LOADING was logged %d times; want it once for a change", n)
	}
}

func TestProbeAgainstRealGRPC(t *testing.T) {
	listen := func(opts []grpc.ServerOption, register func(*grpc.Server)) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := grpc.NewServer(opts...)
		register(s)
		go s.Serve(l)
		t.Cleanup(s.Stop)
		return l.Addr().String()
	}
	state := health.NewServer()
	withHealth := func(s *grpc.Server) { healthpb.RegisterHealthServer(s, state) }
	state.SetServingStatus("my.Service", healthpb.HealthCheckResponse_SERVING)
	state.SetServingStatus("down.Service", healthpb.HealthCheckResponse_NOT_SERVING)

	plain := listen(nil, withHealth)
	probes(t, "grpc://"+plain, 0, "^ok grpc://127.0.0.1:[0-9]+: SERVING in ")
	probes(t, "grpc://"+plain+"/my.Service", 0, "SERVING")
	probes(t, "grpc://"+plain+"/down.Service", 1, "NOT_SERVING, want SERVING")
	probes(t, "grpc://"+plain+"/no.Service", 1, `SERVICE_UNKNOWN: the server does not know the service "no.Service"`)
	probes(t, "grpcs://"+plain+"#insecure", 1, "the server does not speak TLS")
	bare := listen(nil, func(*grpc.Server) {})
	probes(t, "grpc://"+bare, 1, "UNIMPLEMENTED: the server has no grpc.health.v1.Health service")

	certFile, keyFile := certificate(t)
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	creds := grpc.Creds(credentials.NewServerTLSFromCert(&pair))
	secured := listen([]grpc.ServerOption{creds}, withHealth)
	probes(t, "grpcs://"+secured+"/my.Service#ca="+certFile, 0, "SERVING")
	probes(t, "grpcs://"+secured+"#servername=svc&ca="+certFile, 0, "SERVING")
	probes(t, "grpcs://"+secured, 1, "unknown authority")
	probes(t, "grpc://"+secured, 1, "no HTTP/2")

	slow := grpc.UnaryInterceptor(func(ctx context.Context, _ any, _ *grpc.UnaryServerInfo, _ grpc.UnaryHandler) (any, error) {
		<-ctx.Done() // the probe gives up and resets the stream
		return nil, ctx.Err()
	})
	b, err := exec.Command(sidecar(t), "probe", "--timeout", "200ms", "grpc://"+listen([]grpc.ServerOption{slow}, withHealth)).CombinedOutput()
	if err == nil || !strings.Contains(string(b), "no answer within ") {
		t.Errorf("probe of a server that does not answer = %v %q; want no answer", err, b)
	}

	// wait sees the service come up.
	time.AfterFunc(300*time.Millisecond, func() { state.SetServingStatus("down.Service", healthpb.HealthCheckResponse_SERVING) })
	waits(t, "grpc://"+plain+"/down.Service")
}

// The commands work where they will live: in the scratch image, without a shell.
func TestProbeAndWaitInTheImage(t *testing.T) {
	e, err := engine.Find()
	if err == nil {
		_, err = e.Do(t.Context(), "image", "inspect", image)
	}
	if err != nil {
		t.Skipf("no container engine, or no image %s (run `make image`): %v", image, err)
	}
	out, err := e.Do(t.Context(), "run", "--rm", "--read-only", "--cap-drop", "ALL", image, "probe", "file:///etc/passwd#body=65532")
	if err != nil || !strings.HasPrefix(out, "ok file:///etc/passwd: ") {
		t.Errorf("probe in the image = %q, %v; want ok", out, err)
	}
	out, err = e.Do(t.Context(), "run", "--rm", "--read-only", "--cap-drop", "ALL", image,
		"wait", "file:///etc/passwd", "pid:1", "--quiet", "--", "/sidecar", "version", "--json")
	if err != nil || !strings.Contains(out, `"platform"`) {
		t.Errorf("wait -- sidecar version in the image = %q, %v; want the version", out, err)
	}
}
