package wire

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

// FuzzRequest compares with net/http: what is accepted here is accepted there,
// and means the same.
func FuzzRequest(f *testing.F) {
	for _, tt := range refusedRequests() {
		f.Add([]byte(tt.in))
	}
	f.Add([]byte("POST /a%20b?c=%zz HTTP/1.1\r\nHost: [::1]:80\r\nContent-Length: 3\r\nConnection: x, close\r\nX: y\r\n\r\nabc"))
	f.Add([]byte("OPTIONS * HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"))
	f.Add([]byte("GET http://a.b/?x HTTP/1.0\r\nCookie: a=b; c=d\r\nX-Long: 0123456789012345678901234567890123456789\r\n\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var r Request
		n, err := r.Parse(in, Limits{})
		checkPieces(t, in, n, err)
		if err != nil || n == 0 {
			return
		}
		h, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(in)))
		if err != nil {
			t.Fatalf("net/http refuses %q: %v", in, err)
		}
		if h.Method != string(r.Method) || h.ProtoMinor != int(r.Minor) || h.Host != string(r.Host) {
			t.Fatalf("net/http reads %s %s 1.%d; we read %s %s 1.%d", h.Method, h.Host, h.ProtoMinor, r.Method, r.Host, r.Minor)
		}
		want := int64(0)
		switch r.Body {
		case Sized:
			want = r.Length
		case Chunked:
			want = -1
		}
		if h.ContentLength != want {
			t.Fatalf("net/http reads a body of %d; we read %v %d: %q", h.ContentLength, r.Body, r.Length, in)
		}
		if path, _, _ := strings.Cut(string(r.Target), "?"); path != "*" && h.URL.EscapedPath() != path && h.URL.RawPath != path && !strings.HasPrefix(h.RequestURI, "http") {
			if h.RequestURI != string(r.Target) {
				t.Fatalf("net/http reads the target %q; we read %q", h.RequestURI, r.Target)
			}
		}
		compareFields(t, h.Header, r.Fields, "Host")
	})
}

// checkPieces shows that a message that comes byte by byte is read like one
// that comes at once.
func checkPieces(t *testing.T, in []byte, n int, err error) {
	if len(in) > 300 || err != nil {
		return
	}
	var r Request
	for i := 1; i <= len(in); i++ {
		took, err := r.Parse(in[:i], Limits{})
		if err != nil {
			if n > 0 && i <= n || n == 0 {
				t.Fatalf("in pieces %q is refused: %v", in[:i], err)
			}
			return
		}
		if took > 0 {
			if took != n {
				t.Fatalf("in pieces %q has %d bytes; want %d", in, took, n)
			}
			return
		}
	}
	if n > 0 {
		t.Fatalf("in pieces %q is not complete", in)
	}
}

// compareFields wants every field of ours in the order of its name there.
func compareFields(t *testing.T, h http.Header, fields []Field, but string) {
	t.Helper()
	count := map[string]int{}
	for _, f := range fields {
		name := http.CanonicalHeaderKey(string(f.Name))
		if name == but || f.ID == TransferEncoding || f.ID == Trailer || f.ID == ContentLength || f.ID == Connection {
			continue
		}
		i := count[name]
		count[name]++
		if i >= len(h[name]) || h[name][i] != string(f.Value) {
			t.Fatalf("net/http reads %s: %q; we read %q", name, h[name], f.Value)
		}
	}
}

// FuzzResponse does the same for answers.
func FuzzResponse(f *testing.F) {
	for _, tt := range refusedResponses() {
		f.Add([]byte(tt.in), false)
	}
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"), false)
	f.Add([]byte("HTTP/1.1 304 x\r\nTransfer-Encoding: chunked\r\n\r\n"), true)
	f.Fuzz(func(t *testing.T, in []byte, head bool) {
		method := "GET"
		if head {
			method = "HEAD"
		}
		var r Response
		n, err := r.Parse(in, []byte(method), Limits{})
		if err != nil || n == 0 {
			return
		}
		h, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(in)), &http.Request{Method: method})
		if err != nil {
			t.Fatalf("net/http refuses %q: %v", in, err)
		}
		if h.StatusCode != r.Status || h.ProtoMinor != int(r.Minor) {
			t.Fatalf("net/http reads %d; we read %d", h.StatusCode, r.Status)
		}
		switch r.Body {
		case Sized:
			if h.ContentLength != r.Length {
				t.Fatalf("net/http reads a body of %d; we read %d", h.ContentLength, r.Length)
			}
		case Chunked:
			if len(h.TransferEncoding) != 1 {
				t.Fatalf("net/http reads no chunks in %q", in)
			}
		case UntilClose:
			if h.ContentLength != -1 || len(h.TransferEncoding) != 0 {
				t.Fatalf("net/http reads a body of %d; we read until close: %q", h.ContentLength, in)
			}
		}
		compareFields(t, h.Header, r.Fields, "")
	})
}

// FuzzChunked compares with net/http's reader of chunks, and the pieces with
// the whole.
func FuzzChunked(f *testing.F) {
	for _, in := range []string{"0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\nGET", "5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n", "5\r\nhello", "1\r\na\r\n1\r\nb\r\n0\r\n\r\n", "fffffffffffffff\r\n"} {
		f.Add([]byte(in), 3)
	}
	f.Fuzz(func(t *testing.T, in []byte, piece int) {
		data, rest, done, err := decode(string(in), len(in)+1)
		if piece > 0 && piece < len(in) {
			data2, rest2, done2, err2 := decode(string(in), piece)
			if done != done2 || (err == nil) != (err2 == nil) || done && (data2 != data || rest2 != rest) {
				t.Fatalf("decode(%q) = %q, %v, %v; in pieces of %d %q, %v, %v", in, data, done, err, piece, data2, done2, err2)
			}
		}
		if !done {
			return
		}
		data, _, _ = strings.Cut(data, "|")
		head := "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
		r := bufio.NewReader(strings.NewReader(head + string(in)))
		h, err := http.ReadRequest(r)
		if err != nil {
			t.Fatal(err)
		}
		want, err := io.ReadAll(h.Body)
		if err != nil {
			t.Fatalf("net/http refuses %q: %v", in, err)
		}
		if !strings.Contains(string(want), "|") && string(want) != data {
			t.Fatalf("net/http reads %q; we read %q", want, data)
		}
		if behind, _ := io.ReadAll(r); string(behind) != rest {
			t.Fatalf("net/http leaves %q; we leave %q", behind, rest)
		}
	})
}
