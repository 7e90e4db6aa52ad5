package wire

import (
	"errors"
	"testing"
)

type refused struct {
	name, in string
	class    Class
}

// refusedResponses holds answers that must become a 502.
func refusedResponses() []refused {
	const l = "HTTP/1.1 200 OK\r\n"
	return []refused{
		{"length and coding", l + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", BadFraming},
		{"equal lengths", l + "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", BadLength},
		{"listed length", l + "Content-Length: 5, 5\r\n\r\n", BadLength},
		{"signed length", l + "Content-Length: +5\r\n\r\n", BadLength},
		{"length overflow", l + "Content-Length: 99999999999999999999\r\n\r\n", BadLength},
		{"coding twice", l + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", BadCoding},
		{"coding list", l + "Transfer-Encoding: gzip, chunked\r\n\r\n", BadCoding},
		{"coding unknown", l + "Transfer-Encoding: gzip\r\n\r\n", BadCoding},
		{"coding in 1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", BadCoding},
		{"bare LF", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", BadLF},
		{"bare LF in fields", l + "X: y\nContent-Length: 0\r\n\r\n", BadLF},
		{"bare CR in reason", "HTTP/1.1 200 O\rK\r\n\r\n", BadCR},
		{"bare CR in value", l + "X: a\rSet-Cookie: b\r\n\r\n", BadCR},
		{"fold", l + "X: a\r\n b\r\n\r\n", BadFold},
		{"space before colon", l + "Content-Length : 5\r\n\r\n", BadName},
		{"empty name", l + ": 5\r\n\r\n", BadName},
		{"NUL in value", l + "X: a\x00\r\n\r\n", BadValue},
		{"no protocol", "200 OK\r\n\r\n", BadVersion},
		{"other protocol", "ICY 200 OK\r\n\r\n", BadVersion},
		{"version 2", "HTTP/2.0 200 OK\r\n\r\n", BadVersion},
		{"two spaces", "HTTP/1.1  200 OK\r\n\r\n", BadStatus},
		{"status of two digits", "HTTP/1.1 20 OK\r\n\r\n", BadStatus},
		{"status of four digits", "HTTP/1.1 2000 OK\r\n\r\n", BadStatus},
		{"status with a sign", "HTTP/1.1 +20 OK\r\n\r\n", BadStatus},
		{"status below 100", "HTTP/1.1 099 OK\r\n\r\n", BadStatus},
		{"no status", "HTTP/1.1\r\n\r\n", BadStatus},
		{"204 with length", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", BadBody},
		{"204 with chunks", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", BadBody},
		{"1xx with length", "HTTP/1.1 103 Hints\r\nContent-Length: 5\r\n\r\n", BadBody},
		{"two upgrades", "HTTP/1.1 101 S\r\nUpgrade: a\r\nUpgrade: b\r\n\r\n", BadUpgrade},
	}
}

func TestAmbiguousAnswersAreRefused(t *testing.T) {
	for _, tt := range refusedResponses() {
		t.Run(tt.name, func(t *testing.T) {
			var r Response
			n, err := r.Parse([]byte(tt.in), []byte("GET"), Limits{})
			var bad *BadMessage
			if !errors.As(err, &bad) || bad.Class != tt.class || bad.Status != 502 {
				t.Errorf("Parse(%q) = %d, %v; want 502 %v", tt.in, n, err, tt.class)
			}
		})
	}
}

func TestParseResponse(t *testing.T) {
	tests := []struct {
		in, method string
		status     int
		reason     string
		body       Framing
		length     int64
		close      bool
	}{
		{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "GET", 200, "OK", Sized, 3, false},
		{"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "GET", 200, "", Sized, 0, false},
		{"HTTP/1.1 200 \r\nTransfer-Encoding: Chunked\r\n\r\n", "GET", 200, "", Chunked, -1, false},
		{"HTTP/1.1 200 OK\r\n\r\n", "GET", 200, "OK", UntilClose, -1, true},
		{"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n", "GET", 200, "OK", Sized, 3, true},
		{"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 3\r\n\r\n", "GET", 200, "OK", Sized, 3, false},
		{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "HEAD", 200, "OK", None, 3, false},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HEAD", 200, "OK", None, -1, false},
		{"HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", "GET", 304, "Not Modified", None, 3, false},
		{"HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n", "GET", 204, "No", None, -1, false},
		{"HTTP/1.1 999 \xc3\xa4\r\nConnection: close\r\nContent-Length: 1\r\n\r\n", "GET", 999, "\xc3\xa4", Sized, 1, true},
	}
	for _, tt := range tests {
		var r Response
		n, err := r.Parse([]byte(tt.in), []byte(tt.method), Limits{})
		if err != nil || n != len(tt.in) {
			t.Errorf("Parse(%q) = %d, %v", tt.in, n, err)
			continue
		}
		if r.Status != tt.status || string(r.Reason) != tt.reason || r.Body != tt.body || r.Length != tt.length || r.Close != tt.close {
			t.Errorf("Parse(%q) = %d %q %v %d close=%v; want %d %q %v %d close=%v", tt.in,
				r.Status, r.Reason, r.Body, r.Length, r.Close, tt.status, tt.reason, tt.body, tt.length, tt.close)
		}
	}
}

// TestLookupKnowsEveryName also proves that no name is under a wrong length.
func TestLookupKnowsEveryName(t *testing.T) {
	names := []string{
		"Host", "Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive", "Proxy-Connection", "Upgrade", "TE", "Trailer", "Expect",
		"HTTP2-Settings", "Proxy-Authenticate", "Proxy-Authorization", "Proxy", "Forwarded", "X-Forwarded-For", "X-Forwarded-Proto",
		"X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Server", "X-Forwarded-By", "X-Forwarded-Ssl",
		"X-Forwarded-Scheme", "X-Forwarded-URI", "X-Forwarded-Method", "X-Forwarded-Client-Cert", "X-Real-IP", "X-Client-IP", "X-Scheme",
		"X-URL-Scheme", "X-Original-URL", "X-Rewrite-URL", "X-Request-ID", "X-Request-Start", "Front-End-Https", "True-Client-IP",
		"CF-Connecting-IP", "Via", "Authorization", "Cookie", "Set-Cookie", "Location", "Content-Location", "Content-Type",
		"Content-Encoding", "Content-Range", "Cache-Control", "Accept", "Accept-Encoding", "User-Agent", "Referer", "Origin", "Date",
		"Server", "Refresh", "Max-Forwards", "Range", "Retry-After", "Strict-Transport-Security", "traceparent", "WWW-Authenticate",
	}
	if len(names) != int(IDs)-1 {
		t.Fatalf("%d names; want %d", len(names), IDs-1)
	}
	for i, name := range names {
		if got := Lookup([]byte(name)); got != ID(i+1) {
			t.Errorf("Lookup(%s) = %d; want %d", name, got, i+1)
		}
		if got := Lookup([]byte(name + "_")); got != Other {
			t.Errorf("Lookup(%s_) = %d; want none", name, got)
		}
	}
	for _, name := range []string{"", "x", "X_Forwarded_For"} {
		if got := Lookup([]byte(name)); got != Other {
			t.Errorf("Lookup(%q) = %d; want none", name, got)
		}
	}
}
