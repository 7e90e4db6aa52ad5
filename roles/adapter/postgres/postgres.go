// Package postgres asks a PostgreSQL server one question and gives the answer as JSON. It knows as much of the protocol as that takes: the
// ways to log in, TLS, and text results. The driver that there is would be 1.7 MB of a program that has to be small.
//
// It promises: an answer is bounded; a server that says something else than it should is an error; passwords are in none.
package postgres

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/roles/adapter/server"
)

const port = "5432"

// Bounds of an answer.
const (
	mostRows  = 10_000
	mostBytes = 1 << 20
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

// parseDSN reads postgres://user:password@host:port/database?sslmode=require, or host=... user=... password=...
func parseDSN(text string) (o server.Options, password secret.Value, err error) {
	if strings.HasPrefix(text, "postgres://") || strings.HasPrefix(text, "postgresql://") {
		fresh, word, query, err := server.ParseURL(text, port)
		return withTLS(fresh, query.Get("sslmode"), query.Get("sslrootcert")), word, err
	}
	words, err := keywords(text)
	if err != nil {
		return o, password, err
	}
	host, at := words["host"], words["port"]
	if at == "" {
		at = port
	}
	switch {
	case host == "":
		host = "127.0.0.1"
		fallthrough
	default:
		o.Address = net.JoinHostPort(host, at)
	case strings.HasPrefix(host, "/"):
		o.Address = host + "/.s.PGSQL." + at
	}
	o.User, o.Database = words["user"], words["dbname"]
	return withTLS(o, words["sslmode"], words["sslrootcert"]), secret.New(words["password"]), nil
}

func withTLS(o server.Options, mode, ca string) server.Options {
	o.Secure = mode == "require" || mode == "verify-ca" || mode == "verify-full"
	o.TLS.Insecure = mode == "require" && ca == ""
	o.TLS.SkipName = mode == "verify-ca"
	if ca != "" {
		o.TLS.CA = []string{ca}
	}
	return o
}

// keywords reads key=value pairs; a value may stand in quotes, with \ before a quote or a backslash.
func keywords(text string) (map[string]string, error) {
	m := map[string]string{}
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		key, rest, ok := strings.Cut(text, "=")
		if !ok {
			return nil, server.ErrDSN
		}
		var value strings.Builder
		rest = strings.TrimLeft(rest, " ")
		quoted := strings.HasPrefix(rest, "'")
		if quoted {
			rest = rest[1:]
		}
		i, closed := 0, !quoted
	loop:
		for ; i < len(rest); i++ {
			switch b := rest[i]; {
			case b == '\\' && i+1 < len(rest):
				i++
				value.WriteByte(rest[i])
			case quoted && b == '\'':
				closed = true
				i++
				break loop
			case !quoted && b == ' ':
				break loop
			default:
				value.WriteByte(b)
			}
		}
		if !closed {
			return nil, server.ErrDSN
		}
		m[strings.TrimSpace(key)] = value.String()
		text = rest[i:]
	}
	return m, nil
}

// conn is a connection.
type conn struct {
	*server.Conn
	r    *bufio.Reader
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
	c := &conn{Conn: raw, left: mostBytes}
	if r.Secure {
		if err := c.encrypt(ctx, r); err != nil {
			return nil, server.Reason(ctx, err)
		}
	}
	c.r = bufio.NewReader(c.Conn)
	if err := c.login(r); err != nil {
		return nil, server.Reason(ctx, err)
	}
	rows, err := c.query(query)
	_ = c.write('X', nil)
	return rows, server.Reason(ctx, err)
}

// encrypt asks whether the server speaks TLS, and does.
func (c *conn) encrypt(ctx context.Context, o *server.Options) error {
	if _, err := c.Write([]byte{0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f}); err != nil {
		return err
	}
	var answer [1]byte // exactly one byte: what follows has to be TLS
	if _, err := io.ReadFull(c.Conn, answer[:]); err != nil {
		return broken(err)
	}
	if answer[0] != 'S' {
		return errors.New("the server does not speak TLS")
	}
	return c.Encrypt(ctx, o)
}

// read returns the kind of the next message and what is in it.
func (c *conn) read() (byte, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return 0, nil, broken(err)
	}
	size := int(binary.BigEndian.Uint32(head[1:])) - 4
	if size < 0 || size > c.left {
		return 0, nil, fmt.Errorf("the answer has more than %d bytes, or is none of PostgreSQL", mostBytes)
	}
	c.left -= size
	data := make([]byte, size)
	_, err := io.ReadFull(c.r, data)
	return head[0], data, broken(err)
}

func broken(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the server closed the connection")
	}
	return err
}

func (c *conn) write(kind byte, data []byte) error {
	var b []byte
	if kind != 0 {
		b = append(b, kind)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(data)+4)) //nolint:gosec // a query of the configuration
	_, err := c.Write(append(b, data...))
	return err
}

var errMalformed = errors.New("the server's answer cannot be read")

// complaint is the error of an ErrorResponse: fields of a letter and a string.
func complaint(p []byte) error {
	code, text := "", ""
	for len(p) > 1 {
		value, rest, ok := bytes.Cut(p[1:], []byte{0})
		if !ok {
			return errMalformed
		}
		switch p[0] {
		case 'C':
			code = string(value)
		case 'M':
			text = string(value)
		}
		p = rest
	}
	return fmt.Errorf("error %s: %s", secret.Printable(code), secret.Printable(text))
}
