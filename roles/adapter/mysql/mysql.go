// Package mysql asks a MySQL or MariaDB server one question and gives the answer as JSON. It knows as much of the protocol as that takes:
// three ways to log in, TLS, and text results. The drivers that there are bring a pool, prepared statements and database/sql, 0.4 MB of
// a program that has to be small.
//
// It promises: an answer is bounded; a server that says something else than it should is an error; passwords are in none, and go over
// the network in the clear never.
package mysql

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/roles/adapter/server"
)

const port = "3306"

// Bounds of an answer.
const (
	mostRows  = 10_000
	mostBytes = 1 << 20
)

// Capabilities of the client.
const (
	longPassword   = 1
	connectWithDB  = 8
	protocol41     = 0x200
	useTLS         = 0x800
	transactions   = 0x2000
	secureConn     = 0x8000
	pluginAuth     = 0x80000
	lenencAuth     = 0x200000
	charsetUTF8MB4 = 45
)

// Options say which server is asked, and as whom.
type Options struct{ server.Options }

// Keys are the keys that Parse reads.
func Keys() []string { return server.Keys() }

// Parse reads those keys. The error has all complaints.
func Parse(v draft.Value) (Options, error) {
	o, err := server.Parse(v, port)
	return Options{o}, err
}

// parseDSN reads user:password@tcp(host:port)/database?tls=true, or a URL mysql://.
func parseDSN(text string) (o server.Options, password secret.Value, err error) {
	if strings.HasPrefix(text, "mysql://") || strings.HasPrefix(text, "mariadb://") {
		fresh, word, query, err := server.ParseURL(text, port)
		return withTLS(fresh, query.Get("tls")), word, err
	}
	slash := strings.LastIndexByte(text, '/')
	if slash < 0 {
		return o, password, server.ErrDSN
	}
	front, back := text[:slash], text[slash+1:]
	if at := strings.LastIndexByte(front, '@'); at >= 0 {
		user, word, _ := strings.Cut(front[:at], ":")
		o.User, password, front = user, secret.New(word), front[at+1:]
	}
	network, address, _ := strings.Cut(strings.TrimSuffix(front, ")"), "(")
	switch {
	case network == "unix" && address != "":
		o.Address = address
	case (network == "tcp" || network == "") && address == "":
		o.Address = "127.0.0.1:" + port
	case network == "tcp":
		o.Address = address
		if !strings.Contains(address, ":") {
			o.Address += ":" + port
		}
	default:
		return o, password, server.ErrDSN
	}
	database, options, _ := strings.Cut(back, "?")
	o.Database = database
	mode := ""
	for _, p := range strings.Split(options, "&") {
		if value, ok := strings.CutPrefix(p, "tls="); ok {
			mode = value
		}
	}
	return withTLS(o, mode), password, nil
}

func withTLS(o server.Options, mode string) server.Options {
	o.Secure = mode != "" && mode != "false"
	o.TLS.Insecure = mode == "skip-verify" || mode == "preferred"
	return o
}

// conn is a connection; packets are numbered.
type conn struct {
	*server.Conn
	r    *bufio.Reader
	seq  byte
	left int // bytes that may still be read
}

// Query opens a connection, asks, and closes it. The answer is a JSON list with an object for each row; it is bounded.
func (o *Options) Query(ctx context.Context, query string) ([]byte, error) {
	r, err := o.Resolved(parseDSN)
	if err != nil {
		return nil, err
	}
	raw, err := r.Dial(ctx)
	if err != nil {
		return nil, server.Reason(ctx, err)
	}
	defer func() { _ = raw.Close() }()
	c := &conn{Conn: raw, r: bufio.NewReader(raw), left: mostBytes}
	if err := c.login(ctx, r); err != nil {
		return nil, server.Reason(ctx, err)
	}
	rows, err := c.query(query)
	if err == nil {
		c.seq = 0
		_ = c.write([]byte{1}) // COM_QUIT, so that the server does not count an aborted client
	}
	return rows, server.Reason(ctx, err)
}

// read returns the next packet.
func (c *conn) read() ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return nil, broken(err)
	}
	size := int(head[0]) | int(head[1])<<8 | int(head[2])<<16
	if size == 0 || size == 1<<24-1 || size > c.left {
		return nil, fmt.Errorf("the answer has more than %d bytes, or is none of MySQL", mostBytes)
	}
	if head[3] != c.seq {
		return nil, errors.New("packets are out of order")
	}
	c.seq++
	c.left -= size
	data := make([]byte, size)
	_, err := io.ReadFull(c.r, data)
	return data, broken(err)
}

func broken(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the server closed the connection")
	}
	return err
}

func (c *conn) write(data []byte) error {
	head := []byte{byte(len(data)), byte(len(data) >> 8), byte(len(data) >> 16), c.seq}
	c.seq++
	_, err := c.Write(append(head, data...))
	return err
}

var errMalformed = errors.New("the server's answer cannot be read")

// complaint is the error of a packet that begins with 0xff.
func complaint(p []byte) error {
	if len(p) < 3 {
		return errMalformed
	}
	code, text := int(p[1])|int(p[2])<<8, p[3:]
	if len(text) >= 6 && text[0] == '#' {
		text = text[6:] // the SQL state
	}
	return &refusal{code, secret.Printable(string(text))}
}

// Codes of refusals that may be for want of TLS: MariaDB says of a connection in the clear that access is denied, whatever the password.
const (
	accessDenied   = 1045
	secureRequired = 3159
)

// refusal is an error that the server reports.
type refusal struct {
	code int
	text string
}

// Error implements error.
func (r *refusal) Error() string { return fmt.Sprintf("error %d: %s", r.code, r.text) }
