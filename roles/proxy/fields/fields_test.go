package fields

import (
	"crypto/tls"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/sidecar-kit/sidecar/roles/proxy/wire"
)

func client(addr string, secure bool) *Client {
	c := &Client{Addr: netip.MustParseAddrPort(addr), Local: netip.MustParseAddrPort("10.0.0.1:8443"), Minor: 1}
	if secure {
		c.TLS = &tls.ConnectionState{}
	}
	return c
}

func parse(t testing.TB, lines ...string) *wire.Request {
	t.Helper()
	r := &wire.Request{}
	head := strings.Join(lines, "\r\n") + "\r\n\r\n"
	if n, err := r.Parse([]byte(head), wire.Limits{}); err != nil || n != len(head) {
		t.Fatalf("Parse(%q) = %d, %v", head, n, err)
	}
	return r
}

func answer(t testing.TB, lines ...string) *wire.Response {
	t.Helper()
	r := &wire.Response{}
	head := strings.Join(lines, "\r\n") + "\r\n\r\n"
	if n, err := r.Parse([]byte(head), []byte("GET"), wire.Limits{}); err != nil || n != len(head) {
		t.Fatalf("Parse(%q) = %d, %v", head, n, err)
	}
	return r
}

func nets(texts ...string) (all []netip.Prefix) {
	for _, t := range texts {
		all = append(all, netip.MustParsePrefix(t))
	}
	return all
}

// send returns the lines of the request that the upstream gets.
func send(t testing.TB, o Options, c *Client, lines ...string) string {
	t.Helper()
	got := string(New(o).AppendRequest(nil, parse(t, lines...), c))
	if !strings.HasSuffix(got, "\r\n\r\n") || strings.Count(got, "\r\n\r\n") != 1 {
		t.Fatalf("head = %q", got)
	}
	again := &wire.Request{}
	if n, err := again.Parse([]byte(got), wire.Limits{}); err != nil || n != len(got) {
		t.Fatalf("what is sent is not a request: %q: %d, %v", got, n, err)
	}
	return strings.ReplaceAll(strings.TrimSuffix(got, "\r\n\r\n"), "\r\n", "\n")
}

func TestHeadsOfNginxBeforeRails(t *testing.T) {
	got := send(t, Options{X: true}, client("192.0.2.7:5555", true), "GET /a?b HTTP/1.1", "Host: app.example", "Accept: */*")
	want := "GET /a?b HTTP/1.1\nHost: app.example\nAccept: */*\nX-Forwarded-For: 192.0.2.7\nX-Real-IP: 192.0.2.7\nX-Forwarded-Proto: https\nX-Forwarded-Host: app.example\nX-Forwarded-Port: 443"
	if got != want {
		t.Errorf("head =\n%s\nwant\n%s", got, want)
	}
}

func TestNobodyIsTrustedByDefault(t *testing.T) {
	lines := []string{"GET / HTTP/1.1", "Host: a:8443",
		"X-Forwarded-For: 1.1.1.1", "x-forwarded-proto: gopher", "X-Forwarded-Host: evil", "X-Forwarded-Port: 1", "X-Real-Ip: 1.1.1.1", "Forwarded: for=1.1.1.1",
		"X_Forwarded_For: 1.1.1.1", "X_Real-IP: 1.1.1.1", "X-Forwarded_Proto: gopher", "X-Client-IP: 1.1.1.1", "True-Client-IP: 1.1.1.1", "CF-Connecting-IP: 1.1.1.1",
		"X-Original-URL: /admin", "X-Rewrite-URL: /admin", "X-Forwarded-Prefix: /evil", "Front-End-Https: on", "X-Request-Id: evil", "X_Request_ID: evil", "My_Field: stays"}
	got := send(t, Options{X: true, RFC7239: true, RequestID: "X-Request-Id"}, client("192.0.2.7:5555", true), lines...)
	for _, bad := range []string{"1.1.1.1", "gopher", "evil", "/admin", "Front-End"} {
		if strings.Contains(got, bad) {
			t.Errorf("%q reached the upstream:\n%s", bad, got)
		}
	}
	for _, good := range []string{"\nX-Forwarded-For: 192.0.2.7\n", "\nX-Forwarded-Port: 8443\n", "\nMy_Field: stays\n", `Forwarded: for="192.0.2.7:5555";by="10.0.0.1:8443";host="a:8443";proto=https`} {
		if !strings.Contains(got+"\n", good) {
			t.Errorf("%q is missing in\n%s", good, got)
		}
	}
	if !regexp.MustCompile(`\nX-Request-Id: [0-9a-f]{32}`).MatchString(got) {
		t.Errorf("no identifier in\n%s", got)
	}
}

func TestTrustedProxiesAreBelieved(t *testing.T) {
	o := Options{X: true, RFC7239: true, RequestID: "X-Request-Id", Trusted: nets("10.0.0.0/8")}
	got := send(t, o, client("10.1.1.1:5555", false), "GET / HTTP/1.1", "Host: a", "X-Forwarded-For: 1.1.1.1, 2.2.2.2", "X-Forwarded-For: 10.3.3.3",
		"X-Forwarded-Proto: https", "X-Forwarded-Host: b.example", "Forwarded: for=1.1.1.1", "X-Request-Id: abc-1", "X_Forwarded_For: 9.9.9.9")
	for _, want := range []string{"X-Forwarded-For: 1.1.1.1, 2.2.2.2, 10.3.3.3, 10.1.1.1", "X-Real-IP: 2.2.2.2", "X-Forwarded-Proto: https", "X-Forwarded-Host: b.example", "X-Forwarded-Port: 443", `Forwarded: for=1.1.1.1, for="10.1.1.1:5555"`, "X-Request-Id: abc-1"} {
		if !strings.Contains(got, "\n"+want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	if strings.Contains(got, "9.9.9.9") {
		t.Errorf("a name with underscores got through:\n%s", got)
	}
}

func TestClientAddrWalksFromTheRight(t *testing.T) {
	tests := []struct{ chain, want string }{
		{"", "10.1.1.1"}, {"1.1.1.1", "1.1.1.1"}, {"6.6.6.6, 1.1.1.1", "1.1.1.1"}, {"1.1.1.1, 10.2.2.2", "1.1.1.1"}, {"10.2.2.2", "10.2.2.2"},
		{"6.6.6.6, nonsense, 10.2.2.2", "10.2.2.2"}, {"[2001:db8::1]:44", "2001:db8::1"}, {"2001:db8::1", "2001:db8::1"}, {"1.1.1.1:99", "1.1.1.1"}, {"unknown", "10.1.1.1"},
	}
	p := New(Options{X: true, Trusted: nets("10.0.0.0/8")})
	for _, tt := range tests {
		r := parse(t, "GET / HTTP/1.1", "Host: a", "X-Forwarded-For: "+tt.chain)
		if got := p.ClientAddr(r, netip.MustParseAddr("10.1.1.1")); got.String() != tt.want {
			t.Errorf("ClientAddr(%q) = %s; want %s", tt.chain, got, tt.want)
		}
		if got := p.ClientAddr(r, netip.MustParseAddr("192.0.2.1")); got.String() != "192.0.2.1" {
			t.Errorf("ClientAddr(%q) from a stranger = %s; want 192.0.2.1", tt.chain, got)
		}
	}
	f := New(Options{RFC7239: true, Trusted: nets("10.0.0.0/8")})
	r := parse(t, "GET / HTTP/1.1", "Host: a", `Forwarded: for=6.6.6.6;proto=http, for="[2001:db8::2]:4711";by=x, for=10.2.2.2`)
	if got := f.ClientAddr(r, netip.MustParseAddr("10.1.1.1")); got.String() != "2001:db8::2" {
		t.Errorf("ClientAddr of Forwarded = %s; want 2001:db8::2", got)
	}
}

func TestHopByHopFieldsEndHere(t *testing.T) {
	got := send(t, Options{}, client("192.0.2.7:1", false), "GET / HTTP/1.1", "Host: a", "Connection: X-Secret, Authorization, close", "X-Secret: 1", "Authorization: Basic x",
		"Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "TE: trailers", "Proxy: http://evil", "Proxy-Authorization: x", "Trailer: X", "Accept: a")
	want := "GET / HTTP/1.1\nHost: a\nAuthorization: Basic x\nAccept: a"
	if got != want {
		t.Errorf("head =\n%s\nwant\n%s", got, want)
	}
}

func TestOneFramingField(t *testing.T) {
	c := client("192.0.2.7:1", false)
	tests := []struct{ lines, want string }{
		{"POST / HTTP/1.1|Host: a|Content-Length: 5", "\nContent-Length: 5"},
		{"POST / HTTP/1.1|Host: a|Content-Length: 0", "\nContent-Length: 0"},
		{"POST / HTTP/1.1|Host: a|Transfer-Encoding: chunked|Trailer: X-T", "\nTransfer-Encoding: chunked\nTrailer: X-T"},
		{"GET /ws HTTP/1.1|Host: a|Connection: Upgrade|Upgrade: websocket|Sec-WebSocket-Key: k", "\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Key: k"},
		{"PUT / HTTP/1.1|Host: a|Content-Length: 5|Expect: 100-continue", "\nContent-Length: 5\nExpect: 100-continue"},
	}
	for _, tt := range tests {
		if got := send(t, Options{}, c, strings.Split(tt.lines, "|")...); !strings.HasSuffix(got, "\nHost: a"+tt.want) {
			t.Errorf("%s = %q; want the end %q", tt.lines, got, tt.want)
		}
	}
}

func TestRouteSetsAndRemoves(t *testing.T) {
	o := Options{X: true, Host: "app.internal", RequestID: "X-Correlation", Set: [][2]string{{"X-Tenant", "blue"}, {"X-Forwarded-Proto", "wss"}, {"Authorization", "Bearer t"}}, Remove: []string{"cookie", "X-Debug"}}
	got := send(t, o, client("[2001:db8::9]:1", true), "GET / HTTP/1.1", "Host: a", "X-Tenant: red", "X_Tenant: red", "Authorization: mine", "Cookie: c", "X-DEBUG: 1", "X-Correlation: forged")
	for _, bad := range []string{"red", "mine", "Cookie", "DEBUG", "forged", "https"} {
		if strings.Contains(got, bad) {
			t.Errorf("%q reached the upstream:\n%s", bad, got)
		}
	}
	for _, want := range []string{"\nHost: app.internal\n", "X-Tenant: blue", "X-Forwarded-Proto: wss", "X-Forwarded-Host: a\n", "X-Forwarded-For: 2001:db8::9\n", "Authorization: Bearer t"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
}

func TestPaths(t *testing.T) {
	tests := []struct{ strip, prefix, target, want string }{
		{"", "", "/a?b", "/a?b"}, {"/api", "", "/api/x?y", "/x?y"}, {"/api", "", "/api", "/"}, {"/api", "", "/api?q", "/?q"}, {"/api", "", "/apix", "/apix"},
		{"/api/", "/v1/", "/api/x", "/v1/x"}, {"", "/v1", "/x", "/v1/x"}, {"/api", "/v1", "/api", "/v1/"}, {"/", "/v1", "/x", "/v1/x"}, {"/a", "/b", "*", "*"},
	}
	for _, tt := range tests {
		if got := string(New(Options{Strip: tt.strip, Prefix: tt.prefix}).appendTarget(nil, []byte(tt.target))); got != tt.want {
			t.Errorf("strip %q, prefix %q: %q = %q; want %q", tt.strip, tt.prefix, tt.target, got, tt.want)
		}
	}
}

func TestAnswers(t *testing.T) {
	p := New(Options{SetAnswer: [][2]string{{"Strict-Transport-Security", "max-age=5"}}, RemoveAnswer: []string{"Server", "X-Powered-By"}})
	c := client("192.0.2.7:1", true)
	got := string(p.AppendResponse(nil, answer(t, "HTTP/1.1 200 OK", "Server: x", "x-powered-by: y", "Connection: close, X-Hop", "X-Hop: 1", "Keep-Alive: timeout=5", "Set-Cookie: a", "Set-Cookie: b", "Content-Length: 3", "Proxy-Authenticate: x"), c, true))
	want := "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nStrict-Transport-Security: max-age=5\r\n\r\n"
	if got != want {
		t.Errorf("answer =\n%q\nwant\n%q", got, want)
	}
	c.Minor = 0
	if got := string(p.AppendResponse(nil, answer(t, "HTTP/1.1 204 No Content"), c, false)); !strings.Contains(got, "Connection: keep-alive\r\n") || strings.Contains(got, "Content-Length") {
		t.Errorf("answer for HTTP/1.0 = %q", got)
	}
	c.Minor = 1
	if got := string(p.AppendResponse(nil, answer(t, "HTTP/1.1 103 Early Hints", "Link: x", "Connection: Link2", "Link2: y"), c, false)); got != "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" {
		t.Errorf("103 = %q", got)
	}
}

func TestLocationLeadsBackToTheProxy(t *testing.T) {
	tests := []struct {
		tls                    bool
		strip, prefix          string
		location, want, reason string
	}{
		{true, "", "", "http://app.example/login", "https://app.example/login", "the application does not know of TLS"},
		{false, "", "", "http://app.example/login", "http://app.example/login", "it is right"},
		{true, "", "", "http://app.example.evil/login", "http://app.example.evil/login", "another host"},
		{true, "", "", "https://app.example/login", "https://app.example/login", "it is right"},
		{true, "", "", "http://127.0.0.1:8080/login", "https://app.example/login", "the upstream names itself"},
		{true, "", "", "http://127.0.0.1:80801/login", "http://127.0.0.1:80801/login", "another port"},
		{true, "", "", "http://other.example/", "http://other.example/", "elsewhere"},
		{true, "/api", "", "/login", "/api/login", "below what is stripped"},
		{true, "/api", "/v1", "/v1/login", "/api/login", "both"},
		{true, "/api", "/v1", "/v2/login", "/v2/login", "not shown by the route"},
		{true, "/api", "/v1", "http://127.0.0.1:8080/v1", "https://app.example/api/", "both, with host"},
		{true, "/api", "", "//other/login", "//other/login", "another host"},
		{true, "/api", "", "login", "login", "relative"},
	}
	for _, tt := range tests {
		c := client("192.0.2.7:1", tt.tls)
		c.Host = []byte("app.example")
		p := New(Options{Upstream: "http://127.0.0.1:8080", Strip: tt.strip, Prefix: tt.prefix})
		got := string(p.AppendResponse(nil, answer(t, "HTTP/1.1 302 Found", "Location: "+tt.location, "Content-Length: 0"), c, false))
		if !strings.Contains(got, "\r\nLocation: "+tt.want+"\r\n") {
			t.Errorf("Location %s = %q; want %s (%s)", tt.location, got, tt.want, tt.reason)
		}
	}
}

func TestNothingIsAllocated(t *testing.T) {
	p := New(Options{X: true, RFC7239: true, RequestID: "X-Request-Id", Trusted: nets("10.0.0.0/8"), Set: [][2]string{{"A", "b"}}, Remove: []string{"Cookie", "X-Y"}, Strip: "/a"})
	c := client("10.2.2.2:1", true)
	r := parse(t, "GET /a/b HTTP/1.1", "Host: a", "User-Agent: x", "X-Forwarded-For: 1.1.1.1, 2.2.2.2", "Cookie: c", "X_Y: z")
	a := answer(t, "HTTP/1.1 302 OK", "Content-Length: 3", "Location: http://a/x")
	dst := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() {
		dst = p.AppendRequest(dst[:0], r, c)
		dst = p.AppendResponse(dst[:0], a, c, false)
	}); n != 0 {
		t.Errorf("%v allocations for a request and its answer; want 0", n)
	}
}

// FuzzHeads: whatever a client or an upstream says, what is sent on is one valid head, framed as what was received.
func FuzzHeads(f *testing.F) {
	f.Add("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nLocation: http://a/\r\n\r\n")
	f.Add("POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: x\r\nForwarded: for=\"[::1]\"\r\n\r\n", "HTTP/1.0 302 x\r\nLocation: //x\r\n\r\n")
	policies := []*Policy{New(Options{}), New(Options{X: true, RFC7239: true, RequestID: "X-Request-Id", Trusted: nets("0.0.0.0/0"), Strip: "/a", Prefix: "/b", Upstream: "http://u"})}
	f.Fuzz(func(t *testing.T, in, out string) {
		for _, p := range policies {
			c := client("192.0.2.7:1", true)
			var r, again wire.Request
			if n, err := r.Parse([]byte(in), wire.Limits{}); err != nil || n == 0 {
				return
			}
			sent := p.AppendRequest(nil, &r, c)
			n, err := again.Parse(sent, wire.Limits{Line: 1 << 20, Head: 1 << 20, Fields: 1000})
			if err != nil || n != len(sent) || again.Body != r.Body && !(r.Body == wire.None && again.Body == wire.None) || again.Length != r.Length {
				t.Errorf("%q was sent as %q: %d, %v, framed %v %d; want %v %d", in, sent, n, err, again.Body, again.Length, r.Body, r.Length)
			}
			var a, second wire.Response
			if n, err := a.Parse([]byte(out), r.Method, wire.Limits{}); err != nil || n == 0 {
				continue
			}
			sent = p.AppendResponse(nil, &a, c, a.Body == wire.UntilClose)
			if n, err := second.Parse(sent, r.Method, wire.Limits{Line: 1 << 20, Head: 1 << 20, Fields: 1000}); err != nil || n != len(sent) || second.Body != a.Body {
				t.Errorf("%q was sent as %q: %d, %v, framed %v; want %v", out, sent, n, err, second.Body, a.Body)
			}
		}
	})
}

// TestHostIsNeverEmpty: checks of balancers speak HTTP/1.0 without Host, and servers of HTTP/1.1 refuse that.
func TestHostIsNeverEmpty(t *testing.T) {
	for upstream, want := range map[string]string{"http://127.0.0.1:8080": "127.0.0.1:8080", "http+unix://": "localhost", "": "localhost"} {
		got := send(t, Options{Upstream: upstream}, client("192.0.2.1:1", false), "GET / HTTP/1.0")
		if !strings.Contains(got, "\nHost: "+want) {
			t.Errorf("upstream %q: %q; want Host: %s", upstream, got, want)
		}
	}
}
