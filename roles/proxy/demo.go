package proxy

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/internal/health"
	"github.com/sidecar-kit/sidecar/internal/meter"
	"github.com/sidecar-kit/sidecar/internal/role"
)

// demo puts HTTPS in front of an application that knows nothing of it, asks it as a client does, replaces the certificate, and
// asks again.
func demo(ctx context.Context, stdout io.Writer) error {
	app, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it does not wait
	if err != nil {
		return err
	}
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "the app was asked by %s for %s://%s%s", r.Header.Get("X-Forwarded-For"), r.Header.Get("X-Forwarded-Proto"), r.Host, r.URL.Path)
	})}
	go func() { _ = server.Serve(app) }()
	defer server.Close()
	folder, err := os.MkdirTemp("", "sidecar-demo")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	if err := selfSigned(folder, "first"); err != nil {
		return err
	}
	free, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it does not wait
	if err != nil {
		return err
	}
	address := free.Addr().String()
	_ = free.Close()
	cfg := Default()
	cfg.Quiet = 0
	cfg.Routes = []string{"https://" + address + "?cert=" + folder + " => http://" + app.Addr().String()}
	fmt.Fprintf(stdout, "sidecar proxy '%s'\n\n", cfg.Routes[0])
	p, err := New(&cfg, role.Env{Log: zerolog.Nop(), Metrics: new(meter.Registry), Health: &health.Set{}, Stdout: io.Discard, Drain: 5 * time.Second})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	for _, name := range []string{"first", "second"} {
		if name == "second" {
			if err := selfSigned(folder, name); err != nil {
				return err
			}
			fmt.Fprintln(stdout, "\nThe certificate is replaced; nobody tells the proxy.")
		}
		if err := demoAsk(ctx, stdout, address, name); err != nil {
			return err
		}
	}
	cancel()
	return <-ended
}

// demoAsk asks until the certificate has the name.
func demoAsk(ctx context.Context, stdout io.Writer, address, name string) error {
	for range 200 {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // it signed itself a moment ago
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+address+"/hello", http.NoBody)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err == nil {
			body, rerr := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if cn := resp.TLS.PeerCertificates[0].Subject.CommonName; cn == name && rerr == nil {
				_, err := fmt.Fprintf(stdout, "%s, certificate %q: %s\n", resp.Proto, cn, body)
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return fmt.Errorf("the certificate %q was not served", name)
}

// selfSigned writes tls.crt and tls.key as a kubelet does: both at once, by a link that is renamed.
func selfSigned(folder, name string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := time.Now()
	cert := &x509.Certificate{SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		return err
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	data := filepath.Join(folder, ".."+name)
	if err := os.Mkdir(data, 0o700); err != nil {
		return err
	}
	for file, block := range map[string]*pem.Block{"tls.crt": {Type: "CERTIFICATE", Bytes: der}, "tls.key": {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(filepath.Join(data, file), pem.EncodeToMemory(block), 0o600); err != nil {
			return err
		}
		if err := os.Symlink(filepath.Join("..data", file), filepath.Join(folder, file)); err != nil && !os.IsExist(err) {
			return err
		}
	}
	next := filepath.Join(folder, "..data_tmp")
	if err := os.Symlink(".."+name, next); err != nil {
		return err
	}
	return os.Rename(next, filepath.Join(folder, "..data"))
}
