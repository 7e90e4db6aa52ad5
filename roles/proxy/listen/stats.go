package listen

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
)

// Stats count since Bind.
type Stats struct {
	Open                atomic.Int64 // now, including those in their handshake
	Accepted            atomic.Int64
	AcceptErrors        atomic.Int64 // no descriptors, no memory
	Full                atomic.Int64 // times accepting stopped at MaxConns
	PerIP               atomic.Int64 // closed at MaxPerIP
	NotTrusted          atomic.Int64 // closed: not in ProxyFrom
	BadProxy            atomic.Int64 // closed: no valid PROXY header in time
	Handshakes, Resumed atomic.Int64 // that succeeded; resumed are part of them
	HandshakeErrors     [Classes]atomic.Int64
}

// Class is why a TLS handshake did not succeed.
type Class uint8

// The classes. Their number is fixed: they are labels of a metric.
const (
	Other       Class = iota
	Timeout           // the client was too slow
	Gone              // the client closed or reset
	NotTLS            // the client speaks something else
	Version           // no TLS version in common
	Cipher            // no cipher suite, curve or signature in common
	Certificate       // the client's certificate is missing or was refused
	Name              // there is no certificate for the name
	Refused           // the client refused us, mostly our certificate
	Classes           // how many there are
)

// String is the label.
func (c Class) String() string {
	return [...]string{"other", "timeout", "gone", "not_tls", "version", "cipher", "certificate", "name", "refused", ""}[c]
}

func classify(err error) Class {
	var (
		record tls.RecordHeaderError
		cert   *tls.CertificateVerificationError
		op     *net.OpError
	)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.Canceled):
		return Timeout
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return Gone
	case errors.As(err, &record):
		return NotTLS
	case errors.As(err, &cert):
		return Certificate
	case errors.As(err, &op) && op.Op == "remote error":
		return Refused
	}
	// crypto/tls has no types for the rest. A text that changes makes a case
	// "other", no more.
	for _, known := range []struct {
		text  string
		class Class
	}{
		{"unsupported versions", Version},
		{"version", Version},
		{"didn't provide a certificate", Certificate},
		{"certificate required", Certificate},
		{"no certificates configured", Name},
		{"server name", Name},
		{"unrecognized name", Name},
		{"cipher suite", Cipher},
		{"key exchange", Cipher},
		{"curve", Cipher},
		{"signature algorithm", Cipher},
		{"does not look like a TLS handshake", NotTLS},
		{"certificate", Certificate},
	} {
		if strings.Contains(err.Error(), known.text) {
			return known.class
		}
	}
	return Other
}

// answerPlainHTTP tells a browser that it should have said https.
func answerPlainHTTP(err error) {
	var record tls.RecordHeaderError
	if !errors.As(err, &record) || record.Conn == nil {
		return
	}
	switch string(record.RecordHeader[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "DELET", "PATCH":
		_, _ = io.WriteString(record.Conn, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 44\r\n\r\nThis port speaks HTTPS. Use https:// please.")
	}
}
