package wire

import (
	"errors"
	"strings"
	"testing"
)

func request(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n\r\n" }

// Refused holds requests by class that must be answered with an error and
// never reach a backend.
func refusedRequests() []struct {
	name, in string
	status   int
	class    Class
} {
	const l = "POST / HTTP/1.1\r\nHost: a\r\n"
	type row = struct {
		name, in string
		status   int
		class    Class
	}
	return []row{
		{"length and coding", l + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400, BadFraming},
		{"coding and length", l + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 400, BadFraming},
		{"equal lengths", l + "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", 400, BadLength},
		{"two lengths", l + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", 400, BadLength},
		{"listed length", l + "Content-Length: 5, 5\r\n\r\n", 400, BadLength},
		{"length with plus", l + "Content-Length: +5\r\n\r\n", 400, BadLength},
		{"length with minus", l + "Content-Length: -5\r\n\r\n", 400, BadLength},
		{"length with space", l + "Content-Length: 5 5\r\n\r\n", 400, BadLength},
		{"length in hex", l + "Content-Length: 0x5\r\n\r\n", 400, BadLength},
		{"empty length", l + "Content-Length:\r\n\r\n", 400, BadLength},
		{"length overflow", l + "Content-Length: 9223372036854775808\r\n\r\n", 400, BadLength},
		{"length overflow far", l + "Content-Length: 18446744073709551621\r\n\r\n", 400, BadLength},
		{"coding twice", l + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400, BadCoding},
		{"coding list", l + "Transfer-Encoding: gzip, chunked\r\n\r\n", 400, BadCoding},
		{"coding chunked twice", l + "Transfer-Encoding: chunked, chunked\r\n\r\n", 400, BadCoding},
		{"coding identity", l + "Transfer-Encoding: identity\r\n\r\n", 400, BadCoding},
		{"coding empty", l + "Transfer-Encoding:\r\n\r\n", 400, BadCoding},
		{"coding quoted", l + "Transfer-Encoding: \"chunked\"\r\n\r\n", 400, BadCoding},
		{"coding parameter", l + "Transfer-Encoding: chunked;q=1\r\n\r\n", 400, BadCoding},
		{"coding vertical tab", l + "Transfer-Encoding: \vchunked\r\n\r\n", 400, BadValue},
		{"coding no-break space", l + "Transfer-Encoding: \xa0chunked\r\n\r\n", 400, BadCoding},
		{"coding unknown", l + "Transfer-Encoding: xchunked\r\n\r\n", 501, BadCoding},
		{"coding in 1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400, BadCoding},
		{"bare LF after line", "GET / HTTP/1.1\nHost: a\r\n\r\n", 400, BadLF},
		{"bare LF after field", "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400, BadLF},
		{"bare LF as end", "GET / HTTP/1.1\r\nHost: a\r\n\n", 400, BadLF},
		{"only LF", "GET / HTTP/1.1\nHost: a\n\n", 400, BadLF},
		{"bare CR in value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400, BadCR},
		{"bare CR in line", "GET / HTTP/1.1\rHost: a\r\n\r\n", 400, BadCR},
		{"bare CR in name", "GET / HTTP/1.1\r\nHost: a\r\nX\rY: b\r\n\r\n", 400, BadCR},
		{"CR before the end", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", 400, BadCR},
		{"obs-fold", "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400, BadFold},
		{"fold with tab", "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n\tb\r\n\r\n", 400, BadFold},
		{"fold first", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, BadFold},
		{"space before colon", l + "Content-Length : 5\r\n\r\n", 400, BadName},
		{"tab before colon", l + "Transfer-Encoding\t: chunked\r\n\r\n", 400, BadName},
		{"empty name", l + ": 5\r\n\r\n", 400, BadName},
		{"name with high byte", l + "X\xff: 5\r\n\r\n", 400, BadName},
		{"name with parenthesis", l + "X(: 5\r\n\r\n", 400, BadName},
		{"name with NUL", l + "X\x00: 5\r\n\r\n", 400, BadName},
		{"no colon", l + "Xy\r\n\r\n", 400, BadName},
		{"NUL in value", l + "X: a\x00b\r\n\r\n", 400, BadValue},
		{"DEL in value", l + "X: a\x7fb\r\n\r\n", 400, BadValue},
		{"ESC in value", l + "X: 0123456789\x1b[31m\r\n\r\n", 400, BadValue},
		{"no host", "GET / HTTP/1.1\r\nX: y\r\n\r\n", 400, BadHost},
		{"no fields", "GET / HTTP/1.1\r\n\r\n", 400, BadHost},
		{"two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, BadHost},
		{"empty host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, BadHost},
		{"host with path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, BadHost},
		{"host with user", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400, BadHost},
		{"host list", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400, BadHost},
		{"host port", "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", 400, BadHost},
		{"host port zero", "GET / HTTP/1.1\r\nHost: a:0\r\n\r\n", 400, BadHost},
		{"host port empty", "GET / HTTP/1.1\r\nHost: a:\r\n\r\n", 400, BadHost},
		{"host port large", "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", 400, BadHost},
		{"host two ports", "GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n", 400, BadHost},
		{"host bracket open", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400, BadHost},
		{"host differs from target", "GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", 400, BadHost},
		{"target with user", "GET http://u@a/ HTTP/1.1\r\nHost: u@a\r\n\r\n", 400, BadHost},
		{"other scheme", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadTarget},
		{"target without slash", "GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadTarget},
		{"star for GET", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadTarget},
		{"target with fragment", "GET /#a HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadTarget},
		{"target with high byte", "GET /\xc3 HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadTarget},
		{"target with NUL", "GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadTarget},
		{"broken escape", "GET /%4 HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadTarget},
		{"two spaces first", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadTarget},
		{"two spaces second", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadVersion},
		{"space after version", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400, BadLine},
		{"tab as space", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadMethod},
		{"space first", " GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadMethod},
		{"no version", "GET /\r\nHost: a\r\n\r\n", 400, BadLine},
		{"lower version", "GET / http/1.1\r\nHost: a\r\n\r\n", 400, BadVersion},
		{"long version", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400, BadVersion},
		{"version 1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505, BadVersion},
		{"version 2.0", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, BadVersion},
		{"version 0.9", "GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505, BadVersion},
		{"empty line first", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, BadMethod},
		{"TLS hello", "\x16\x03\x01\x02\x00\x01", 400, BadMethod},
		{"LF first", "\n", 400, BadLF},
		{"TRACE", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 501, BadMethod},
		{"CONNECT", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 501, BadMethod},
		{"long method", strings.Repeat("M", 33) + " / HTTP/1.1\r\nHost: a\r\n\r\n", 501, BadMethod},
		{"Connection no token", l + "Connection: a b\r\n\r\n", 400, BadConnection},
		{"Connection names many", l + "Connection: " + strings.Repeat("a,", 17) + "\r\n\r\n", 400, BadConnection},
		{"two upgrades", l + "Connection: upgrade\r\nUpgrade: a\r\nUpgrade: b\r\n\r\n", 400, BadUpgrade},
		{"other expectation", l + "Expect: 200-ok\r\n\r\n", 417, BadExpect},
		{"long line", "GET /" + strings.Repeat("a", 8<<10) + " HTTP/1.1\r\nHost: a\r\n\r\n", 414, LongLine},
		{"long line unfinished", "GET /" + strings.Repeat("a", 9<<10), 414, LongLine},
		{"long head", l + "X: " + strings.Repeat("a", 32<<10) + "\r\n\r\n", 431, LongHead},
		{"long head unfinished", l + "X: " + strings.Repeat("a", 32<<10), 431, LongHead},
		{"many fields", l + strings.Repeat("X: y\r\n", 100) + "\r\n", 431, ManyFields},
	}
}

func TestAmbiguousRequestsAreRefused(t *testing.T) {
	for _, tt := range refusedRequests() {
		t.Run(tt.name, func(t *testing.T) {
			var r Request
			n, err := r.Parse([]byte(tt.in), Limits{})
			var bad *BadMessage
			if !errors.As(err, &bad) {
				t.Fatalf("Parse(%q) = %d, %v; want an error of class %v", tt.in, n, err, tt.class)
			}
			if bad.Status != tt.status || bad.Class != tt.class {
				t.Errorf("Parse(%q) = %d %v; want %d %v", tt.in, bad.Status, bad, tt.status, tt.class)
			}
			for _, c := range []byte(bad.Error()) {
				if c < ' ' || c > '~' {
					t.Errorf("Parse(%q): the reason %q has the byte %#x", tt.in, bad.Error(), c)
				}
			}
		})
	}
}

// TestBytesThatArriveOneByOneGiveTheSameError also shows that what is wrong is
// refused before the head is complete.
func TestBytesThatArriveOneByOneGiveTheSameError(t *testing.T) {
	for _, tt := range refusedRequests() {
		if len(tt.in) > 1000 {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			var r Request
			for n := 1; n <= len(tt.in); n++ {
				took, err := r.Parse([]byte(tt.in[:n]), Limits{})
				if took > 0 {
					t.Fatalf("Parse(%q) = %d; want an error", tt.in[:n], took)
				}
				if err != nil {
					return
				}
			}
			t.Errorf("Parse(%q) never gave an error", tt.in)
		})
	}
}

func TestParseRequest(t *testing.T) {
	in := request("POST http://A.example:8080/p%20q?x=%zz HTTP/1.1", "hOsT: a.EXAMPLE:8080", "Content-Length: 007",
		"X-Empty:", "X-Two: \t a b \t", "Cookie: "+strings.Repeat("k=v;\t ", 20), "Connection: x-two, Cookie,close", "x_y: 1") + "body"
	var r Request
	n, err := r.Parse([]byte(in), Limits{})
	if err != nil || n != len(in)-4 {
		t.Fatalf("Parse = %d, %v; want %d", n, err, len(in)-4)
	}
	if string(r.Method) != "POST" || string(r.Target) != "/p%20q?x=%zz" || string(r.Host) != "A.example:8080" || r.Minor != 1 {
		t.Errorf("line = %s %s %s %d", r.Method, r.Target, r.Host, r.Minor)
	}
	if r.Body != Sized || r.Length != 7 || !r.Close || r.Upgrade != nil || r.Expect {
		t.Errorf("framing = %v %d close=%v upgrade=%q", r.Body, r.Length, r.Close, r.Upgrade)
	}
	if len(r.Fields) != 7 || r.Fields[0].ID != Host || string(r.Fields[3].Value) != "a b" || len(r.Fields[2].Value) != 0 {
		t.Errorf("fields = %v", r.Fields)
	}
	if !r.Fields[3].Drop || r.Fields[4].Drop {
		t.Error("Connection must take away X-Two and cannot take away Cookie")
	}
	if !r.Fields[6].Underscore || r.Fields[3].Underscore {
		t.Error("the underscore of x_y is not marked")
	}
}

func TestUpgradeNeedsConnectionAndOneProtocol(t *testing.T) {
	tests := []struct {
		lines []string
		want  string
	}{
		{[]string{"Connection: Upgrade", "Upgrade: websocket"}, "websocket"},
		{[]string{"Connection: keep-alive, upgrade", "Upgrade: Foo/2"}, "Foo/2"},
		{[]string{"Upgrade: websocket"}, ""},
		{[]string{"Connection: Upgrade"}, ""},
		{[]string{"Connection: Upgrade", "Upgrade: websocket, h2c"}, ""},
		{[]string{"Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"}, ""},
		{[]string{"Connection: Upgrade", "Upgrade: H2C"}, ""},
		{[]string{"Connection: Upgrade", "Upgrade: websocket", "Content-Length: 3"}, ""},
	}
	for _, tt := range tests {
		var r Request
		in := request(append([]string{"GET / HTTP/1.1", "Host: a"}, tt.lines...)...)
		if _, err := r.Parse([]byte(in), Limits{}); err != nil || string(r.Upgrade) != tt.want {
			t.Errorf("Parse(%q).Upgrade = %q, %v; want %q", tt.lines, r.Upgrade, err, tt.want)
		}
	}
}

func TestOldVersionClosesUnlessAsked(t *testing.T) {
	tests := []struct {
		in    string
		close bool
	}{
		{"GET / HTTP/1.0\r\n\r\n", true},
		{"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", false},
		{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", false},
		{"GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n", true},
	}
	for _, tt := range tests {
		var r Request
		if n, err := r.Parse([]byte(tt.in), Limits{}); n != len(tt.in) || err != nil || r.Close != tt.close {
			t.Errorf("Parse(%q) = %d, %v, close %v; want close %v", tt.in, n, err, r.Close, tt.close)
		}
	}
}

func TestParseDoesNotAllocate(t *testing.T) {
	in := []byte(request("GET /index.html?a=b HTTP/1.1", "Host: www.example.com", "User-Agent: curl/8", "Accept: */*", "Connection: keep-alive"))
	var r Request
	if got := testing.AllocsPerRun(100, func() {
		if _, err := r.Parse(in, Limits{}); err != nil {
			t.Fatal(err)
		}
	}); got != 0 {
		t.Errorf("Parse allocates %v times; want 0", got)
	}
}

func BenchmarkParseRequest(b *testing.B) {
	in := []byte(request("GET /index.html?a=b HTTP/1.1", "Host: www.example.com", "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "Accept-Encoding: gzip, deflate, br", "Cookie: session=0123456789abcdef0123456789abcdef", "Connection: keep-alive"))
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	var r Request
	for b.Loop() {
		if _, err := r.Parse(in, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}
