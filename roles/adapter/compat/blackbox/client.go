package blackbox

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"regexp"
	"strings"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/internal/secret"
)

// webSettings are how HTTP is asked, and what of its answer counts.
type webSettings struct {
	method, host, body, bodyFile, compression string
	headers                                   map[string][]string
	headerFiles                               map[string][]string
	status                                    []int
	versions                                  []string
	follow, http2, failSSL, failPlain         bool
	bodyHas, bodyLacks                        []*regexp.Regexp
	headerHas, headerLacks                    []headerMatch
	limit                                     int64
	user, userFile, passFile, kind, tokenFile string
	password, token                           secret.Value
}

type headerMatch struct {
	name    string
	re      *regexp.Regexp
	missing bool // it need not be there
}

func httpKeys() []string {
	return []string{
		"valid_status_codes", "valid_http_versions", "preferred_ip_protocol", "ip_protocol_fallback", "no_follow_redirects", "follow_redirects", "fail_if_ssl", "fail_if_not_ssl", "method", "headers",
		"fail_if_body_matches_regexp", "fail_if_body_not_matches_regexp", "fail_if_header_matches", "fail_if_header_not_matches", "body", "body_file", "compression", "body_size_limit",
		"basic_auth", "authorization", "bearer_token", "bearer_token_file", "tls_config", "enable_http2", "http_headers", "skip_resolve_phase_with_proxy",
		"fail_if_body_json_matches_cel", "fail_if_body_json_not_matches_cel", "enable_http3", "oauth2", "proxy_url", "no_proxy", "proxy_from_environment", "proxy_connect_header",
	}
}

func (m *module) parseHTTP(v draft.Value) error {
	w := &m.web
	w.headers, w.headerFiles = map[string][]string{}, map[string][]string{}
	err := v.Each(httpKeys(), m.parseHTTPKey)
	if w.body != "" && w.bodyFile != "" {
		err = errors.Join(err, v.Errorf("body and body_file exclude each other; leave out one"))
	}
	token := w.token.Reveal() != "" || w.tokenFile != ""
	if token && w.user+w.userFile != "" {
		err = errors.Join(err, v.Errorf("basic_auth and a token exclude each other; leave out one"))
	}
	if token && w.kind == "" {
		w.kind = "Bearer"
	}
	return err
}

func (m *module) parseHTTPKey(key string, v draft.Value) error {
	w := &m.web
	var yes bool
	switch key {
	case "valid_status_codes":
		return v.Each1(func(v draft.Value) error {
			var code int
			err := v.Int(&code, 100, 999)
			w.status = append(w.status, code)
			return err
		})
	case "valid_http_versions":
		return v.Words(&w.versions)
	case "no_follow_redirects":
		err := v.Bool(&yes)
		w.follow = !yes
		return err
	case "follow_redirects":
		return v.Bool(&w.follow)
	case "fail_if_ssl":
		return v.Bool(&w.failSSL)
	case "fail_if_not_ssl":
		return v.Bool(&w.failPlain)
	case "enable_http2":
		return v.Bool(&w.http2)
	case "method":
		return v.Word(&w.method)
	case "headers":
		return v.All(w.parseHeader)
	case "http_headers":
		return v.All(w.parseHeaders)
	case "fail_if_body_matches_regexp":
		return parseRegexps(v, &w.bodyHas)
	case "fail_if_body_not_matches_regexp":
		return parseRegexps(v, &w.bodyLacks)
	case "fail_if_header_matches":
		return parseMatches(v, &w.headerHas)
	case "fail_if_header_not_matches":
		return parseMatches(v, &w.headerLacks)
	case "body":
		return v.Word(&w.body)
	case "body_file":
		return v.Word(&w.bodyFile)
	case "body_size_limit":
		return parseSize(v, &w.limit)
	case "preferred_ip_protocol", "ip_protocol_fallback":
		return m.address.parse(key, v)
	case "compression":
		err := v.OneOf(&w.compression, "gzip", "deflate", "identity", "br", "")
		if w.compression == "br" {
			m.refuse = "compression: br cannot be unpacked here"
		}
		return err
	}
	return m.parseClientKey(key, v)
}

// parseClientKey reads who we are, and what cannot be done here: a module with that is loaded, and its probes fail and say why.
func (m *module) parseClientKey(key string, v draft.Value) error {
	w := &m.web
	switch key {
	case "basic_auth":
		return v.Each([]string{"username", "username_file", "password", "password_file"}, func(key string, v draft.Value) error {
			switch key {
			case "username":
				return v.Word(&w.user)
			case "username_file":
				return v.Word(&w.userFile)
			case "password":
				return hidden(v, &w.password)
			}
			return v.Word(&w.passFile)
		})
	case "authorization":
		return v.Each([]string{"type", "credentials", "credentials_file"}, func(key string, v draft.Value) error {
			switch key {
			case "type":
				return v.Word(&w.kind)
			case "credentials":
				return hidden(v, &w.token)
			}
			return v.Word(&w.tokenFile)
		})
	case "bearer_token":
		return hidden(v, &w.token)
	case "bearer_token_file":
		return v.Word(&w.tokenFile)
	case "tls_config":
		return m.parseTLS(v)
	case "skip_resolve_phase_with_proxy", "no_proxy", "proxy_connect_header": // nothing without a proxy
		return nil
	}
	if v.Shape == draft.Empty || v.Shape == draft.Word && (v.Text == "false" || v.Text == "") {
		return nil
	}
	m.refuse = fmt.Sprintf("%s: %s is not available here", v.Place, key)
	return nil
}

func hidden(v draft.Value, dst *secret.Value) error {
	var text string
	err := v.Word(&text)
	*dst = secret.New(text)
	return err
}

func (w *webSettings) parseHeader(name string, v draft.Value) error {
	var text string
	if err := v.Word(&text); err != nil {
		return err
	}
	name = textproto.CanonicalMIMEHeaderKey(name)
	if name == "Host" {
		w.host = text
		return nil
	}
	w.headers[name] = []string{text}
	return nil
}

func (w *webSettings) parseHeaders(name string, v draft.Value) error {
	name = textproto.CanonicalMIMEHeaderKey(name)
	return v.Each([]string{"values", "secrets", "files"}, func(key string, v draft.Value) error {
		var list []string
		err := v.Words(&list)
		if key == "files" {
			w.headerFiles[name] = list
		} else {
			w.headers[name] = append(w.headers[name], list...)
		}
		return err
	})
}

func parseMatches(v draft.Value, dst *[]headerMatch) error {
	return v.Each1(func(v draft.Value) error {
		var h headerMatch
		err := v.Each([]string{"header", "regexp", "allow_missing"}, func(key string, v draft.Value) error {
			switch key {
			case "header":
				return v.Word(&h.name)
			case "regexp":
				return parseRegexp(v, &h.re)
			}
			return v.Bool(&h.missing)
		})
		if err == nil && (h.name == "" || h.re == nil || h.re.String() == "") {
			err = v.Errorf("want header and regexp")
		}
		*dst = append(*dst, h)
		return err
	})
}

func (m *module) parseTLS(v draft.Value) error {
	known := []string{"ca_file", "cert_file", "key_file", "server_name", "insecure_skip_verify", "min_version", "max_version", "ca", "cert", "key", "ca_ref", "cert_ref", "key_ref"}
	versions := map[string]uint16{"TLS10": tls.VersionTLS10, "TLS11": tls.VersionTLS11, "TLS12": tls.VersionTLS12, "TLS13": tls.VersionTLS13}
	t := &m.tls
	err := v.Each(known, func(key string, v draft.Value) error {
		var word string
		switch key {
		case "ca_file":
			return v.Word(&t.ca)
		case "cert_file":
			return v.Word(&t.cert)
		case "key_file":
			return v.Word(&t.key)
		case "server_name":
			return v.Word(&t.name)
		case "insecure_skip_verify":
			return v.Bool(&t.insecure)
		case "min_version", "max_version":
			err := v.OneOf(&word, "TLS10", "TLS11", "TLS12", "TLS13")
			if key == "min_version" {
				t.least = versions[word]
			} else {
				t.most = versions[word]
			}
			return err
		}
		m.refuse = fmt.Sprintf("%s: certificates and keys come from files: %s_file", v.Place, strings.TrimSuffix(key, "_ref"))
		return nil
	})
	if (t.cert == "") != (t.key == "") {
		err = errors.Join(err, v.Errorf("cert_file and key_file belong together"))
	}
	return err
}

// authorize adds headers and credentials. Files are read at each request.
func (w *webSettings) authorize(r *http.Request) error {
	for name, values := range w.headers {
		r.Header[name] = append([]string(nil), values...)
	}
	for name, files := range w.headerFiles {
		for _, file := range files {
			v, err := secret.File(file)
			if err != nil {
				return err
			}
			r.Header[name] = append(r.Header[name], v.Reveal())
		}
	}
	read := func(file string, v secret.Value) (string, error) {
		if file == "" {
			return v.Reveal(), nil
		}
		v, err := secret.File(file)
		return v.Reveal(), err
	}
	user, err := read(w.userFile, secret.New(w.user))
	password, perr := read(w.passFile, w.password)
	token, terr := read(w.tokenFile, w.token)
	if err := errors.Join(err, perr, terr); err != nil {
		return err
	}
	if user != "" || password != "" {
		r.SetBasicAuth(user, password)
	}
	if token != "" {
		r.Header.Set("Authorization", w.kind+" "+token)
	}
	return nil
}
