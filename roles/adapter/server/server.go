// Package server is what checks of databases have in common: where a server is, as whom it is asked, and a connection that ends with
// its context. Passwords are read at each connection, and are in no error.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/internal/tlsconf"
)

// Options say which server is asked, and as whom.
type Options struct {
	Address      string // HOST:PORT, or the path of a socket
	User         string
	PasswordFile string
	Database     string
	DSNFile      string // a URL that has all of the above and a password

	Secure   bool
	TLS      tlsconf.ClientOptions
	password secret.Value
}

// Keys are the keys that Parse reads.
func Keys() []string {
	return []string{"address", "user", "password-file", "database", "dsn-file", "tls"}
}

// Parse reads those keys. port is the one an address without has. The error has all complaints.
func Parse(v draft.Value, port string) (Options, error) {
	var o Options
	if v.Shape == draft.Word {
		o.Address = v.Text
		err := o.check(v)
		o.Address = withPort(o.Address, port)
		return o, err
	}
	err := v.Each(Keys(), func(key string, v draft.Value) error {
		switch key {
		case "address":
			return v.Word(&o.Address)
		case "user":
			return v.Word(&o.User)
		case "password-file":
			return v.Word(&o.PasswordFile)
		case "database":
			return v.Word(&o.Database)
		case "dsn-file":
			return v.Word(&o.DSNFile)
		}
		o.Secure = true
		return o.setTLS(v)
	})
	if o.DSNFile != "" && (o.Address != "" || o.User != "" || o.PasswordFile != "" || o.Database != "") {
		err = errors.Join(err, v.Errorf("dsn-file has address, user, password and database: give it or them"))
	}
	err = errors.Join(err, o.check(v))
	if o.Address == "" && o.DSNFile == "" {
		err = errors.Join(err, v.Errorf("want address or dsn-file"))
	}
	o.Address = withPort(o.Address, port)
	return o, err
}

// check refuses an address with credentials in it, and forgets it.
func (o *Options) check(v draft.Value) error {
	if !strings.Contains(o.Address, "@") || strings.HasPrefix(o.Address, "@") {
		return nil
	}
	o.Address = ""
	return v.Errorf("address: want HOST:PORT or the path of a socket; user and password-file are keys of their own")
}

func withPort(address, port string) string {
	if address == "" || strings.HasPrefix(address, "/") || strings.HasPrefix(address, "@") {
		return address
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		return net.JoinHostPort(strings.Trim(address, "[]"), port)
	}
	return address
}

func (o *Options) setTLS(v draft.Value) error {
	return v.Each([]string{"ca", "cert", "key", "server-name", "insecure"}, func(key string, v draft.Value) error {
		if key == "insecure" {
			return v.Bool(&o.TLS.Insecure)
		}
		var text string
		err := v.Word(&text)
		switch key {
		case "ca":
			o.TLS.CA = []string{text}
		case "cert":
			o.TLS.Cert = []string{text}
		case "key":
			o.TLS.Key = []string{text}
		default:
			o.TLS.ServerName = text
		}
		return err
	})
}

// Target is the server for people, without secrets.
func (o *Options) Target() string {
	if o.Address == "" {
		return "the server of " + o.DSNFile
	}
	if o.Database != "" {
		return o.Address + "/" + o.Database
	}
	return o.Address
}

// Resolved is o with what its files say. read makes options of the text of a DSN; its error must not quote the text.
func (o *Options) Resolved(read func(dsn string) (Options, secret.Value, error)) (*Options, error) {
	r := *o
	if o.DSNFile == "" {
		if o.PasswordFile == "" {
			return &r, nil
		}
		var err error
		r.password, err = secret.File(o.PasswordFile)
		return &r, err
	}
	text, err := secret.File(o.DSNFile)
	if err != nil {
		return nil, err
	}
	fresh, password, err := read(strings.TrimSpace(text.Reveal()))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.DSNFile, err)
	}
	r.Address, r.User, r.Database, r.password = fresh.Address, fresh.User, fresh.Database, password
	if fresh.Secure {
		r.Secure = true
		r.TLS.Insecure = r.TLS.Insecure || fresh.TLS.Insecure
		if len(r.TLS.CA) == 0 {
			r.TLS.CA = fresh.TLS.CA
		}
	}
	return &r, nil
}

// Password is what the files said.
func (o *Options) Password() string { return o.password.Reveal() }

// ErrDSN is what a DSN gets that cannot be read; it quotes nothing of it.
var ErrDSN = errors.New("the address in it cannot be read")

// ParseURL reads scheme://USER:PASSWORD@HOST:PORT/DATABASE?OPTIONS.
func ParseURL(text, port string) (o Options, password secret.Value, query url.Values, err error) {
	u, err := url.Parse(text)
	if err != nil {
		return o, password, nil, ErrDSN
	}
	word, _ := u.User.Password()
	o.User, o.Database = u.User.Username(), strings.TrimPrefix(u.Path, "/")
	o.Address = withPort(u.Host, port)
	if socket := u.Query().Get("host"); u.Host == "" && socket != "" {
		o.Address = socket
		if filepath.Ext(socket) == "" && !strings.Contains(filepath.Base(socket), ".s.") {
			o.Address = filepath.Join(socket, ".s.PGSQL."+port)
		}
	}
	return o, secret.New(word), u.Query(), nil
}

// Conn is a connection that ends with its context.
type Conn struct {
	net.Conn
	Plain bool // others on the way could read along
	stop  func() bool
}

// Dial connects.
func (o *Options) Dial(ctx context.Context) (*Conn, error) {
	network := "tcp"
	if strings.HasPrefix(o.Address, "/") || strings.HasPrefix(o.Address, "@") {
		network = "unix"
	}
	var d net.Dialer
	raw, err := d.DialContext(ctx, network, o.Address)
	if err != nil {
		return nil, err
	}
	c := &Conn{Conn: raw, Plain: network == "tcp"}
	c.stop = context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })
	return c, nil
}

// Close gives up the connection.
func (c *Conn) Close() error {
	c.stop()
	return c.Conn.Close()
}

// Encrypt speaks TLS from now on.
func (c *Conn) Encrypt(ctx context.Context, o *Options) error {
	conf := o.TLS
	if conf.ServerName == "" {
		host, _, err := net.SplitHostPort(o.Address)
		if err != nil {
			host = "localhost"
		}
		conf.ServerName = host
	}
	client, err := tlsconf.NewClient(conf)
	if err != nil {
		return fmt.Errorf("tls: %w", err)
	}
	t := tls.Client(c.Conn, client.Config())
	if err := t.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("tls: %w", err)
	}
	c.Conn, c.Plain = t, false
	return nil
}

// Reason is err, or why the context ended if that is what it comes from.
func Reason(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
