package starttls

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// mysql passes the greeting on without its offer of TLS, takes the client's
// answer, asks the server for TLS in the client's name, and carries the login
// between two legs whose packets are numbered differently.
func (u *Upgrader) mysql(ctx context.Context, client, server net.Conn) (net.Conn, error) {
	g, err := greet(server)
	if err != nil {
		var refused *refusal
		if errors.As(err, &refused) {
			_, _ = client.Write(refused.packet)
		} else {
			_, _ = client.Write(myError(0, false, noTLS(err)))
		}
		return nil, err
	}
	g.hideTLS()
	if _, err := client.Write(g.packet); err != nil {
		return nil, clientError(fmt.Errorf("pass on the greeting: %w", err))
	}
	response, err := readPacket(client)
	if err == nil {
		err = checkResponse(response)
	}
	if err != nil {
		_, _ = client.Write(myError(2, true, "the proxy refuses this client: "+err.Error()))
		return nil, clientError(err)
	}
	secured, err := u.secureMySQL(ctx, server, response[4:])
	if err != nil {
		_, _ = client.Write(myError(2, true, noTLS(err)))
		return nil, err
	}
	l := login{client: client, server: secured, clientSeq: 1, serverSeq: 1, nonce: g.nonce, key: u.rsaKey}
	if err := l.toServer(withTLS(response)); err != nil {
		return nil, err
	}
	if err := l.run(); err != nil {
		return nil, err
	}
	return secured, nil
}

func noTLS(err error) string {
	return "the proxy has no TLS connection with the server: " + err.Error()
}

// refusal is an ERR packet in the place of the greeting: too many connections,
// a host that is blocked.
type refusal struct{ packet []byte }

func (r *refusal) Error() string { return "the server refuses the connection: " + errorText(r.packet) }

// greet reads the greeting of a server that offers TLS.
func greet(server net.Conn) (greeting, error) {
	packet, err := readPacket(server)
	if err != nil {
		return greeting{}, fmt.Errorf("read the server's greeting: %w", err)
	}
	if isError(packet) {
		return greeting{}, &refusal{packet}
	}
	g, err := parseGreeting(packet)
	if err != nil {
		return greeting{}, err
	}
	if !g.tls() {
		return greeting{}, fmt.Errorf("%w\nhint: give the server a certificate (ssl_cert, ssl_key)", ErrNoTLS)
	}
	return g, nil
}

func (u *Upgrader) secureMySQL(ctx context.Context, server net.Conn, response []byte) (net.Conn, error) {
	if err := nothingAhead(server); err != nil {
		return nil, err
	}
	if _, err := server.Write(sslRequest(response)); err != nil {
		return nil, fmt.Errorf("ask for TLS: %w", err)
	}
	return u.Secure(ctx, server)
}

// requestMySQL asks for TLS without a client.
func requestMySQL(server net.Conn) error {
	if _, err := greet(server); err != nil {
		return err
	}
	if err := nothingAhead(server); err != nil {
		return err
	}
	head := make([]byte, myResponseHead)
	head[0], head[1] = 0, (myProtocol41|mySecureAuth)>>8
	head[7] = 1  // packets of 16 MB at most
	head[8] = 45 // utf8mb4
	_, err := server.Write(sslRequest(head))
	return err
}

// login carries the packets of the login. The request for TLS is a packet that
// the client knows nothing of, so each leg counts for itself.
type login struct {
	client, server net.Conn
	key            func() (*rsaKey, error)

	mu                   sync.Mutex
	clientSeq, serverSeq byte   // the last number on each leg
	nonce                []byte // what a password is mixed with
	full                 bool   // the server wants the password itself
}

func (l *login) toServer(packet []byte) error {
	l.serverSeq++
	packet[3] = l.serverSeq
	if _, err := l.server.Write(packet); err != nil {
		return fmt.Errorf("pass on the login: %w", err)
	}
	return nil
}

func (l *login) toClient(packet []byte) error {
	l.clientSeq++
	packet[3] = l.clientSeq
	if _, err := l.client.Write(packet); err != nil {
		return clientError(fmt.Errorf("pass on the login: %w", err))
	}
	return nil
}

// run carries the login until the server's last word on it, which starts the
// numbers anew. Who speaks next depends on the method of authentication, so
// both legs are read at once.
func (l *login) run() error {
	answers := make(chan error, 1)
	go func() {
		err := l.fromClient()
		if err != nil {
			_ = l.server.SetReadDeadline(time.Unix(1, 0))
		}
		answers <- err
	}()
	last, err := l.fromServer()
	// The client waits for the last word, so that nothing of what it sends is
	// taken here that belongs to the time after.
	_ = l.client.SetReadDeadline(time.Unix(1, 0))
	if clientErr := <-answers; clientErr != nil {
		return clientErr
	}
	if err != nil {
		_, _ = l.client.Write(myError(l.clientSeq+1, true, "the proxy lost the server during the login: "+err.Error()))
		return err
	}
	_ = l.client.SetReadDeadline(time.Time{})
	return l.toClient(last)
}

// fromServer passes packets on and returns the one that ends the login.
func (l *login) fromServer() ([]byte, error) {
	for {
		packet, err := readPacket(l.server)
		if err != nil {
			return nil, fmt.Errorf("read the server's answer to the login: %w", err)
		}
		l.mu.Lock()
		l.serverSeq++
		err = inOrder(packet, l.serverSeq)
		if err != nil || isOK(packet) || isError(packet) {
			l.mu.Unlock()
			return packet, err
		}
		l.note(packet[4:])
		err = l.toClient(packet)
		l.mu.Unlock()
		if err != nil {
			return nil, err
		}
	}
}

// note remembers what a password will be mixed with, and when it is asked for.
func (l *login) note(p []byte) {
	const switchRequest, moreData, fullAuth = 0xfe, 1, 4
	l.full = len(p) == 2 && p[0] == moreData && p[1] == fullAuth && len(l.nonce) > 0
	if len(p) < 2 || p[0] != switchRequest {
		return
	}
	l.nonce = nil
	plugin, data, _ := bytes.Cut(p[1:], []byte{0})
	if string(plugin) == "caching_sha2_password" && len(data) >= 20 {
		l.nonce = append([]byte(nil), data[:20]...)
	}
}

// fromClient passes packets on until run moves the deadline.
func (l *login) fromClient() error {
	for {
		packet, err := readPacket(l.client)
		if errors.Is(err, os.ErrDeadlineExceeded) && packet == nil {
			return nil
		}
		if err != nil {
			return clientError(fmt.Errorf("read its login: %w", err))
		}
		l.mu.Lock()
		l.clientSeq++
		if err := inOrder(packet, l.clientSeq); err != nil {
			l.mu.Unlock()
			return clientError(err)
		}
		if l.full && len(packet) == 5 && packet[4] == 2 {
			packet, err = l.password()
		}
		if err == nil {
			err = l.toServer(packet)
		}
		l.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// inOrder refuses packets out of order: whoever counts wrongly here has lost
// track of who speaks.
func inOrder(packet []byte, want byte) error {
	if packet[3] != want {
		return fmt.Errorf("a packet with number %d instead of %d", packet[3], want)
	}
	return nil
}
