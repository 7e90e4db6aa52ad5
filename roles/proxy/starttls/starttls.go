// Package starttls brings TLS to the connection with a database whose protocol
// starts in plain text and turns to TLS by a message of its own, while the
// client goes on in plain text and knows nothing of it.
//
// Upgrade runs before the bytes are relayed. When it returns, the client has
// been told nothing that is not true of its own leg, the database has been
// reached by TLS or not at all, and every byte from there on can be passed on
// untouched. When the database cannot be reached by TLS, the client gets an
// error in its own protocol, so that its user sees the reason.
package starttls

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// The protocols.
const (
	Postgres = "postgres"
	MySQL    = "mysql" // MariaDB, too
)

var (
	// ErrNoTLS means that the server was asked and does not offer TLS.
	ErrNoTLS = errors.New("the server does not offer TLS")
	// ErrClient means that the client, not the server, is to blame.
	ErrClient = errors.New("client")
	// errInjected is the class of CVE-2021-23222: bytes that somebody on the way
	// put behind the plain answer, to be taken for what came by TLS.
	errInjected = errors.New("the server sent bytes ahead of TLS; somebody may be changing them on the way")
)

// Secure turns the connection into a TLS one and does the handshake.
type Secure func(ctx context.Context, c net.Conn) (net.Conn, error)

// Upgrader upgrades the connections with one server. The zero value and a
// Protocol are ready to use; it must not be copied.
type Upgrader struct {
	Protocol string
	Secure   Secure

	key     sync.Mutex // a key is made once, when the first client asks
	private *rsa.PrivateKey
}

// Upgrade lets the client start its session and turns the connection with the
// server to TLS on the way. It returns the connection to relay with. Both
// connections are used up to the moment where bytes can pass untouched; when
// ctx ends before, their deadlines have passed. On an error the client has been
// told; both stay open for the caller to close.
func (u *Upgrader) Upgrade(ctx context.Context, client, server net.Conn) (net.Conn, error) {
	stop := limit(ctx, client, server)
	var secured net.Conn
	var err error
	switch u.Protocol {
	case Postgres:
		secured, err = u.postgres(ctx, client, server)
	case MySQL:
		secured, err = u.mysql(ctx, client, server)
	default:
		err = fmt.Errorf("unknown protocol %q", u.Protocol)
	}
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, err
	}
	return secured, nil
}

// Refuse tells a client, in its protocol, that there is no connection with the
// server. The client stays open for the caller to close.
func (u *Upgrader) Refuse(ctx context.Context, client net.Conn, why error) {
	defer limit(ctx, client)()
	text := "the proxy cannot reach the server: " + why.Error()
	switch u.Protocol {
	case Postgres: // which may ask for TLS first, and takes an error for an old server's then
		if _, err := readStartup(client); err == nil {
			_, _ = client.Write(pgError("08001", text))
		}
	case MySQL:
		_, _ = client.Write(myError(0, false, text))
	}
}

// Probe asks the server for TLS without a client and closes the connection.
func (u *Upgrader) Probe(ctx context.Context, server net.Conn) error {
	stop := limit(ctx, server)
	defer server.Close()
	defer stop()
	var err error
	switch u.Protocol {
	case Postgres:
		err = requestPostgres(server)
	case MySQL:
		err = requestMySQL(server)
	default:
		err = fmt.Errorf("unknown protocol %q", u.Protocol)
	}
	if err != nil {
		return err
	}
	secured, err := u.Secure(ctx, server)
	if err != nil {
		return err
	}
	return secured.Close()
}

// limit makes the connections follow ctx until stop is called, which is false
// when ctx ended first.
func limit(ctx context.Context, conns ...net.Conn) (stop func() bool) {
	done := make(chan struct{})
	off := context.AfterFunc(ctx, func() {
		defer close(done)
		for _, c := range conns {
			_ = c.SetDeadline(time.Unix(1, 0))
		}
	})
	return func() bool {
		if off() {
			return true
		}
		<-done
		return false
	}
}

// clientError marks err as the client's.
func clientError(err error) error { return fmt.Errorf("%w: %w", ErrClient, err) }
