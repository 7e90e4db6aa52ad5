// Package tlsconf makes TLS configurations that follow their files: certificates, keys, CA bundles, revocation lists and ticket keys may be
// replaced at any time, as a kubelet, cert-manager or a person does it, and the next handshake uses what is there. No command is needed and no
// connection is touched. Content that cannot be used is reported, and what was good before stays in use.
//
// A server has one *tls.Config for its whole life, so that session tickets outlive a renewal. Client certificates are checked by the package
// itself, at every handshake, resumed ones too, against the CA, the lists and the rules of that moment.
//
// It is not for certificates that something in this process obtains (ACME), and it does not staple OCSP answers.
// Used by proxy.
package tlsconf

import (
	"crypto/tls"
	"time"
)

// Rules say which clients may come in, by what their verified certificate says. One match allows. No rule at all allows every certificate
// that the CA signed.
type Rules struct {
	SAN []string // DNS names; "*.example.com" stands for one label in place of the star
	URI []string // "spiffe://domain/ns/*/sa/web-*": a star stands for characters within one segment of the path, "/**" at the end for all that follows
	CN  []string // common names, exactly
	OU  []string // organisational units, exactly
}

// Events tells what happens while files are followed. Nil functions are not called. They are called by Run, one at a time.
type Events struct {
	Reloaded func(changed []string)  // new content of these paths is in use
	Refused  func(error)             // new content cannot be used, the last good one stays
	Warned   func(warnings []string) // what is served although it is not right; at the start, after a reload and once a day
}

// CertInfo describes one certificate in use, for status pages and metrics. It holds nothing secret.
type CertInfo struct {
	Use         string // "server", "client", "client-ca", "ca"
	Subject     string // as RFC 2253 writes it
	Issuer      string
	Names       []string // DNS names, IP addresses and URIs
	NotBefore   time.Time
	NotAfter    time.Time
	Serial      string // hexadecimal
	KeyType     string // "ECDSA P-256", "RSA 2048", "Ed25519"
	Fingerprint string // SHA-256 of the certificate, hexadecimal
	File        string
	KeyFile     string // "" for a CA
	Loaded      time.Time
}

// minVersion is TLS 1.2, or 1.3 when asked for.
func minVersion(only13 bool) uint16 {
	if only13 {
		return tls.VersionTLS13
	}
	return tls.VersionTLS12
}

// suites are those of TLS 1.2 that authenticate what they encrypt. crypto/tls orders them itself; TLS 1.3 has no others.
func suites() []uint16 {
	return []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	}
}
