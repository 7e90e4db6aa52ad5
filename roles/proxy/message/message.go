// Package message translates between the messages of net/http and those of package wire, by way of the text of an HTTP/1 head. What net/http
// understood is written down and parsed again by wire's strict parser, so that requests of HTTP/2 meet the same rules as those of HTTP/1, and
// header policies have one form to work on.
//
// It is not on the path of HTTP/1: that one never leaves wire.
package message

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"

	"github.com/sidecar-kit/sidecar/roles/proxy/wire"
)

// bad is a refusal in wire's form. Reasons have no foreign bytes.
func bad(class wire.Class, reason string) error {
	return &wire.BadMessage{Status: http.StatusBadRequest, Class: class, Reason: reason}
}

// Request writes the head of r behind dst and parses it into w, whose slices point into the result. For a request of HTTP/2 it refuses what would
// mean something else in HTTP/1; what net/http has refused before is refused here once more, because nothing else stands between a client
// and a backend. Errors are *wire.BadMessage.
func Request(dst []byte, w *wire.Request, r *http.Request, lim wire.Limits) ([]byte, error) {
	if r.ProtoMajor == 2 {
		if err := downgrade(r); err != nil {
			return dst, err
		}
	}
	if !plain(r.Method) || !plain(r.RequestURI) || !plain(r.Host) || strings.ContainsAny(r.Method, " \t") || strings.ContainsAny(r.RequestURI, " \t") || strings.ContainsAny(r.Host, " \t") {
		return dst, bad(wire.BadLine, "a control character or blank in the request line")
	}
	start := len(dst)
	dst = append(dst, r.Method...)
	dst = append(append(append(dst, ' '), r.RequestURI...), " HTTP/1."...)
	count := 0
	if r.ProtoMajor == 1 && r.ProtoMinor == 0 {
		dst = append(dst, "0\r\n"...)
	} else {
		dst = append(dst, "1\r\n"...)
	}
	if r.Host != "" {
		dst = append(append(append(dst, "Host: "...), r.Host...), "\r\n"...)
		count++
	}
	dst, fields, err := appendHeader(dst, r.Header)
	if err != nil {
		return dst, err
	}
	count += fields
	dst, framed := appendFraming(dst, r)
	count += framed
	dst = append(dst, "\r\n"...)
	n, err := w.Parse(dst[start:], lim)
	if err != nil {
		return dst, err
	}
	if n != len(dst)-start || len(w.Fields) != count {
		return dst, bad(wire.BadField, "the head reads as something else than what was sent")
	}
	return dst, nil
}

// downgrade is what HTTP/2 forbids and HTTP/1 would take differently.
func downgrade(r *http.Request) error {
	if r.RequestURI == "" || r.RequestURI[0] != '/' && r.RequestURI != "*" {
		return bad(wire.BadTarget, ":path is no path")
	}
	if hosts := r.Header["Host"]; len(hosts) > 1 || len(hosts) == 1 && !strings.EqualFold(hosts[0], r.Host) {
		return bad(wire.BadHost, ":authority and Host name different hosts")
	}
	for _, name := range []string{"Connection", "Proxy-Connection", "Keep-Alive", "Transfer-Encoding", "Upgrade", "Http2-Settings"} {
		if _, ok := r.Header[name]; ok {
			return bad(wire.BadConnection, name+" has no place in HTTP/2")
		}
	}
	if te := r.Header["Te"]; len(te) > 1 || len(te) == 1 && te[0] != "trailers" && te[0] != "" {
		return bad(wire.BadCoding, "TE is not trailers")
	}
	lengths := r.Header["Content-Length"]
	switch {
	case len(lengths) > 1:
		return bad(wire.BadLength, "more than one Content-Length")
	case len(lengths) == 1 && lengths[0] != strconv.FormatInt(r.ContentLength, 10):
		// net/http reads 0 from what is no number, and from a number in front of no body at all.
		return bad(wire.BadLength, "Content-Length does not fit the body")
	}
	return nil
}

// appendHeader appends all fields but those of framing and Host, and returns how many.
func appendHeader(dst []byte, h http.Header) ([]byte, int, error) {
	count := 0
	for name, values := range h {
		switch name {
		case "Host", "Content-Length", "Transfer-Encoding":
			continue
		}
		if !token(name) {
			return dst, 0, bad(wire.BadName, "a field's name is not a token")
		}
		for _, v := range values {
			if !plain(v) {
				return dst, 0, bad(wire.BadValue, "a control character in a field")
			}
			dst = append(append(dst, name...), ": "...)
			dst = append(append(dst, v...), "\r\n"...)
			count++
		}
	}
	return dst, count, nil
}

// appendFraming appends how the body ends, and the names of trailers that follow it.
func appendFraming(dst []byte, r *http.Request) ([]byte, int) {
	switch {
	case r.ContentLength < 0:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
		if len(r.Trailer) == 0 {
			return dst, 1
		}
		dst = append(dst, "Trailer: "...)
		for name := range r.Trailer {
			dst = append(append(dst, name...), ", "...)
		}
		return append(dst[:len(dst)-2], "\r\n"...), 2
	case r.ContentLength > 0 || r.Header["Content-Length"] != nil || r.Method == "POST" || r.Method == "PUT" || r.Method == "PATCH":
		dst = strconv.AppendInt(append(dst, "Content-Length: "...), r.ContentLength, 10)
		return append(dst, "\r\n"...), 1
	}
	return dst, 0
}

// Answer writes the head of r behind dst and parses it into w, as the answer to a request of the given method. It takes fields of the connection
// out of an answer of HTTP/2.
func Answer(dst []byte, w *wire.Response, r *http.Response, method []byte, lim wire.Limits) ([]byte, error) {
	start := len(dst)
	dst = wire.AppendStatus(dst, r.StatusCode, nil)
	h := r.Header
	if r.ProtoMajor == 2 {
		// Backends of HTTP/2 do send them, although they may not; policies drop them, and they must not have an effect before.
		for _, name := range []string{"Connection", "Proxy-Connection", "Keep-Alive", "Upgrade"} {
			delete(h, name)
		}
	}
	dst, _, err := appendHeader(dst, h)
	if err != nil {
		return dst, err
	}
	switch {
	case r.ContentLength >= 0 && (r.ContentLength > 0 || h["Content-Length"] != nil || bodily(r.StatusCode)):
		dst = strconv.AppendInt(append(dst, "Content-Length: "...), r.ContentLength, 10)
		dst = append(dst, "\r\n"...)
	case r.ContentLength < 0 && bodily(r.StatusCode) && string(method) != "HEAD":
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	dst = append(dst, "\r\n"...)
	n, err := w.Parse(dst[start:], method, lim)
	if err == nil && n != len(dst)-start {
		err = &wire.BadMessage{Status: http.StatusBadGateway, Class: wire.BadField, Reason: "the head reads as something else than what was sent"}
	}
	return dst, err
}

func bodily(status int) bool { return status >= 200 && status != 204 && status != 304 }

// Trailers appends trailers as the fields of wire, and refuses what may not be one.
func Trailers(dst []wire.Field, h http.Header) ([]wire.Field, error) {
	for name, values := range h {
		id := wire.Lookup([]byte(name))
		if !token(name) || id != wire.Other && id <= wire.XForwardedURI {
			return dst, bad(wire.BadTrailer, "a field that may not be a trailer")
		}
		for _, v := range values {
			if !plain(v) {
				return dst, bad(wire.BadTrailer, "a control character in a trailer")
			}
			dst = append(dst, wire.Field{Name: []byte(name), Value: []byte(v), ID: id})
		}
	}
	return dst, nil
}

// Head reads lines of fields that a policy wrote, without those of framing and connection, which net/http writes itself.
func Head(lines []byte) http.Header {
	h := make(http.Header, bytes.Count(lines, []byte("\n")))
	for len(lines) > 0 {
		var line []byte
		line, lines, _ = bytes.Cut(lines, []byte("\r\n"))
		name, value, ok := bytes.Cut(line, []byte(": "))
		if !ok {
			continue
		}
		switch wire.Lookup(name) {
		case wire.Host, wire.Connection, wire.KeepAlive, wire.Upgrade, wire.TransferEncoding, wire.ContentLength, wire.Trailer, wire.TE, wire.Expect:
			continue
		}
		key := http.CanonicalHeaderKey(string(name))
		h[key] = append(h[key], string(value))
	}
	return h
}

// plain tells that text has no control characters but tabs.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

// token tells that a name is one. Colons are none, so a name cannot be cut in two.
func token(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return s != ""
}
