package kafka

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"hash"
	"strconv"
	"strings"

	"github.com/sidecar-kit/sidecar/roles/logship/out"
)

// login shows a broker who we are.
func (s *Sink) login(ctx context.Context, c *conn) error {
	a, err := c.call(ctx, apiHandshake, verHandshake, str(nil, s.o.Mechanism))
	if err != nil {
		return err
	}
	if code := a.i16(); code != 0 {
		var known []string
		a.each(func() { known = append(known, a.str()) })
		return out.Fail(out.Pause, "%s does not take %s\nhint: it takes %s", c.address, s.o.Mechanism, strings.Join(known, ", "))
	}
	password, err := s.o.Password.Value()
	if err != nil {
		return &out.Failure{How: out.Pause, Err: err}
	}
	if s.o.Mechanism == "PLAIN" {
		_, err := s.authenticate(ctx, c, "\x00"+s.o.User+"\x00"+password)
		return err
	}
	newHash := sha256.New
	if s.o.Mechanism == "SCRAM-SHA-512" {
		newHash = sha512.New
	}
	var random [18]byte
	_, _ = rand.Read(random[:])
	m := &scram{hash: newHash, user: s.o.User, password: password, nonce: base64.RawStdEncoding.EncodeToString(random[:])}
	reply, err := s.authenticate(ctx, c, "n,,"+m.first())
	if err != nil {
		return err
	}
	final, err := m.final(reply)
	if err != nil {
		return out.Fail(out.Pause, "log in to %s: %w", c.address, err)
	}
	if reply, err = s.authenticate(ctx, c, final); err != nil {
		return err
	}
	if !m.proved(reply) {
		return out.Fail(out.Pause, "log in to %s: the broker does not know the password", c.address)
	}
	return nil
}

func (s *Sink) authenticate(ctx context.Context, c *conn, token string) (string, error) {
	a, err := c.call(ctx, apiAuthenticate, verAuthenticate, append(i32(nil, len(token)), token...))
	if err != nil {
		return "", err
	}
	code, text := a.i16(), a.str()
	reply := string(a.bytes())
	if code != 0 {
		s.o.Password.Stale()
		return "", out.Fail(out.Pause, "log in to %s as %s: %s", c.address, s.o.User, s.scrub.Clean(fmt.Sprintf("%s (error %d)", text, code)))
	}
	return reply, a.err
}

// scram is RFC 5802 without channel binding.
type scram struct {
	hash           func() hash.Hash
	user, password string
	nonce          string
	server         []byte // signature that the server has to show
}

func (m *scram) first() string {
	user := strings.NewReplacer("=", "=3D", ",", "=2C").Replace(m.user)
	return "n=" + user + ",r=" + m.nonce
}

func (m *scram) mac(key []byte, text string) []byte {
	h := hmac.New(m.hash, key)
	_, _ = h.Write([]byte(text))
	return h.Sum(nil)
}

func (m *scram) final(challenge string) (string, error) {
	var nonce, salt64 string
	rounds := 0
	for part := range strings.SplitSeq(challenge, ",") {
		name, value, _ := strings.Cut(part, "=")
		switch name {
		case "r":
			nonce = value
		case "s":
			salt64 = value
		case "i":
			rounds, _ = strconv.Atoi(value)
		}
	}
	salt, err := base64.StdEncoding.DecodeString(salt64)
	if err != nil || !strings.HasPrefix(nonce, m.nonce) || len(nonce) == len(m.nonce) || rounds < 4096 || rounds > 1_000_000 || len(salt) == 0 {
		return "", fmt.Errorf("a challenge that is none: %.100q", challenge)
	}
	salted, err := pbkdf2.Key(m.hash, m.password, salt, rounds, m.hash().Size())
	if err != nil {
		return "", err
	}
	client := m.mac(salted, "Client Key")
	stored := m.hash()
	_, _ = stored.Write(client)
	bare := "c=biws,r=" + nonce
	all := m.first() + "," + challenge + "," + bare
	subtle.XORBytes(client, client, m.mac(stored.Sum(nil), all))
	m.server = m.mac(m.mac(salted, "Server Key"), all)
	return bare + ",p=" + base64.StdEncoding.EncodeToString(client), nil
}

func (m *scram) proved(reply string) bool {
	got, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(reply, "v="))
	return err == nil && hmac.Equal(got, m.server)
}
