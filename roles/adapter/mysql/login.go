package mysql

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // the protocol has it
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/roles/adapter/server"
)

const (
	native  = "mysql_native_password"
	caching = "caching_sha2_password"
	clear   = "mysql_clear_password"
)

// greeting is what a server says first.
type greeting struct {
	flags  uint32
	nonce  []byte
	plugin string
}

func parseGreeting(p []byte) (g greeting, err error) {
	if p[0] == 0xff {
		return g, complaint(p)
	}
	if p[0] != 10 {
		return g, fmt.Errorf("protocol %d is not that of MySQL", p[0])
	}
	end := bytes.IndexByte(p, 0)
	if end < 0 || len(p) < end+1+4+8+1+2 {
		return g, errMalformed
	}
	p = p[end+1+4:] // the version, the thread
	g.nonce = append(g.nonce, p[:8]...)
	g.flags = uint32(p[9]) | uint32(p[10])<<8
	p = p[11:]
	g.plugin = native
	if len(p) < 1+2+2+1+10 {
		return g, nil
	}
	g.flags |= uint32(p[3])<<16 | uint32(p[4])<<24
	size := max(13, int(p[5])-8)
	p = p[16:]
	if len(p) < size {
		return g, errMalformed
	}
	g.nonce = append(g.nonce, bytes.TrimRight(p[:size], "\x00")...)
	if p = p[size:]; g.flags&pluginAuth != 0 && len(p) > 0 {
		name, _, _ := bytes.Cut(p, []byte{0})
		g.plugin = string(name)
	}
	return g, nil
}

// login answers the greeting and proves who we are.
func (c *conn) login(ctx context.Context, o *server.Options) error {
	p, err := c.read()
	if err != nil {
		return err
	}
	g, err := parseGreeting(p)
	if err != nil {
		return err
	}
	flags := uint32(longPassword | protocol41 | transactions | secureConn | pluginAuth | lenencAuth)
	if o.Database != "" {
		flags |= connectWithDB
	}
	head := func() []byte {
		b := binary.LittleEndian.AppendUint32(nil, flags)
		b = binary.LittleEndian.AppendUint32(b, 1<<24-1)
		return append(append(b, charsetUTF8MB4), make([]byte, 23)...)
	}
	if o.Secure {
		if g.flags&useTLS == 0 {
			return errors.New("the server does not speak TLS")
		}
		flags |= useTLS
		if err := c.write(head()); err != nil {
			return err
		}
		if err := c.Encrypt(ctx, o); err != nil {
			return err
		}
		c.r.Reset(c.Conn)
	}
	if g.plugin != native && g.plugin != caching {
		g.plugin = native // the server asks for another one if it has to
	}
	proof, err := c.proof(g.plugin, o.Password(), g.nonce)
	if err != nil {
		return err
	}
	b := append(append(head(), o.User...), 0)
	b = append(append(b, byte(len(proof))), proof...)
	if o.Database != "" {
		b = append(append(b, o.Database...), 0)
	}
	b = append(append(b, g.plugin...), 0)
	if err := c.write(b); err != nil {
		return err
	}
	err = c.settle(g, o)
	if refused := (*refusal)(nil); errors.As(err, &refused) && c.Plain && (refused.code == accessDenied && g.flags&useTLS != 0 || refused.code == secureRequired) {
		err = fmt.Errorf("%w; asked without TLS, which the server may require: want tls: {ca: FILE}", err)
	}
	return err
}

// settle goes on until the server has let us in, or not.
func (c *conn) settle(g greeting, o *server.Options) error {
	for range 8 {
		p, err := c.read()
		if err != nil {
			return err
		}
		var answer []byte
		switch {
		case p[0] == 0:
			return nil
		case p[0] == 0xff:
			return complaint(p)
		case p[0] == 0xfe:
			name, nonce, _ := bytes.Cut(p[1:], []byte{0})
			g.plugin, g.nonce = string(name), bytes.TrimRight(nonce, "\x00")
			answer, err = c.proof(g.plugin, o.Password(), g.nonce)
		case p[0] == 1 && len(p) == 2 && p[1] == 3:
			continue // it knows us: OK follows
		case p[0] == 1 && len(p) == 2 && p[1] == 4:
			answer, err = c.whole(o.Password())
		case p[0] == 1 && bytes.HasPrefix(p[1:], []byte("-----BEGIN")):
			answer, err = sealed(p[1:], o.Password(), g.nonce)
		default:
			return errMalformed
		}
		if err != nil {
			return err
		}
		if err := c.write(answer); err != nil {
			return err
		}
	}
	return errors.New("the server asks again and again who we are")
}

// proof is what shows that we know the password, without showing it.
func (c *conn) proof(plugin, password string, nonce []byte) ([]byte, error) {
	switch plugin {
	case native:
		if password == "" {
			return nil, nil
		}
		one := sha1.Sum([]byte(password))                        //nolint:gosec // the protocol has it
		two := sha1.Sum(one[:])                                  //nolint:gosec // the same
		three := sha1.Sum(append(bytes.Clone(nonce), two[:]...)) //nolint:gosec // the same
		return mixed(one[:], three[:]), nil
	case caching:
		if password == "" {
			return nil, nil
		}
		one := sha256.Sum256([]byte(password))
		two := sha256.Sum256(one[:])
		three := sha256.Sum256(append(two[:], nonce...))
		return mixed(one[:], three[:]), nil
	case clear:
		if c.Plain {
			return nil, errors.New("the server wants the password itself: want tls")
		}
		return append([]byte(password), 0), nil
	}
	return nil, fmt.Errorf("the server wants %s: want a user with %s or %s", secret.Printable(plugin), native, caching)
}

func mixed(a, b []byte) []byte {
	out := make([]byte, len(a))
	for i := range a {
		out[i] = a[i] ^ b[i]
	}
	return out
}

// whole is for a server that does not have the password in its cache: over TLS or a socket it gets the password, else it is asked for its key.
func (c *conn) whole(password string) ([]byte, error) {
	if c.Plain {
		return []byte{2}, nil
	}
	return append([]byte(password), 0), nil
}

// sealed is the password for the owner of the key alone.
func sealed(key []byte, password string, nonce []byte) ([]byte, error) {
	block, _ := pem.Decode(key)
	if block == nil {
		return nil, errMalformed
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	public, ok := parsed.(*rsa.PublicKey)
	if err != nil || !ok || len(nonce) == 0 {
		return nil, errMalformed
	}
	plain := append([]byte(password), 0)
	for i := range plain {
		plain[i] ^= nonce[i%len(nonce)]
	}
	return rsa.EncryptOAEP(sha1.New(), rand.Reader, public, plain, nil) //nolint:gosec // the protocol has it
}
