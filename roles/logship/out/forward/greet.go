package forward

import (
	"crypto/rand"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net"

	"github.com/sidecar-kit/sidecar/roles/logship/out"
)

// greet shakes hands: both sides show that they know the shared key, and we our password where the server asks for one.
func (s *Sink) greet(c net.Conn, address string) error {
	hello, err := unpack(c)
	if err != nil {
		return fmt.Errorf("greeting of %s: %w", address, err)
	}
	list, _ := hello.([]any)
	if len(list) < 2 || list[0] != "HELO" {
		return out.Fail(out.Pause, "greeting of %s: no HELO\nhint: does the server have a shared key?", address)
	}
	options, _ := list[1].(map[string]any)
	nonce, _ := options["nonce"].(string)
	auth, _ := options["auth"].(string)
	shared, err := s.o.Shared.Value()
	if err != nil {
		return &out.Failure{How: out.Pause, Err: err}
	}
	var random [16]byte
	_, _ = rand.Read(random[:])
	salt := hex.EncodeToString(random[:])
	d := appendStr(append([]byte(nil), 0x96), "PING")
	d = appendStr(appendStr(d, s.o.Hostname), salt)
	d = appendStr(d, digest(salt, s.o.Hostname, nonce, shared))
	if auth != "" {
		if !s.o.Password.Set() {
			return out.Fail(out.Pause, "%s asks for a user and a password\nhint: username=NAME and password-file=FILE", address)
		}
		password, err := s.o.Password.Value()
		if err != nil {
			return &out.Failure{How: out.Pause, Err: err}
		}
		d = appendStr(appendStr(d, s.o.User), digest(auth, s.o.User, password))
	} else {
		d = appendStr(appendStr(d, ""), "")
	}
	if _, err := c.Write(d); err != nil {
		return fmt.Errorf("greet %s: %w", address, err)
	}
	answer, err := unpack(c)
	if err != nil {
		return fmt.Errorf("answer of %s to our greeting: %w", address, err)
	}
	return s.pong(answer, address, salt, nonce, shared)
}

func (s *Sink) pong(answer any, address, salt, nonce, shared string) error {
	list, _ := answer.([]any)
	if len(list) < 5 || list[0] != "PONG" {
		return fmt.Errorf("answer of %s to our greeting: no PONG", address)
	}
	if list[1] != true {
		s.o.Shared.Stale()
		s.o.Password.Stale()
		return out.Fail(out.Pause, "%s refuses us: %.200q", address, fmt.Sprint(list[2]))
	}
	host, _ := list[3].(string)
	proof, _ := list[4].(string)
	if subtle.ConstantTimeCompare([]byte(proof), []byte(digest(salt, host, nonce, shared))) != 1 {
		return out.Fail(out.Pause, "%s does not know the shared key", address)
	}
	return nil
}

func digest(parts ...string) string {
	h := sha512.New()
	for _, p := range parts {
		_, _ = h.Write([]byte(p))
	}
	return hex.EncodeToString(h.Sum(nil))
}
