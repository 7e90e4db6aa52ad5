package jsonexporter

import (
	"errors"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/roles/adapter/oauth"
)

// parseClient reads http_client_config.
func (m *Module) parseClient(v draft.Value) error {
	known := []string{
		"basic_auth", "authorization", "bearer_token", "bearer_token_file", "tls_config", "follow_redirects", "enable_http2", "http_headers",
		"oauth2", "proxy_url", "no_proxy", "proxy_from_environment", "proxy_connect_header",
	}
	bearer, auth, tokens := false, false, false
	err := v.Each(known, func(key string, v draft.Value) error {
		var yes bool
		switch key {
		case "basic_auth":
			return m.parseBasic(v)
		case "authorization":
			auth = true
			return m.parseAuthorization(v)
		case "bearer_token":
			bearer = true
			return hidden(v, &m.Token)
		case "bearer_token_file":
			bearer = true
			return v.Word(&m.TokenFile)
		case "tls_config":
			return parseTLS(v, &m.HTTP)
		case "follow_redirects":
			err := v.Bool(&yes)
			m.NoRedirects = !yes
			return err
		case "enable_http2": // it speaks HTTP/1.1 only, whatever is here
			return v.Bool(&yes)
		case "http_headers":
			return v.All(m.parseHeader)
		case "oauth2":
			tokens = true
			return m.parseOAuth(v)
		}
		if v.Shape == draft.Empty || v.Shape == draft.Word && (v.Text == "" || v.Text == "false") {
			return nil // what asks for nothing
		}
		return v.Errorf("this is not available; targets are asked directly, with basic_auth, authorization, oauth2 or a certificate")
	})
	if bearer || auth && m.AuthType == "" {
		m.AuthType = "Bearer"
	}
	if bearer && auth {
		err = errors.Join(err, v.Errorf("authorization and bearer_token exclude each other; leave out one"))
	}
	if (bearer || auth) && m.User+m.UserFile != "" {
		err = errors.Join(err, v.Errorf("basic_auth and a token exclude each other; leave out one"))
	}
	if tokens && (bearer || auth || m.User+m.UserFile != "") {
		err = errors.Join(err, v.Errorf("oauth2 and other credentials exclude each other; leave out one"))
	}
	return err
}

func (m *Module) parseOAuth(v draft.Value) error {
	var o oauth.Options
	known := []string{
		"client_id", "client_secret", "client_secret_file", "scopes", "token_url", "endpoint_params", "tls_config", "grant_type",
		"proxy_url", "no_proxy", "proxy_from_environment", "proxy_connect_header", "client_secret_ref", "client_certificate_key_id", "client_certificate_key", "client_certificate_key_file", "client_certificate_key_ref",
		"signature_algorithm", "iss", "audience", "claims",
	}
	err := v.Each(known, func(key string, v draft.Value) error {
		var word string
		switch key {
		case "client_id":
			return v.Word(&o.ClientID)
		case "client_secret":
			return hidden(v, &o.Secret)
		case "client_secret_file":
			return v.Word(&o.SecretFile)
		case "scopes":
			return v.Words(&o.Scopes)
		case "token_url":
			return o.Address(v)
		case "endpoint_params":
			return o.Param(v)
		case "grant_type":
			return v.OneOf(&word, "client_credentials")
		case "tls_config":
			var files HTTP
			err := parseTLS(v, &files)
			o.CA, o.Cert, o.Key, o.ServerName, o.Insecure = files.CA, files.Cert, files.Key, files.ServerName, files.Insecure
			return err
		}
		return v.Errorf("this is not available; the token server is asked directly, with client_id and client_secret")
	})
	if err = errors.Join(err, o.Check(v)); err != nil {
		return err
	}
	if m.Tokens, err = oauth.New(o); err != nil {
		return v.Errorf("%w", err)
	}
	return nil
}

func hidden(v draft.Value, dst *secret.Value) error {
	var text string
	if err := v.Word(&text); err != nil {
		return err
	}
	*dst = secret.New(text)
	return nil
}

func (m *Module) parseBasic(v draft.Value) error {
	return v.Each([]string{"username", "username_file", "password", "password_file"}, func(key string, v draft.Value) error {
		switch key {
		case "username":
			return v.Word(&m.User)
		case "username_file":
			return v.Word(&m.UserFile)
		case "password":
			return hidden(v, &m.Password)
		}
		return v.Word(&m.PassFile)
	})
}

func (m *Module) parseAuthorization(v draft.Value) error {
	return v.Each([]string{"type", "credentials", "credentials_file"}, func(key string, v draft.Value) error {
		switch key {
		case "type":
			return v.Word(&m.AuthType)
		case "credentials":
			return hidden(v, &m.Token)
		}
		return v.Word(&m.TokenFile)
	})
}

func parseTLS(v draft.Value, m *HTTP) error {
	known := []string{"ca_file", "cert_file", "key_file", "server_name", "insecure_skip_verify", "min_version", "max_version", "ca", "cert", "key", "ca_ref", "cert_ref", "key_ref"}
	return v.Each(known, func(key string, v draft.Value) error {
		var word string
		switch key {
		case "ca_file":
			return v.Word(&m.CA)
		case "cert_file":
			return v.Word(&m.Cert)
		case "key_file":
			return v.Word(&m.Key)
		case "server_name":
			return v.Word(&m.ServerName)
		case "insecure_skip_verify":
			return v.Bool(&m.Insecure)
		case "min_version", "max_version": // TLS 1.2 is the least here, and what the target has is the most
			return v.OneOf(&word, "TLS10", "TLS11", "TLS12", "TLS13")
		}
		return v.Errorf("certificates and keys come from files: %s_file", key)
	})
}

// parseHeader reads a header of http_headers: its values, of which there may be one.
func (m *Module) parseHeader(name string, v draft.Value) error {
	return v.Each([]string{"values", "secrets", "files"}, func(key string, v draft.Value) error {
		var list []string
		if err := v.Words(&list); err != nil {
			return err
		}
		if key != "values" || len(list) != 1 {
			return v.Errorf("a header has one value here: values: [text]")
		}
		m.Headers[name] = list[0]
		return nil
	})
}
