package tlsconf

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"time"
)

func describe(use string, cert *x509.Certificate, file, keyFile string, loaded time.Time) CertInfo {
	info := CertInfo{
		Use: use, Subject: cert.Subject.String(), Issuer: cert.Issuer.String(),
		NotBefore: cert.NotBefore, NotAfter: cert.NotAfter,
		Serial: fmt.Sprintf("%x", cert.SerialNumber), KeyType: keyType(cert), Fingerprint: fmt.Sprintf("%x", sha256.Sum256(cert.Raw)),
		File: file, KeyFile: keyFile, Loaded: loaded,
	}
	info.Names = append(info.Names, cert.DNSNames...)
	for _, ip := range cert.IPAddresses {
		info.Names = append(info.Names, ip.String())
	}
	for _, u := range cert.URIs {
		info.Names = append(info.Names, u.String())
	}
	return info
}
