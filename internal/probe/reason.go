package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"regexp"
	"syscall"
	"time"
)

// unmet is an expectation that was not met. Its kind is the text without what
// changes from look to look, so that a log does not repeat itself.
type unmet struct{ text, kind string }

func (u *unmet) Error() string { return u.text }

// late is something that did not come before the context ended.
type late struct{ what string }

func (l *late) Error() string { return l.what + " in time" }

// wire is how the net package begins an error: with the port of this side, which
// is another one each time.
var wire = regexp.MustCompile(`\b(?:dial|read|write) (?:tcp|udp|unix)[46]? (?:\S+->)?(\S+?): `)

// plain puts an error of the network into few words that stay the same while the
// cause does. What ended by the context becomes "ifLate".
func plain(err error, ifLate string) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // its text repeats the address, with the query
	}
	if isOurs(err) {
		return err
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return plainDNS(dns)
	}
	if isLate(err) {
		return &late{ifLate}
	}
	if cert := certificate(err); cert != nil {
		return cert
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.EPIPE) {
		return same("the server closed the connection")
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		op, ok := errors.AsType[*net.OpError](err)
		if ok && op.Op == "dial" && op.Addr != nil && op.Addr.Network() != "unix" {
			return same(fmt.Sprintf("connect to %s: %s", op.Addr, errno))
		}
		return same(errno.Error())
	}
	return same(wire.ReplaceAllString(err.Error(), ""))
}

// same is a reason that reads the same each time.
func same(text string) error { return &unmet{text, text} }

func isOurs(err error) bool {
	_, unmet := errors.AsType[*unmet](err)
	_, late := errors.AsType[*late](err)
	return unmet || late
}

func isLate(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
		errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

func plainDNS(err *net.DNSError) error {
	if err.IsNotFound {
		return same(fmt.Sprintf("lookup %s: no such host", err.Name))
	}
	if isLate(err) {
		return &late{fmt.Sprintf("lookup %s: no answer", err.Name)}
	}
	return same(fmt.Sprintf("lookup %s: %s", err.Name, wire.ReplaceAllString(err.Err, "$1: ")))
}

// certificate explains why a certificate was refused and what to do; nil for any
// other error.
func certificate(err error) error {
	text := ""
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired && invalid.Cert != nil {
		text = "its certificate expired at " + day(invalid.Cert.NotAfter)
		if time.Now().Before(invalid.Cert.NotBefore) {
			text = "its certificate is not valid before " + day(invalid.Cert.NotBefore)
		}
	} else if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		text = "its certificate is signed by an unknown authority (ca=FILE names one)"
	} else if name, ok := errors.AsType[x509.HostnameError](err); ok {
		text = name.Error() + " (servername=NAME asks for another name)"
	} else if header, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		text = "the server does not speak TLS: " + header.Msg
	} else {
		return nil
	}
	return same(text)
}

func day(t time.Time) string { return t.UTC().Format(time.RFC3339) }
