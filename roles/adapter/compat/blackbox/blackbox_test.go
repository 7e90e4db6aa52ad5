package blackbox

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/roles/adapter/allow"
)

// ask asks a /probe of one module "m" about a target.
func ask(t *testing.T, module, target string, rules ...string) (int, string, http.Header) {
	t.Helper()
	c, err := Load("b.yml", []byte("modules:\n  m: "+module))
	if err != nil {
		t.Fatal(err)
	}
	if len(rules) == 0 {
		rules = []string{"127.0.0.0/8", "::1"}
	}
	list, err := allow.Parse(rules)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	path := "/probe?module=m&target=" + url.QueryEscape(target)
	Handler(c, list, 0, 30*time.Second).ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, http.NoBody))
	return w.Code, w.Body.String(), w.Header()
}

// want asks, and complains of lines that are not there.
func want(t *testing.T, module, target string, lines ...string) {
	t.Helper()
	code, body, header := ask(t, module, target)
	if code != http.StatusOK {
		t.Errorf("probe of %s by %s = %d %s; want 200", target, module, code, body)
	}
	for _, line := range lines {
		missing, absent := strings.CutPrefix(line, "!")
		if strings.Contains(body, missing+"\n") == absent {
			t.Errorf("probe of %s by %s: want %q (%s)", target, module, line, header.Get("X-Probe-Error"))
		}
	}
}

func server(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s
}

func TestHTTP(t *testing.T) {
	s := server(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/":
			w.Header().Set("Last-Modified", time.Unix(1700000000, 0).UTC().Format(http.TimeFormat))
			w.Header().Set("X-Kind", "one")
			_, _ = w.Write([]byte("hello world"))
		case "/away":
			http.Redirect(w, r, "/", http.StatusFound)
		case "/login":
			if c, err := r.Cookie("session"); err == nil && c.Value == "1" {
				return
			}
			http.SetCookie(w, &http.Cookie{Name: "session", Value: "1"})
			http.SetCookie(w, &http.Cookie{Name: "session", Value: "2", MaxAge: -1})
			http.SetCookie(w, &http.Cookie{Name: "session", Value: "1"})
			http.Redirect(w, r, "/login", http.StatusFound)
		case "/round":
			http.Redirect(w, r, "/round", http.StatusFound)
		case "/user":
			if user, pass, _ := r.BasicAuth(); user != "u" || pass != "p" || r.Host != "vhost" || r.Method != "POST" {
				w.WriteHeader(http.StatusUnauthorized)
			}
		default:
			w.WriteHeader(http.StatusTeapot)
		}
	})
	const good, bad = "probe_success 1", "probe_success 0"
	for _, tt := range []struct {
		module, path string
		lines        []string
	}{
		{"{prober: http}", "/", []string{
			good, "probe_http_status_code 200", "probe_http_version 1.1", "probe_http_redirects 0", "probe_http_ssl 0", "probe_http_content_length 11", "probe_http_uncompressed_body_length 11",
			"probe_failed_due_to_regex 0", "probe_http_last_modified_timestamp_seconds 1700000000", "probe_ip_protocol 4", "probe_ip_addr_hash 3668918509", "!probe_ssl_earliest_cert_expiry 0",
		}},
		{"{prober: http}", "/no", []string{bad, "probe_http_status_code 418"}},
		{"{prober: http, http: {valid_status_codes: [418]}}", "/no", []string{good}},
		{"{prober: http, http: {valid_http_versions: [HTTP/2.0]}}", "/", []string{bad}},
		{"{prober: http, http: {valid_http_versions: [HTTP/1.1]}}", "/", []string{good}},
		{"{prober: http}", "/away", []string{good, "probe_http_redirects 1"}},
		{"{prober: http, http: {follow_redirects: false}}", "/away", []string{bad, "probe_http_status_code 302", "probe_http_redirects 1"}},
		{"{prober: http, http: {no_follow_redirects: true, valid_status_codes: [302]}}", "/away", []string{good}},
		{"{prober: http}", "/login", []string{good, "probe_http_redirects 1"}},
		{"{prober: http}", "/round", []string{bad, "probe_http_redirects 11"}},
		{"{prober: http, http: {fail_if_body_matches_regexp: [w.rld]}}", "/", []string{bad, "probe_failed_due_to_regex 1"}},
		{"{prober: http, http: {fail_if_body_not_matches_regexp: [w.rld]}}", "/", []string{good, "probe_failed_due_to_regex 0"}},
		{"{prober: http, http: {fail_if_body_not_matches_regexp: [w.xld]}}", "/", []string{bad, "probe_failed_due_to_regex 1"}},
		{"{prober: http, http: {fail_if_header_matches: [{header: x-kind, regexp: one}]}}", "/", []string{bad, "probe_failed_due_to_regex 1"}},
		{"{prober: http, http: {fail_if_header_matches: [{header: Gone, regexp: one, allow_missing: true}]}}", "/", []string{good}},
		{"{prober: http, http: {fail_if_header_not_matches: [{header: Gone, regexp: one}]}}", "/", []string{bad}},
		{"{prober: http, http: {fail_if_not_ssl: true}}", "/", []string{bad}},
		{"{prober: http, http: {body_size_limit: 5B}}", "/", []string{bad}},
		{"{prober: http, http: {body_size_limit: 1KB}}", "/", []string{good}},
		{"{prober: http, http: {compression: gzip}}", "/", []string{bad}},
		{"{prober: http, http: {method: POST, body: x, headers: {Host: vhost}, basic_auth: {username: u, password: p}}}", "/user", []string{good}},
		{"{prober: http, http: {proxy_url: 'http://x'}}", "/", []string{bad}},
		{"{prober: http, http: {enable_http3: true, enable_http2: false}}", "/", []string{bad}},
		{"{prober: http, http: {enable_http3: false, fail_if_body_json_matches_cel: body.a}}", "/", []string{bad}},
		{"{prober: websocket, websocket: {headers: {a: b}}}", "/", []string{bad}},
	} {
		want(t, tt.module, s.URL+tt.path, tt.lines...)
	}
	_, _, header := ask(t, "{prober: http, http: {proxy_url: 'http://x'}}", s.URL)
	if got := header.Get("X-Probe-Error"); !strings.HasPrefix(got, "b.yml:2:") || !strings.Contains(got, "proxy_url") {
		t.Errorf("X-Probe-Error = %q; want file, line and key", got)
	}
}

func TestTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	insecure := "tls_config: {insecure_skip_verify: true}"
	want(t, "{prober: http, http: {"+insecure+"}}", s.URL, "probe_success 1", "probe_http_ssl 1", "probe_http_version 2", `probe_tls_version_info{version="TLS 1.3"} 1`,
		"probe_ssl_last_chain_expiry_timestamp_seconds -62135596800", "probe_ssl_earliest_cert_expiry 3600000000")
	want(t, "{prober: http, http: {enable_http2: false, "+insecure+"}}", s.URL, "probe_success 1", "probe_http_version 1.1")
	want(t, "{prober: http, http: {fail_if_ssl: true, "+insecure+"}}", s.URL, "probe_success 0")
	want(t, "{prober: http}", s.URL, "probe_success 0", "probe_http_ssl 0")
	want(t, "{prober: tcp, tcp: {tls: true, "+insecure+"}}", s.Listener.Addr().String(), "probe_success 1", `probe_tls_version_info{version="TLS 1.3"} 1`)
	want(t, "{prober: tcp, tcp: {tls: true}}", s.Listener.Addr().String(), "probe_success 0")
	want(t, "{prober: tcp, tcp: {query_response: [{starttls: true}], tls_config: {max_version: TLS12, insecure_skip_verify: true}}}", s.Listener.Addr().String(),
		"probe_success 1", `probe_tls_version_info{version="TLS 1.2"} 1`)
}

func TestTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = c.Write([]byte("220 mail ESMTP v1\n"))
				buf := make([]byte, 100)
				n, _ := c.Read(buf)
				_, _ = c.Write(append([]byte("you said "), buf[:n]...))
				_ = c.Close()
			}()
		}
	}()
	addr := l.Addr().String()
	want(t, "{prober: tcp}", addr, "probe_success 1", "probe_failed_due_to_regex 0")
	want(t, `{prober: tcp, tcp: {query_response: [{expect: "^220 ([^ ]+) ESMTP (.+)$", send: "hello $1", labels: [{name: host, value: "${1}"}, {name: version, value: $2}]}, {expect: "said hello mail"}]}}`, addr,
		"probe_success 1", `probe_expect_info{host="mail",version="v1"} 1`)
	want(t, "{prober: tcp, tcp: {query_response: [{send: x}, {expect: nothing}]}}", addr, "probe_success 0", "probe_failed_due_to_regex 1")
	want(t, "{prober: tcp, tcp: {query_response: [{expect_bytes: '220'}]}}", addr, "probe_success 1", "probe_failed_due_to_bytes 0")
	want(t, "{prober: tcp, tcp: {query_response: [{expect_bytes: !!binary MjIx}]}}", addr, "probe_success 0", "probe_failed_due_to_bytes 1")
	want(t, "{prober: tcp, tcp: {source_ip_address: 127.0.0.1, preferred_ip_protocol: ip4, ip_protocol_fallback: false}}", addr, "probe_success 1")
	want(t, "{prober: tcp, tcp: {ip_protocol_fallback: false}}", addr, "probe_success 0")
	_ = l.Close()
	want(t, "{prober: tcp}", addr, "probe_success 0")
}

func TestGRPC(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status")
		body := make([]byte, 100)
		n, _ := r.Body.Read(body)
		status := byte(1)
		switch string(body[min(n, 7):n]) {
		case "down":
			status = 2
		case "gone":
			w.Header().Set("Grpc-Status", "5")
			return
		}
		if r.Header.Get("X-Key") == "no" || r.URL.Path != checkPath {
			w.Header().Set("Grpc-Status", "7")
			return
		}
		_, _ = w.Write([]byte{0, 0, 0, 0, 2, 8, status})
		w.Header().Set("Grpc-Status", "0")
	})
	s := httptest.NewUnstartedServer(handler)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	addr := s.Listener.Addr().String()
	want(t, "{prober: grpc}", addr, "probe_success 1", "probe_grpc_ssl 0", "probe_grpc_status_code 0", `probe_grpc_healthcheck_response{serving_status="SERVING"} 1`,
		`probe_grpc_healthcheck_response{serving_status="UNKNOWN"} 0`)
	want(t, "{prober: grpc, grpc: {service: down}}", addr, "probe_success 0", `probe_grpc_healthcheck_response{serving_status="NOT_SERVING"} 1`)
	want(t, "{prober: grpc, grpc: {service: gone}}", addr, "probe_success 0", "probe_grpc_status_code 5")
	want(t, "{prober: grpc, grpc: {metadata: {x-key: ['no']}}}", addr, "probe_success 0", "probe_grpc_status_code 7")
	plain := server(t, http.NotFound)
	want(t, "{prober: grpc}", plain.Listener.Addr().String(), "probe_success 0", "probe_grpc_status_code 14")
	for status, code := range map[int]int{200: 2, 400: 13, 401: 16, 403: 7, 404: 12, 503: 14} {
		if got := codeOf(status); got != code {
			t.Errorf("codeOf(%d) = %d; want %d", status, got, code)
		}
	}
	want(t, "{prober: grpc, grpc: {tls: true}}", addr, "probe_success 0", "probe_grpc_status_code 14")
	secure := httptest.NewUnstartedServer(handler)
	secure.EnableHTTP2 = true
	secure.StartTLS()
	t.Cleanup(secure.Close)
	want(t, "{prober: grpc, grpc: {tls: true, tls_config: {insecure_skip_verify: true}}}", secure.Listener.Addr().String(), "probe_success 1", "probe_grpc_ssl 1", `probe_tls_version_info{version="TLS 1.3"} 1`)
}

func TestUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			line := make([]byte, 5)
			_, _ = io.ReadFull(c, line)
			_, _ = fmt.Fprintf(c, "%s PONG\n", bytes.TrimSpace(line))
			_ = c.Close()
		}
	}()
	for expect, success := range map[string]string{"PING PONG": "1", "other": "0"} {
		code, body, header := ask(t, "{prober: unix, unix: {query_response: [{send: PING}, {expect: "+expect+"}]}}", path, "unix://"+path)
		if code != http.StatusOK || !strings.Contains(body, "probe_success "+success+"\n") {
			t.Errorf("probe with expect %q = %d %s (%s); want probe_success %s", expect, code, body, header.Get("X-Probe-Error"), success)
		}
	}
}

func TestForbiddenTargets(t *testing.T) {
	reached := false
	inside := server(t, func(http.ResponseWriter, *http.Request) { reached = true })
	port := inside.Listener.Addr().(*net.TCPAddr).Port
	outside := server(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, fmt.Sprintf("http://127.0.0.2:%d/", port), http.StatusFound)
	})
	for _, tt := range []struct {
		module, target, rule string
		code                 int
	}{
		{"{prober: http}", "http://169.254.169.254/latest/meta-data", "0.0.0.0/0", 403},
		{"{prober: tcp}", "169.254.169.254:80", "0.0.0.0/0", 403},
		{"{prober: dns, dns: {query_name: a}}", "169.254.169.254", "0.0.0.0/0", 403},
		{"{prober: grpc}", "169.254.169.254", "0.0.0.0/0", 403},
		{"{prober: icmp}", "169.254.169.254", "0.0.0.0/0", 403},
		{"{prober: unix}", "/run/docker.sock", "0.0.0.0/0", 403},
		{"{prober: unix}", "/run/docker.sock", "unix:///run/app.sock", 403},
		{"{prober: unix}", "/run/../run/app.sock", "unix:///run/app.sock", 403},
		{"{prober: tcp}", "127.0.0.1:1", "unix:///run/app.sock", 403},
		{"{prober: http}", fmt.Sprintf("http://localhost:%d", port), "10.0.0.0/8", 403},
		{"{prober: http}", inside.URL, "127.0.0.1:1", 403},
		{"{prober: icmp}", "127.0.0.1", "127.0.0.1:80", 403},
		{"{prober: http}", "http://[::ffff:169.254.169.254]/", "0.0.0.0/0", 403},
		{"{prober: http}", outside.URL, "127.0.0.1", 200},
	} {
		code, body, header := ask(t, tt.module, tt.target, tt.rule)
		if code != tt.code || strings.Contains(body, "probe_success 1") {
			t.Errorf("%s of %s with %s = %d %s; want %d", tt.module, tt.target, tt.rule, code, header.Get("X-Probe-Error"), tt.code)
		}
	}
	if reached {
		t.Error("a target that is not allowed was asked")
	}
}

func TestSecretsStayWithTheTarget(t *testing.T) {
	var got http.Header
	other := server(t, func(_ http.ResponseWriter, r *http.Request) { got = r.Header })
	first := server(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Key") != "hunter2" || r.Header.Get("Authorization") != "Bearer hunter3" || r.Header.Get("X-File") != "hunter4" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "hunter7"})
		http.Redirect(w, r, other.URL, map[string]int{"GET": 302, "POST": 307}[r.Method])
	})
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("hunter4\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	module := "{prober: http, http: {headers: {X-Key: hunter2}, bearer_token: hunter3, http_headers: {X-File: {files: [" + file + "]}}"
	want(t, module+"}}", first.URL+"/?q=hunter5", "probe_success 1", "probe_http_redirects 1")
	if text := fmt.Sprint(got); strings.Contains(text, "hunter") {
		t.Errorf("another host got %s; want no secret", text)
	}
	got = nil
	want(t, module+", method: POST, body: hunter6}}", first.URL, "probe_success 0")
	if got != nil {
		t.Error("another host was asked with a body")
	}
	c, err := Load("b.yml", []byte("modules: {http_2xx: "+module+"}}}"))
	if err != nil {
		t.Fatal(err)
	}
	list, _ := allow.Parse([]string{"127.0.0.1"})
	w := httptest.NewRecorder()
	Handler(c, list, 0, 0).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/probe?debug=true&target="+first.URL, http.NoBody))
	if strings.Contains(w.Body.String(), "hunter") || !strings.Contains(w.Body.String(), "probe_success 1") {
		t.Errorf("debug=true = %s; want metrics without secrets", w.Body)
	}
}

func TestTimeout(t *testing.T) {
	m := &module{timeout: 5 * time.Second}
	for _, tt := range []struct {
		header string
		want   time.Duration
		bad    bool
	}{{"", 5 * time.Second, false}, {"2", 1500 * time.Millisecond, false}, {"60", 5 * time.Second, false}, {"0.1", 100 * time.Millisecond, false}, {"x", 0, true}, {"-1", 0, true}, {"NaN", 0, true}} {
		if got, err := m.span(tt.header, 500*time.Millisecond, 20*time.Second); got != tt.want || (err != nil) != tt.bad {
			t.Errorf("span(%q) = %v, %v; want %v", tt.header, got, err, tt.want)
		}
	}
	for own, span := range map[time.Duration]time.Duration{0: 20 * time.Second, 25 * time.Second: 25 * time.Second} {
		if got, err := (&module{timeout: own}).span("30", 500*time.Millisecond, 20*time.Second); got != span || err != nil {
			t.Errorf("span of a module with timeout %s = %v, %v; want %v: --timeout is for modules without one", own, got, err, span)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	want(t, "{prober: http, timeout: 50ms}", l.Addr().String(), "probe_success 0", "probe_timeout_seconds 0.05")
}

func TestBadRequests(t *testing.T) {
	c, err := Load("b.yml", []byte("modules: {http_2xx: {prober: http, http: {headers: {host: a}}}}"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/probe", "/probe?module=x&target=a", "/probe?target=a&hostname=b"} {
		w := httptest.NewRecorder()
		Handler(c, nil, 0, 0).ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, http.NoBody))
		if w.Code != http.StatusBadRequest {
			t.Errorf("%s = %d; want 400", path, w.Code)
		}
	}
}
