package message

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sidecar-kit/sidecar/roles/proxy/wire"
)

// two makes a request as net/http's HTTP/2 server does.
func two(method, target, host string, length int64, fields ...string) *http.Request {
	r := &http.Request{Method: method, RequestURI: target, Host: host, ProtoMajor: 2, Header: http.Header{}, ContentLength: length, Body: http.NoBody}
	if length != 0 {
		r.Body = io.NopCloser(strings.NewReader(""))
	}
	for i := 0; i < len(fields); i += 2 {
		r.Header[fields[i]] = append(r.Header[fields[i]], fields[i+1])
	}
	return r
}

func TestWhatMeansTheSameInBothIsPassedOn(t *testing.T) {
	tests := []struct {
		r    *http.Request
		want wire.Framing
	}{
		{two("GET", "/", "a.example", 0), wire.None},
		{two("GET", "/a%2Fb?c=d&e", "a.example:8443", 0, "Accept", "*/*", "Cookie", "a=b; c=d"), wire.None},
		{two("OPTIONS", "*", "a.example", 0), wire.None},
		{two("GET", "//x", "[::1]:80", 0, "Te", "trailers"), wire.None},
		{two("POST", "/", "a.example", 0), wire.Sized},
		{two("POST", "/", "a.example", 5, "Content-Length", "5", "X-Empty", ""), wire.Sized},
		{two("POST", "/", "a.example", 0, "Content-Length", "0"), wire.Sized},
		{two("POST", "/", "a.example", -1, "Content-Type", "application/grpc"), wire.Chunked},
		{two("GET", "/", "a.example", 0, "Host", "A.EXAMPLE"), wire.None},
	}
	for _, tt := range tests {
		var w wire.Request
		head, err := Request(nil, &w, tt.r, wire.Limits{})
		if err != nil {
			t.Errorf("%s %s: %v", tt.r.Method, tt.r.RequestURI, err)
			continue
		}
		if string(w.Method) != tt.r.Method || string(w.Target) != tt.r.RequestURI || string(w.Host) != tt.r.Host || w.Body != tt.want || max(w.Length, 0) != max(tt.r.ContentLength, 0) {
			t.Errorf("%q reads as %s %s of %s, framed %d with %d; want %d", head, w.Method, w.Target, w.Host, w.Body, w.Length, tt.want)
		}
	}
}

// TestDowngrade has what HTTP/2 forbids and what HTTP/1 would take for something else, each with the class it is refused for.
func TestDowngrade(t *testing.T) {
	get := func(fields ...string) *http.Request { return two("GET", "/", "a.example", 0, fields...) }
	post := func(length int64, fields ...string) *http.Request {
		return two("POST", "/", "a.example", length, fields...)
	}
	tests := map[string]struct {
		r    *http.Request
		want wire.Class
	}{
		"CR LF in a value":           {get("X", "a\r\nY: b"), wire.BadValue},
		"LF in a value":              {get("X", "a\nY: b"), wire.BadValue},
		"NUL in a value":             {get("X", "a\x00b"), wire.BadValue},
		"CR LF in a name":            {get("X\r\nY", "a"), wire.BadName},
		"colon in a name":            {get("X: a\r\nY", "a"), wire.BadName},
		"colon":                      {get("Transfer-Encoding:", "chunked"), wire.BadName},
		"blank in a name":            {get("X ", "a"), wire.BadName},
		"empty name":                 {get("", "a"), wire.BadName},
		"CR LF in :path":             {two("GET", "/ HTTP/1.1\r\nHost: b\r\n\r\n", "a.example", 0), wire.BadLine},
		"blank in :path":             {two("GET", "/a HTTP/1.1", "a.example", 0), wire.BadLine},
		"absolute :path":             {two("GET", "http://b.example/", "a.example", 0), wire.BadTarget},
		"no path":                    {two("GET", "a", "a.example", 0), wire.BadTarget},
		"empty path":                 {two("GET", "", "a.example", 0), wire.BadTarget},
		"* without OPTIONS":          {two("GET", "*", "a.example", 0), wire.BadTarget},
		"CONNECT":                    {two("CONNECT", "a.example:443", "a.example:443", 0), wire.BadTarget},
		"CR LF in :method":           {two("GET / HTTP/1.1\r\nX:", "/", "a.example", 0), wire.BadLine},
		"lower-case nonsense":        {two("", "/", "a.example", 0), wire.BadMethod},
		"CR LF in :authority":        {two("GET", "/", "a.example\r\nX: y", 0), wire.BadLine},
		"user in :authority":         {two("GET", "/", "u@a.example", 0), wire.BadHost},
		"path in :authority":         {two("GET", "/", "a.example/x", 0), wire.BadHost},
		"no :authority":              {two("GET", "/", "", 0), wire.BadHost},
		"another Host":               {get("Host", "b.example"), wire.BadHost},
		"two Hosts":                  {get("Host", "a.example", "Host", "a.example"), wire.BadHost},
		"Connection":                 {get("Connection", "close"), wire.BadConnection},
		"Keep-Alive":                 {get("Keep-Alive", "1"), wire.BadConnection},
		"Proxy-Connection":           {get("Proxy-Connection", "close"), wire.BadConnection},
		"Transfer-Encoding":          {post(-1, "Transfer-Encoding", "chunked"), wire.BadConnection},
		"Upgrade":                    {get("Upgrade", "websocket"), wire.BadConnection},
		"HTTP2-Settings":             {get("Http2-Settings", "x"), wire.BadConnection},
		"TE gzip":                    {get("Te", "gzip"), wire.BadCoding},
		"TE trailers, gzip":          {get("Te", "trailers, gzip"), wire.BadCoding},
		"two lengths":                {post(5, "Content-Length", "5", "Content-Length", "5"), wire.BadLength},
		"length in words":            {post(0, "Content-Length", "five"), wire.BadLength},
		"length with sign":           {post(0, "Content-Length", "+5"), wire.BadLength},
		"length with zeros":          {post(5, "Content-Length", "05"), wire.BadLength},
		"length of no body":          {post(0, "Content-Length", "5"), wire.BadLength},
		"length list":                {post(0, "Content-Length", "5, 5"), wire.BadLength},
		"expectation":                {post(5, "Content-Length", "5", "Expect", "200-ok"), wire.BadExpect},
		"broken escape":              {two("GET", "/%zz", "a.example", 0), wire.BadTarget},
		"pseudo field in the middle": {get(":path", "/b"), wire.BadName},
	}
	for name, tt := range tests {
		var w wire.Request
		head, err := Request(nil, &w, tt.r, wire.Limits{})
		bad, ok := errors.AsType[*wire.BadMessage](err)
		if !ok || bad.Class != tt.want || bad.Status < 400 {
			t.Errorf("%s: %v for %q; want a refusal for %s", name, err, head, tt.want)
		}
	}
}

func TestAnswers(t *testing.T) {
	answer := func(status int, length int64, fields ...string) *http.Response {
		r := two("GET", "/", "", length, fields...)
		return &http.Response{StatusCode: status, Header: r.Header, ContentLength: length, ProtoMajor: 2}
	}
	for name, tt := range map[string]struct {
		r      *http.Response
		method string
		want   wire.Framing
	}{
		"connection":    {answer(200, -1, "Connection", "close", "Upgrade", "x"), "GET", wire.Chunked},
		"length":        {answer(200, 5, "Content-Length", "5"), "GET", wire.Sized},
		"stream":        {answer(200, -1), "GET", wire.Chunked},
		"ended at once": {answer(200, 0, "Grpc-Status", "5"), "POST", wire.Sized},
		"HEAD":          {answer(200, 5, "Content-Length", "5"), "HEAD", wire.None},
		"HEAD, stream":  {answer(200, -1), "HEAD", wire.None},
		"204":           {answer(204, 0), "GET", wire.None},
		"304":           {answer(304, -1), "GET", wire.None},
		"103":           {answer(103, -1, "Link", "x"), "GET", wire.None},
	} {
		var w wire.Response
		head, err := Answer(nil, &w, tt.r, []byte(tt.method), wire.Limits{})
		if err != nil || w.Body != tt.want || w.Status != tt.r.StatusCode {
			t.Errorf("%s: %q reads as %d, framed %d, %v; want %d", name, head, w.Status, w.Body, err, tt.want)
		}
	}
	for name, r := range map[string]*http.Response{
		"CR LF":       answer(200, -1, "X", "a\r\nY: b"),
		"name":        answer(200, -1, "X Y", "a"),
		"a 204 of 5":  answer(204, 5, "Content-Length", "5"),
		"status 1000": answer(1000, 0),
	} {
		var w wire.Response
		if head, err := Answer(nil, &w, r, []byte("GET"), wire.Limits{}); err == nil {
			t.Errorf("%s: %q was taken", name, head)
		}
	}
}

func TestTrailers(t *testing.T) {
	got, err := Trailers(nil, http.Header{"Grpc-Status": {"0"}})
	if err != nil || len(got) != 1 || string(got[0].Name) != "Grpc-Status" || string(got[0].Value) != "0" {
		t.Errorf("Trailers() = %v, %v", got, err)
	}
	for _, h := range []http.Header{{"Content-Length": {"0"}}, {"Transfer-Encoding": {"x"}}, {"Host": {"x"}}, {"X": {"a\r\nb"}}, {"X Y": {"a"}}, {"X-Forwarded-For": {"1.1.1.1"}}} {
		if _, err := Trailers(nil, h); err == nil {
			t.Errorf("Trailers(%v) took it", h)
		}
	}
}

func TestHead(t *testing.T) {
	got := Head([]byte("Host: a\r\nx-a: 1\r\nX-A: 2: 3\r\nContent-Length: 5\r\nConnection: close\r\nTE: trailers\r\nCookie: c\r\n\r\n"))
	if len(got) != 2 || strings.Join(got["X-A"], "|") != "1|2: 3" || got.Get("Cookie") != "c" {
		t.Errorf("Head() = %v", got)
	}
}

// FuzzRequest: what is accepted is one message, with the fields that were given and no others.
func FuzzRequest(f *testing.F) {
	f.Add("GET", "/", "a", "X", "y", int64(0))
	f.Add("POST", "/ HTTP/1.1\r\n\r\n", "a\r\nX: y", "Content-Length", "5", int64(5))
	f.Add("GET", "/", "\ta", "X", "y", int64(0))
	f.Add("POST", "http://b/", "a", "Connection", "x", int64(-1))
	f.Fuzz(func(t *testing.T, method, target, host, name, value string, length int64) {
		var w, again wire.Request
		r := two(method, target, host, max(length, -1), name, value)
		head, err := Request(nil, &w, r, wire.Limits{})
		if err != nil {
			return
		}
		if string(w.Method) != method || string(w.Target) != target || string(w.Host) != host {
			t.Errorf("%q reads as %s %s of %s", head, w.Method, w.Target, w.Host)
		}
		if n, err := again.Parse(head, wire.Limits{}); err != nil || n != len(head) || strings.Count(string(head), "\r\n\r\n") != 1 {
			t.Errorf("%q is not one message: %d, %v", head, n, err)
		}
		if w.Body == wire.Chunked != (r.ContentLength < 0) || r.ContentLength > 0 && w.Length != r.ContentLength {
			t.Errorf("%q is framed otherwise than %d", head, r.ContentLength)
		}
	})
}
