package starttls

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
)

// Codes in the place of a protocol version, and limits of the real server.
const (
	pgSSLRequest = 80877103
	pgGSSRequest = 80877104
	pgCancel     = 80877102

	pgMaxStartup = 10000
	pgMaxMessage = 64 << 10 // of the messages up to the authentication request
)

// postgres takes the client's start-up message, which it may send only once TLS
// and Kerberos were denied to it, then secures the server and passes it on.
func (u *Upgrader) postgres(ctx context.Context, client, server net.Conn) (net.Conn, error) {
	startup, err := readStartup(client)
	if err != nil {
		return nil, clientError(err)
	}
	secured, err := u.securePostgres(ctx, server)
	if err != nil {
		_, _ = client.Write(pgError("08006", "the proxy has no TLS connection with the server: "+err.Error()))
		return nil, err
	}
	if _, err := secured.Write(startup); err != nil {
		return nil, fmt.Errorf("send the start-up message: %w", err)
	}
	if binary.BigEndian.Uint32(startup[4:]) == pgCancel {
		return secured, nil // the server does and says nothing more
	}
	if err := passAuthRequest(client, secured); err != nil {
		return nil, err
	}
	return secured, nil
}

func (u *Upgrader) securePostgres(ctx context.Context, server net.Conn) (net.Conn, error) {
	if err := requestPostgres(server); err != nil {
		return nil, err
	}
	return u.Secure(ctx, server)
}

// readStartup returns the client's start-up message or cancel request.
func readStartup(client net.Conn) ([]byte, error) {
	// A client asks for Kerberos and for TLS at most once each.
	for range 3 {
		var head [8]byte
		if _, err := io.ReadFull(client, head[:]); err != nil {
			return nil, fmt.Errorf("read the start-up message: %w", err)
		}
		size, code := binary.BigEndian.Uint32(head[:]), binary.BigEndian.Uint32(head[4:])
		switch {
		case head[0] == 0x16 && head[1] == 3:
			return nil, errors.New("it speaks TLS to a plain listener")
		case size < 8 || size > pgMaxStartup:
			return nil, fmt.Errorf("a start-up message of %d bytes", size)
		case code == pgSSLRequest || code == pgGSSRequest:
			if size != 8 {
				return nil, fmt.Errorf("a request for encryption of %d bytes", size)
			}
			if _, err := client.Write([]byte{'N'}); err != nil {
				return nil, fmt.Errorf("deny encryption on the local leg: %w", err)
			}
			continue
		}
		startup := make([]byte, size)
		copy(startup, head[:])
		if _, err := io.ReadFull(client, startup[8:]); err != nil {
			return nil, fmt.Errorf("read the start-up message: %w", err)
		}
		return startup, nil
	}
	return nil, errors.New("it goes on asking for encryption")
}

// requestPostgres asks the server for TLS. Exactly one byte is the answer.
func requestPostgres(server net.Conn) error {
	if _, err := server.Write([]byte{0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f}); err != nil {
		return fmt.Errorf("ask for TLS: %w", err)
	}
	var answer [1]byte
	if _, err := io.ReadFull(server, answer[:]); err != nil {
		return fmt.Errorf("ask for TLS: %w", err)
	}
	switch answer[0] {
	case 'S':
		return nothingAhead(server)
	case 'N':
		return fmt.Errorf("%w\nhint: set ssl=on in postgresql.conf", ErrNoTLS)
	case 'E':
		// What follows comes in plain text from whoever sits there; it is not
		// passed on as the word of the server.
		return errors.New("the server answered the request for TLS with an error")
	default:
		return fmt.Errorf("the server answered the request for TLS with 0x%02x; this is not PostgreSQL", answer[0])
	}
}

// passAuthRequest passes the server's messages on up to its request for
// authentication, and takes out of that one what needs TLS on the client's leg:
// channel binding. A client without TLS that is offered it gives up.
func passAuthRequest(client, server net.Conn) error {
	for {
		var head [5]byte
		if _, err := io.ReadFull(server, head[:]); err != nil {
			return fmt.Errorf("read the request for authentication: %w", err)
		}
		size := binary.BigEndian.Uint32(head[1:])
		if size < 4 || size > pgMaxMessage {
			return fmt.Errorf("the server sent a message of %d bytes before authentication", size)
		}
		msg := make([]byte, 1+size)
		copy(msg, head[:])
		if _, err := io.ReadFull(server, msg[5:]); err != nil {
			return fmt.Errorf("read the request for authentication: %w", err)
		}
		if msg[0] == 'R' {
			msg = withoutBinding(msg)
		}
		if _, err := client.Write(msg); err != nil {
			return clientError(fmt.Errorf("pass on the request for authentication: %w", err))
		}
		if msg[0] != 'N' && msg[0] != 'v' { // a notice, a version: more follows
			return nil
		}
	}
}

// withoutBinding removes the mechanisms with channel binding from a request for
// SASL authentication. Others are returned as they are.
func withoutBinding(msg []byte) []byte {
	const sasl = 10
	if len(msg) < 9 || binary.BigEndian.Uint32(msg[5:]) != sasl {
		return msg
	}
	out := append([]byte(nil), msg[:9]...)
	rest := msg[9:]
	for len(rest) > 0 {
		end := bytes.IndexByte(rest, 0)
		if end < 0 {
			return msg // not a list; let the client judge it
		}
		if !bytes.HasSuffix(rest[:end], []byte("-PLUS")) {
			out = append(out, rest[:end+1]...)
		}
		rest = rest[end+1:]
	}
	binary.BigEndian.PutUint32(out[1:], uint32(len(out)-1))
	return out
}

// pgError is an ErrorResponse that ends the session.
func pgError(state, text string) []byte {
	main, hint, _ := bytes.Cut([]byte(text), []byte("\nhint: "))
	b := []byte{'E', 0, 0, 0, 0}
	for _, field := range []struct {
		kind byte
		text string
	}{{'S', "FATAL"}, {'V', "FATAL"}, {'C', state}, {'M', string(main)}, {'H', string(hint)}} {
		if field.text == "" {
			continue
		}
		b = append(b, field.kind)
		b = append(b, bytes.ReplaceAll([]byte(field.text), []byte{0}, nil)...)
		b = append(b, 0)
	}
	b = append(b, 0)
	binary.BigEndian.PutUint32(b[1:], uint32(len(b)-1))
	return b
}
