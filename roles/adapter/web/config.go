package web

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/bcrypt"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/internal/tlsconf"
)

// Config says how the outside is asked and who may come in.
type Config struct {
	TLS        *tlsconf.ServerOptions
	Users      map[string]string // name to bcrypt hash
	TokenFiles []string
	Allow      []netip.Prefix // empty: all
	Headers    map[string]string

	seen *verified
}

// Load reads a file. The error has all complaints, each with its line.
func Load(path string) (*Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	v, err := draft.Parse(path, text)
	if err != nil {
		return nil, err
	}
	p := parser{folder: filepath.Dir(path), conf: &Config{seen: newVerified()}}
	err = v.Each([]string{"tls_server_config", "http_server_config", "basic_auth_users", "bearer_token_files", "allowed_ips"}, p.key)
	if err == nil && p.conf.TLS != nil && len(p.conf.TLS.Certs) == 0 {
		err = fmt.Errorf("%s: tls_server_config: want cert_file and key_file", path)
	}
	return p.conf, err
}

// Files are what has to be watched beside the file itself: tokens. Certificates are followed by whoever serves them.
func (c *Config) Files() []string { return c.TokenFiles }

type parser struct {
	folder string
	conf   *Config
}

func (p *parser) path(text string) string {
	if text == "" || filepath.IsAbs(text) {
		return text
	}
	return filepath.Join(p.folder, text)
}

func (p *parser) key(key string, v draft.Value) error {
	switch key {
	case "tls_server_config":
		return p.tls(v)
	case "http_server_config":
		return p.http(v)
	case "basic_auth_users":
		p.conf.Users = map[string]string{}
		return v.All(func(name string, v draft.Value) error {
			var hash string
			err := v.Word(&hash)
			if _, bad := bcrypt.Cost([]byte(hash)); err == nil && bad != nil {
				err = v.Errorf("no bcrypt hash; make one by htpasswd -nBC 10 \"\" | tr -d ':\\n'")
			}
			p.conf.Users[name] = hash
			return err
		})
	case "bearer_token_files":
		err := v.Words(&p.conf.TokenFiles)
		for i, name := range p.conf.TokenFiles {
			p.conf.TokenFiles[i] = p.path(name)
		}
		return err
	}
	return v.Each1(func(v draft.Value) error {
		prefix, err := ParsePrefix(v.Text)
		if err != nil {
			return v.Errorf("allowed_ips: %w", err)
		}
		p.conf.Allow = append(p.conf.Allow, prefix)
		return nil
	})
}

// ParsePrefix reads an address, or a network such as 10.0.0.0/8.
func ParsePrefix(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return prefix, fmt.Errorf("%q: want an address or a network such as 10.0.0.0/8", text)
	}
	return prefix.Masked(), nil
}

func (p *parser) http(v draft.Value) error {
	return v.Each([]string{"http2", "headers"}, func(key string, v draft.Value) error {
		if key == "http2" {
			var on bool
			return v.Bool(&on) // HTTP/1 is always there for who wants that
		}
		p.conf.Headers = map[string]string{}
		return v.All(func(name string, v draft.Value) error {
			known := []string{"Content-Security-Policy", "Strict-Transport-Security", "X-Content-Type-Options", "X-Frame-Options", "X-XSS-Protection"}
			if !slices.ContainsFunc(known, func(k string) bool { return strings.EqualFold(k, name) }) {
				return v.Errorf("headers: %s is none of %s", name, strings.Join(known, ", "))
			}
			var text string
			err := v.Word(&text)
			p.conf.Headers[name] = text
			return err
		})
	})
}

// tls reads tls_server_config. What the library for TLS decides better by itself is read and has no effect.
func (p *parser) tls(v draft.Value) error {
	if v.Shape == draft.Empty {
		return nil
	}
	o := &tlsconf.ServerOptions{ALPN: []string{"h2", "http/1.1"}}
	p.conf.TLS = o
	var auth, low, ca, ignored string
	known := []string{
		"cert_file", "key_file", "client_ca_file", "client_auth_type", "client_allowed_sans", "min_version", "max_version", "cipher_suites", "curve_preferences",
		"prefer_server_cipher_suites",
	}
	var list []string
	err := v.Each(known, func(key string, v draft.Value) error {
		var text string
		switch key {
		case "cert_file", "key_file":
			err := v.Word(&text)
			if key == "cert_file" {
				o.Certs = []string{p.path(text)}
			} else {
				o.Keys = []string{p.path(text)}
			}
			return err
		case "client_ca_file":
			return v.Word(&ca)
		case "client_auth_type":
			return v.OneOf(&auth, "NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert")
		case "client_allowed_sans":
			return v.Words(&o.ClientRules.SAN)
		case "min_version":
			return v.OneOf(&low, "TLS12", "TLS13")
		case "max_version":
			return v.OneOf(&ignored, "TLS12", "TLS13")
		case "prefer_server_cipher_suites":
			return v.OneOf(&ignored, "true", "false")
		}
		return v.Words(&list)
	})
	o.Only13 = low == "TLS13"
	return errors.Join(err, p.clients(v, o, auth, ca))
}

func (p *parser) clients(v draft.Value, o *tlsconf.ServerOptions, auth, ca string) error {
	wanted := auth == "VerifyClientCertIfGiven" || auth == "RequireAndVerifyClientCert"
	switch {
	case wanted && ca == "":
		return v.Errorf("client_auth_type %s: want client_ca_file, too", auth)
	case ca != "" && auth == "NoClientCert":
		return v.Errorf("client_ca_file: client_auth_type is NoClientCert, so nobody would be asked for a certificate")
	case ca != "":
		o.ClientCA = []string{p.path(ca)}
		o.Optional = auth == "VerifyClientCertIfGiven"
	}
	return nil
}
