package e2e

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/e2e/websocket"
)

// httpsClient asks for names of an authority at one address.
func httpsClient(ca *authority, address string, h2 bool) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!h2)
	protocols.SetHTTP2(h2)
	var d net.Dialer
	return &http.Client{
		Timeout:       30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:     func(ctx context.Context, _, _ string) (net.Conn, error) { return d.DialContext(ctx, "tcp", address) },
			TLSClientConfig: &tls.Config{RootCAs: ca.pool()}, Protocols: protocols, DisableCompression: true,
		},
	}
}

// told is what the application was told of a request.
type told struct {
	Method, URI, Proto, Host string
	Header                   http.Header
	Body                     int64
	by                       string // protocol of the answer
}

func askApp(t *testing.T, who string, client *http.Client, req *http.Request) told {
	t.Helper()
	resp, err := client.Do(req)
	if err != nil {
		t.Fatalf("%s: %v", who, err)
	}
	defer resp.Body.Close()
	var got told
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s: %s, %v", who, req.URL, resp.Status, err)
	}
	got.by = resp.Proto
	return got
}

// legacyStage has the application at 127.0.0.1:8080.
func legacyStage(t *testing.T) *stage {
	t.Helper()
	e := containers(t)
	s := newStage(t, e, nil)
	s.add("app", "-v", program(t, "legacy")+":/legacy:ro", base, "/legacy")
	return s
}

// TestProxyServesHTTPSForALegacyApp: the route of the manual, as written, beside nginx with a configuration for Rails. Both
// tell the same application the same.
func TestProxyServesHTTPSForALegacyApp(t *testing.T) {
	t.Parallel()
	s, peer := legacyStage(t), legacyStage(t)
	ca := newAuthority(t)
	secret := folder(t, ca.secret(t, time.Hour, "shop.example", "*.shop.example"))
	proxy := s.proxy([]string{secret + ":/tls:ro"}, "--route", "https://:8443?cert=/tls => http://127.0.0.1:8080")
	peer.add("nginx", "-v", script(t, "rails.conf")+":/rails.conf:ro", "-v", secret+":/tls:ro", base, "nginx", "-e", "stderr", "-c", "/rails.conf", "-g", "daemon off;")
	eventually(t, time.Minute, "nginx", func() error {
		c, err := net.DialTimeout("tcp", net.JoinHostPort(peer.ip, "8443"), time.Second)
		if err != nil {
			return err
		}
		return c.Close()
	})
	for _, h2 := range []bool{false, true} {
		ours, theirs := httpsClient(ca, net.JoinHostPort(s.ip, "8443"), h2), httpsClient(ca, net.JoinHostPort(peer.ip, "8443"), h2)
		for _, host := range []string{"shop.example:8443", "eu.shop.example:8443", "shop.example"} {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				compareWithNginx(t, ours, theirs, method, host, h2)
			}
		}
	}
	client := httpsClient(ca, net.JoinHostPort(s.ip, "8443"), false)
	checkTrust(t, client)
	checkAnswers(t, client)
	checkSocket(t, s, ca)
	checkCurl(t, s, secret)
	s.logs(proxy, `"kind":"request"`, `"http":2`)
	s.ends(proxy)
}

// compareWithNginx wants the same to be told, but for the id of the request, which nginx has none of, and X-Forwarded-Port:
// nginx tells the port at which it listens, which is not what was asked for when another one leads there.
func compareWithNginx(t *testing.T, ours, theirs *http.Client, method, host string, h2 bool) {
	t.Helper()
	var got [2]told
	for i, client := range []*http.Client{ours, theirs} {
		var body io.Reader
		if method == http.MethodPost {
			body = strings.NewReader(strings.Repeat("b", 100_000))
		}
		req, err := http.NewRequest(method, "https://"+host+"/a/path?q=1&r=%20", body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{"Cookie": {"a=b; c=d"}, "Accept": {"text/html"}, "X-App": {"one", "two"}, "User-Agent": {"e2e"}, "Te": {"trailers"}}
		got[i] = askApp(t, []string{"sidecar", "nginx"}[i], client, req)
	}
	name := fmt.Sprintf("%s https://%s, HTTP/2 %v", method, host, h2)
	if (got[0].by == "HTTP/2.0") != h2 || got[0].by != got[1].by {
		t.Errorf("%s: answered by %s and %s", name, got[0].by, got[1].by)
	}
	id, port := got[0].Header.Get("X-Request-Id"), "8443"
	if !strings.Contains(host, ":") {
		port = "443"
	}
	if p := got[0].Header.Get("X-Forwarded-Port"); id == "" || p != port {
		t.Errorf("%s: X-Request-Id %q, X-Forwarded-Port %q; want one, and %s", name, id, p, port)
	}
	for _, g := range got {
		g.Header.Del("X-Request-Id")
		g.Header.Del("X-Forwarded-Port")
	}
	want := map[string]string{"X-Forwarded-Proto": "https", "X-Forwarded-Host": host}
	for key, value := range want {
		if got[0].Header.Get(key) != value {
			t.Errorf("%s: %s is %q; want %q", name, key, got[0].Header.Get(key), value)
		}
	}
	if a, b := fmt.Sprintf("%+v", got[0]), fmt.Sprintf("%+v", got[1]); a != b {
		t.Errorf("%s: the application was told\n%s, by nginx\n%s", name, a, b)
	}
}

// checkTrust: nobody is believed who is not named. nginx would append to what it was sent.
func checkTrust(t *testing.T, client *http.Client) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, "https://shop.example:8443/", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"X-Forwarded-For": {"1.2.3.4"}, "X-Forwarded-Proto": {"http"}, "X-Real-Ip": {"1.2.3.4"}, "Forwarded": {"for=1.2.3.4"}, "X_Forwarded_For": {"1.2.3.4"}}
	if got := fmt.Sprint(askApp(t, "sidecar", client, req)); strings.Contains(got, "1.2.3.4") {
		t.Errorf("the application was told %s; want nothing of what the client claims", got)
	}
}

// checkAnswers: large bodies, addresses that lead back, and events that come one by one.
func checkAnswers(t *testing.T, client *http.Client) {
	t.Helper()
	resp, err := client.Get("https://shop.example:8443/bytes?n=30000000")
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if n != 30_000_000 || err != nil {
		t.Errorf("%d bytes, %v; want 30000000", n, err)
	}
	resp, err = client.Get("https://shop.example:8443/where")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if to := resp.Header.Get("Location"); to != "https://shop.example:8443/there" {
		t.Errorf("Location: %s; want one that leads through the proxy", to)
	}
	resp, err = client.Get("https://shop.example:8443/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var at []time.Time
	buf := make([]byte, 100)
	for {
		n, err := resp.Body.Read(buf)
		if n > 0 {
			at = append(at, time.Now())
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(at) != 3 || at[2].Sub(at[0]) < 400*time.Millisecond {
		t.Errorf("events came at %v; want three, one by one", at)
	}
}

func checkSocket(t *testing.T, s *stage, ca *authority) {
	t.Helper()
	conn, err := tls.Dial("tcp", net.JoinHostPort(s.ip, "8443"), &tls.Config{RootCAs: ca.pool(), ServerName: "shop.example"})
	if err != nil {
		t.Fatal(err)
	}
	ws, err := websocket.Upgrade(conn, "shop.example", "/ws")
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{0, 5, 200, 70_000} {
		if err := ws.Ask(make([]byte, size)); err != nil {
			t.Errorf("message of %d bytes: %v", size, err)
		}
	}
	if err := ws.Close(); err != nil {
		t.Error(err)
	}
}

// checkCurl asks by curl too, where the machine has it.
func checkCurl(t *testing.T, s *stage, secret string) {
	t.Helper()
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Log("curl is not installed; Go's client did the same")
		return
	}
	for _, version := range []string{"--http1.1", "--http2"} {
		args := []string{"-sS", "--fail", "--max-time", "30", version, "--cacert", secret + "/ca.crt", "--resolve", "shop.example:8443:" + s.ip, "-w", " %{http_version}", "https://shop.example:8443/by-curl", "https://shop.example:8443/again"}
		out, err := exec.Command(curl, args...).CombinedOutput()
		words := []string{"/by-curl", "/again", `"X-Forwarded-Proto":["https"]`}
		if err != nil || slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(string(out), w) }) {
			t.Errorf("curl %s: %v: %s", version, err, out)
		}
	}
}
