package postgres

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // the protocol has it
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/sidecar-kit/sidecar/roles/adapter/server"
)

// Kinds of authentication.
const (
	authOK        = 0
	authClear     = 3
	authMD5       = 5
	authSASL      = 10
	authSASLMore  = 11
	authSASLFinal = 12
)

// login says who we are, proves it, and waits until the server is ready for a query.
func (c *conn) login(o *server.Options) error {
	user := o.User
	if user == "" {
		user = "postgres"
	}
	hello := []byte{0, 3, 0, 0}
	for _, p := range [][2]string{{"user", user}, {"database", o.Database}, {"application_name", "sidecar"}, {"client_encoding", "UTF8"}} {
		if p[1] != "" {
			hello = append(append(append(append(hello, p[0]...), 0), p[1]...), 0)
		}
	}
	if err := c.write(0, append(hello, 0)); err != nil {
		return err
	}
	var s scram
	for {
		kind, p, err := c.read()
		if err != nil {
			return err
		}
		switch kind {
		case 'R':
			if err := c.prove(p, user, o.Password(), &s); err != nil {
				return err
			}
		case 'E':
			return c.refused(complaint(p))
		case 'Z':
			return nil
		case 'S', 'K', 'N': // a parameter, a key to cancel by, a notice
		default:
			return errMalformed
		}
	}
}

// refused is err, which says why a server takes us not, with what helps where it is for want of TLS.
func (c *conn) refused(err error) error {
	if text := err.Error(); c.Plain && (strings.Contains(text, "no encryption") || strings.Contains(text, "SSL off")) {
		return fmt.Errorf("%w; asked without TLS: want tls: {ca: FILE}", err)
	}
	return err
}

// prove answers one request of the server for a proof.
func (c *conn) prove(p []byte, user, password string, s *scram) error {
	if len(p) < 4 {
		return errMalformed
	}
	method, data := binary.BigEndian.Uint32(p), p[4:]
	switch method {
	case authOK:
		if s.begun && !s.verified {
			return errors.New("the server did not prove that it knows the password")
		}
		return nil
	case authClear:
		if c.Plain {
			return errors.New("the server wants the password itself: want tls")
		}
		return c.write('p', append([]byte(password), 0))
	case authMD5:
		if len(data) != 4 {
			return errMalformed
		}
		inner := md5.Sum([]byte(password + user))                               //nolint:gosec // the protocol has it
		outer := md5.Sum(append([]byte(hex.EncodeToString(inner[:])), data...)) //nolint:gosec // the same
		return c.write('p', append([]byte("md5"+hex.EncodeToString(outer[:])), 0))
	case authSASL:
		if !bytes.Contains(append([]byte{0}, data...), []byte("\x00SCRAM-SHA-256\x00")) {
			return errors.New("the server wants a way to log in that is not SCRAM-SHA-256")
		}
		first := s.first()
		m := append([]byte("SCRAM-SHA-256"), 0)
		m = binary.BigEndian.AppendUint32(m, uint32(len(first))) //nolint:gosec // a few bytes
		return c.write('p', append(m, first...))
	case authSASLMore:
		final, err := s.final(string(data), password)
		if err != nil {
			return err
		}
		return c.write('p', []byte(final))
	case authSASLFinal:
		return s.verify(string(data))
	}
	return fmt.Errorf("the server wants a way to log in (%d) that is not known here: want scram-sha-256, md5 or trust", method)
}

// scram is SCRAM-SHA-256 (RFC 5802, RFC 7677) without channel binding.
type scram struct {
	begun, verified bool
	nonce, bare     string
	signature       []byte // what the server has to show
}

func (s *scram) first() string {
	s.begun = true
	s.nonce = rand.Text()
	s.bare = "n=,r=" + s.nonce
	return "n,," + s.bare
}

// mostRounds bounds the work that a server can ask for.
const mostRounds = 1_000_000

func (s *scram) final(challenge, password string) (string, error) {
	var nonce, salt string
	rounds := 0
	for _, part := range strings.Split(challenge, ",") {
		key, value, _ := strings.Cut(part, "=")
		switch key {
		case "r":
			nonce = value
		case "s":
			salt = value
		case "i":
			rounds, _ = strconv.Atoi(value)
		}
	}
	seasoning, err := base64.StdEncoding.DecodeString(salt)
	if err != nil || !s.begun || !strings.HasPrefix(nonce, s.nonce) || nonce == s.nonce || len(seasoning) == 0 || rounds < 1 || rounds > mostRounds {
		return "", errMalformed
	}
	salted, err := pbkdf2.Key(sha256.New, password, seasoning, rounds, sha256.Size)
	if err != nil {
		return "", err
	}
	without := "c=biws,r=" + nonce
	message := s.bare + "," + challenge + "," + without
	clientKey := sum(salted, "Client Key")
	stored := sha256.Sum256(clientKey)
	proof := sum(stored[:], message)
	for i := range proof {
		proof[i] ^= clientKey[i]
	}
	s.signature = sum(sum(salted, "Server Key"), message)
	return without + ",p=" + base64.StdEncoding.EncodeToString(proof), nil
}

func sum(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func (s *scram) verify(final string) error {
	value, ok := strings.CutPrefix(final, "v=")
	got, err := base64.StdEncoding.DecodeString(value)
	if !ok || err != nil || s.signature == nil || subtle.ConstantTimeCompare(got, s.signature) != 1 {
		return errors.New("the server does not know the password: somebody else answers in its place")
	}
	s.verified = true
	return nil
}
