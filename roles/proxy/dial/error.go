package dial

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/sidecar-kit/sidecar/roles/proxy/starttls"
)

// Step is a stage of a dial; its values label metrics.
type Step string

// The steps, in order.
const (
	StepResolve  Step = "resolve"
	StepConnect  Step = "connect"
	StepProxy    Step = "proxy"
	StepStartTLS Step = "starttls"
	StepTLS      Step = "tls"
)

// Error says at which step a dial ended.
type Error struct {
	Step    Step
	Address string
	Err     error
}

func (e *Error) Unwrap() error { return e.Err }

// Error names the address, and a remedy on a line of its own where one is known.
func (e *Error) Error() string {
	text := fmt.Sprintf("%s %s: %v", e.verb(), e.Address, e.cause())
	if hint := e.hint(); hint != "" && !strings.Contains(text, "\nhint: ") {
		text += "\nhint: " + hint
	}
	return text
}

func (e *Error) verb() string {
	switch e.Step {
	case StepResolve:
		return "find"
	case StepProxy:
		return "send the PROXY header to"
	case StepStartTLS:
		return "upgrade the connection with"
	case StepTLS:
		return "TLS with"
	default:
		return "connect to"
	}
}

// cause drops what Error says already: operation and address.
func (e *Error) cause() error {
	if errors.Is(e.Err, os.ErrDeadlineExceeded) || errors.Is(e.Err, context.DeadlineExceeded) {
		return errors.New("no answer in time")
	}
	var host x509.HostnameError
	if errors.As(e.Err, &host) {
		return fmt.Errorf("the certificate is not for %s but for %s", host.Host, names(host.Certificate))
	}
	return e.Err
}

const maxNames = 5 // in an error

// names are what a certificate is good for, a few of them.
func names(c *x509.Certificate) string {
	var all []string
	all = append(all, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	for _, uri := range c.URIs {
		all = append(all, uri.String())
	}
	if len(all) == 0 {
		return fmt.Sprintf("no name at all (its subject is %q, which does not count)", c.Subject.CommonName)
	}
	if len(all) > maxNames {
		all = append(all[:maxNames], "...")
	}
	return strings.Join(all, ", ")
}

func (e *Error) hint() string {
	var (
		host      x509.HostnameError
		authority x509.UnknownAuthorityError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
		alert     tls.AlertError
	)
	switch {
	case errors.Is(e.Err, syscall.ECONNREFUSED) && e.Step == StepConnect:
		return "nothing listens there; is the server up, and the port right?"
	case errors.Is(e.Err, fs.ErrNotExist) && e.Step == StepConnect:
		return "the socket does not exist; is the server up, and the volume mounted?"
	case errors.As(e.Err, &host):
		return "give the name of the certificate with the option sni, or verify=ca when it names no host"
	case errors.As(e.Err, &authority):
		return "give the authority that signed the certificate with the option ca"
	case errors.As(e.Err, &invalid) && invalid.Reason == x509.Expired:
		return "renew the certificate of the server, or set the clock"
	case errors.As(e.Err, &record):
		return "the server does not speak TLS from the first byte; use tcp:// or http://, or the option starttls"
	case errors.Is(e.Err, starttls.ErrNoTLS):
		return "the server has to be set up for TLS"
	case errors.As(e.Err, &alert):
		return "the server refused the handshake; does it want a client certificate (options client-cert and client-key), or another TLS version?"
	case e.Step == StepTLS && (errors.Is(e.Err, io.EOF) || errors.Is(e.Err, syscall.ECONNRESET)):
		return "the server closed during the handshake; does it speak TLS on this port, and not only after starttls?"
	}
	return ""
}
