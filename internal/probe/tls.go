package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// trust is how a server proves who it is, and who we are to it. The files are
// read at each look: they are secrets that others replace.
type trust struct {
	ca, cert, key string
	serverName    string
	insecure      bool
	minValid      time.Duration
}

// trust takes the options of TLS.
func (o *options) trust() *trust {
	t := &trust{insecure: o.flag("insecure"), minValid: o.duration("min-valid")}
	t.ca, _ = o.text("ca")
	t.cert, _ = o.text("cert")
	t.key, _ = o.text("key")
	t.serverName, _ = o.text("servername")
	if (t.cert == "") != (t.key == "") {
		o.errs = append(o.errs, errors.New("options cert and key belong together"))
	}
	if t.insecure {
		o.together("insecure", "ca")
	}
	return t
}

// config reads the files. host is the name the certificate must have, unless
// another one was given.
func (t *trust) config(host string) (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host, InsecureSkipVerify: t.insecure}
	if t.serverName != "" {
		conf.ServerName = t.serverName
	}
	if t.ca != "" {
		pem, err := os.ReadFile(t.ca)
		if err != nil {
			return nil, fmt.Errorf("option ca: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("option ca: %s holds no PEM certificate", t.ca)
		}
	}
	if t.cert != "" {
		pair, err := tls.LoadX509KeyPair(t.cert, t.key)
		if err != nil {
			return nil, fmt.Errorf("options cert and key: %w", err)
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	return conf, nil
}

// handshake makes a connection a TLS connection whose certificates are as
// expected. It closes conn when it fails.
func (t *trust) handshake(ctx context.Context, conn net.Conn, host string, protocols ...string) (*tls.Conn, error) {
	conf, err := t.config(host)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	conf.NextProtos = protocols
	secured := tls.Client(conn, conf)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, plain(err, "connected, but the TLS handshake did not end")
	}
	if err := t.judge(secured.ConnectionState(), time.Now()); err != nil {
		_ = secured.Close()
		return nil, err
	}
	return secured, nil
}

// judge compares the end of the first certificate of the chain to expire with
// what was asked for.
func (t *trust) judge(state tls.ConnectionState, now time.Time) error {
	left := expiry(state).Sub(now)
	if t.minValid == 0 || left >= t.minValid {
		return nil
	}
	return &unmet{
		fmt.Sprintf("its certificate expires at %s, in %s, want at least %s", day(expiry(state)), short(left), t.minValid),
		"its certificate expires soon",
	}
}

// expiry is when the presented certificate, or the first of those it was
// verified by, ends.
func expiry(state tls.ConnectionState) time.Time {
	chain := state.PeerCertificates[:1]
	if len(state.VerifiedChains) > 0 {
		chain = state.VerifiedChains[0]
	}
	end := chain[0].NotAfter
	for _, cert := range chain {
		if cert.NotAfter.Before(end) {
			end = cert.NotAfter
		}
	}
	return end
}

func openTLS(t target, o *options) (look, error) {
	trust := o.trust()
	host, addr, err := t.hostPort("")
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (string, error) {
		conn, err := connect(ctx, "tcp", addr)
		if err != nil {
			return "", err
		}
		secured, err := trust.handshake(ctx, conn, host)
		if err != nil {
			return "", err
		}
		defer secured.Close()
		state := secured.ConnectionState()
		return fmt.Sprintf("%s, certificate valid until %s", tls.VersionName(state.Version), day(expiry(state))), nil
	}, nil
}
