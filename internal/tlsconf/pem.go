package tlsconf

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// content is what a PEM file holds.
type content struct {
	file  file
	certs []*x509.Certificate
	keys  []crypto.Signer
	lists []*x509.RevocationList
}

// parse reads every PEM block of a file. Text around blocks is allowed, as openssl writes it; other blocks are not, because a file that holds
// something else is rarely what was meant. No error quotes the content.
func parse(f file) (content, error) {
	c := content{file: f}
	rest := f.data
	for n := 1; ; n++ {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil && n == 1 {
			return c, fmt.Errorf("%s: no PEM block\nhint: it must hold \"-----BEGIN CERTIFICATE-----\" or a key like it; convert DER with openssl x509 -inform der", f.path)
		}
		if block == nil {
			return c, nil
		}
		if err := c.add(block); err != nil {
			return c, fmt.Errorf("%s: block %d: %w", f.path, n, err)
		}
	}
}

func (c *content) add(block *pem.Block) error {
	if strings.HasPrefix(block.Headers["Proc-Type"], "4,ENCRYPTED") {
		return encrypted()
	}
	switch block.Type {
	case "CERTIFICATE", "TRUSTED CERTIFICATE", "X509 CERTIFICATE":
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("parse certificate: %w", err)
		}
		c.certs = append(c.certs, cert)
	case "X509 CRL":
		list, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			return fmt.Errorf("parse revocation list: %w", err)
		}
		c.lists = append(c.lists, list)
	case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY":
		key, err := parseKey(block)
		if err != nil {
			return err
		}
		c.keys = append(c.keys, key)
	case "ENCRYPTED PRIVATE KEY":
		return encrypted()
	case "EC PARAMETERS", "DH PARAMETERS": // openssl puts them in front of keys
	case "OPENSSH PRIVATE KEY":
		return errors.New("a key of ssh\nhint: convert a copy of it with ssh-keygen -p -m PKCS8")
	default:
		return errors.New("a PEM block of a type that is no certificate, key or revocation list")
	}
	return nil
}

func encrypted() error {
	return errors.New("the key is encrypted, and there is nobody to ask for its password\nhint: decrypt it with openssl pkey -in KEY -out NEW, and guard it by its mode and its volume")
}

func parseKey(block *pem.Block) (crypto.Signer, error) {
	var key any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	}
	if err != nil {
		// The standard library's text names another form at most; it is dropped all the same, it must never hold a part of a key.
		return nil, errors.New("the key cannot be parsed")
	}
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		return k, nil
	case *rsa.PrivateKey:
		return k, nil
	case ed25519.PrivateKey:
		return k, nil
	}
	return nil, errors.New("a key that cannot sign: want ECDSA, RSA or Ed25519")
}

// owns tells whether a certificate is that of a key.
func owns(key crypto.Signer, cert *x509.Certificate) bool {
	pub, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && pub.Equal(cert.PublicKey)
}

// chain puts the certificate of a key first and what signed it behind. It reports whether the order was another one, or some belong to
// another chain: those are left out. Certificates in the right order stay as they are, a root at the end as well.
func chain(leaf *x509.Certificate, certs []*x509.Certificate) (ordered []*x509.Certificate, changed bool) {
	ordered = []*x509.Certificate{leaf}
	rest := slices.DeleteFunc(slices.Clone(certs), func(c *x509.Certificate) bool { return c.Equal(leaf) })
	for len(rest) > 0 {
		last := ordered[len(ordered)-1]
		next := slices.IndexFunc(rest, func(c *x509.Certificate) bool { return signed(last, c) })
		if next < 0 || signed(last, last) {
			break
		}
		ordered = append(ordered, rest[next])
		rest = slices.Delete(rest, next, next+1)
	}
	return ordered, !slices.EqualFunc(ordered, certs, (*x509.Certificate).Equal)
}

func signed(cert, by *x509.Certificate) bool {
	return string(cert.RawIssuer) == string(by.RawSubject) && cert.CheckSignatureFrom(by) == nil
}

// keyType names a public key as people do.
func keyType(cert *x509.Certificate) string {
	switch k := cert.PublicKey.(type) {
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Params().Name
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return cert.PublicKeyAlgorithm.String()
}
