package starttls

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" // of the protocol, not our choice
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// rsaKey is a key for passwords of clients, and its public half as PEM.
type rsaKey struct {
	private *rsa.PrivateKey
	public  []byte
}

// rsaKey makes the key once. Only clients of MySQL accounts whose password the
// server has not cached need it.
func (u *Upgrader) rsaKey() (*rsaKey, error) {
	u.key.Lock()
	defer u.key.Unlock()
	if u.private == nil {
		private, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return nil, fmt.Errorf("make a key for passwords: %w", err)
		}
		u.private = private
	}
	der, err := x509.MarshalPKIXPublicKey(&u.private.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("make a key for passwords: %w", err)
	}
	return &rsaKey{u.private, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})}, nil
}

// password answers a client that asks for the server's public key, because its
// own leg has no TLS. The server, which sees TLS, would take the question for
// the password: it wants the password as it is. So the client gets a key of
// ours, and the server what the client encrypted. The caller holds mu.
func (l *login) password() ([]byte, error) {
	key, err := l.key()
	if err != nil {
		return nil, err
	}
	if err := l.toClient(newPacket(0, append([]byte{1}, key.public...))); err != nil {
		return nil, err
	}
	packet, err := readPacket(l.client)
	if err != nil {
		return nil, clientError(fmt.Errorf("read its password: %w", err))
	}
	l.clientSeq++
	if err := inOrder(packet, l.clientSeq); err != nil {
		return nil, clientError(err)
	}
	clear, err := rsa.DecryptOAEP(sha1.New(), nil, key.private, packet[4:], nil)
	if err != nil || len(clear) == 0 {
		return nil, clientError(errors.New("it did not encrypt its password with the key it asked for"))
	}
	for i := range clear {
		clear[i] ^= l.nonce[i%len(l.nonce)]
	}
	return newPacket(0, clear), nil
}
