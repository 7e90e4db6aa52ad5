package web

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"io"
	"log"
	"maps"
	"net/http"
	"net/netip"
	"strings"
	"sync"

	"golang.org/x/crypto/bcrypt"

	"github.com/sidecar-kit/sidecar/internal/secret"
)

type trustedKey struct{}

// Trusted says whether a request may see details: it comes from the same pod, or showed credentials.
func Trusted(r *http.Request) bool {
	if ok, _ := r.Context().Value(trustedKey{}).(bool); ok {
		return true
	}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		return true
	}
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	return err != nil || at.Addr().Unmap().IsLoopback()
}

// trust marks a request that showed credentials.
func trust(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), trustedKey{}, true))
}

// nobody is the hash that the passwords of unknown users are compared with, so that they take as long as others. Nobody knows its password.
const nobody = "$2y$10$2T4U3l.foVluY1eetvGg0OYiSWO8ikD/Md0KVf4nM.U5ThKRIeDua"

// admit answers a request that may not come in and returns nil; else it returns the request, marked if it showed credentials.
func (c *Config) admit(w http.ResponseWriter, r *http.Request) *http.Request {
	for name, value := range c.Headers {
		w.Header().Set(name, value)
	}
	if !c.allowed(r.RemoteAddr) {
		http.Error(w, "forbidden: this address is not in allowed_ips", http.StatusForbidden)
		return nil
	}
	if len(c.Users) == 0 && len(c.TokenFiles) == 0 {
		return r
	}
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") && c.token(token) {
		return trust(r)
	}
	if user, password, ok := r.BasicAuth(); ok && c.user(user, password) {
		return trust(r)
	}
	if len(c.Users) > 0 {
		w.Header().Set("WWW-Authenticate", "Basic")
	} else {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	http.Error(w, "unauthorized", http.StatusUnauthorized)
	return nil
}

// allowed looks at the address of a TCP connection; a unix socket has its own permissions.
func (c *Config) allowed(remote string) bool {
	if len(c.Allow) == 0 {
		return true
	}
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return remote == "" || strings.HasPrefix(remote, "@") || strings.HasPrefix(remote, "/")
	}
	for _, p := range c.Allow {
		if p.Contains(at.Addr().Unmap().WithZone("")) {
			return true
		}
	}
	return false
}

// token reads the files each time: they are small, and a token that was taken back is not let in any more.
func (c *Config) token(given string) bool {
	found := 0
	for _, path := range c.TokenFiles {
		want, err := secret.File(path)
		if err != nil || want.Reveal() == "" {
			continue
		}
		a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(want.Reveal()))
		found |= subtle.ConstantTimeCompare(a[:], b[:])
	}
	return found == 1
}

func (c *Config) user(name, password string) bool {
	hash, known := c.Users[name]
	if !known {
		hash = nobody
	}
	ok := c.seen.check(hash, name, password)
	return ok && known
}

// verified remembers what was compared: bcrypt takes 50 ms on purpose, a scraper comes every few seconds with the same password.
type verified struct {
	turn  sync.Mutex // one comparison at a time: strangers must not take all processors
	mu    sync.Mutex
	known map[[sha256.Size]byte]bool
}

const mostVerified = 100

func newVerified() *verified { return &verified{known: map[[sha256.Size]byte]bool{}} }

func (v *verified) check(hash, user, password string) bool {
	key := sha256.Sum256([]byte(hash + "\x00" + user + "\x00" + password))
	if ok, is := v.look(key); is {
		return ok
	}
	v.turn.Lock()
	defer v.turn.Unlock()
	if ok, is := v.look(key); is {
		return ok
	}
	ok := bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.known) >= mostVerified {
		// Strangers who guess must not make who knows a password wait behind them for a comparison.
		maps.DeleteFunc(v.known, func(_ [sha256.Size]byte, ok bool) bool { return !ok })
	}
	if len(v.known) >= mostVerified {
		clear(v.known)
	}
	v.known[key] = ok
	return ok
}

func (v *verified) look(key [sha256.Size]byte) (ok, is bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	ok, is = v.known[key]
	return ok, is
}

// quiet silences net/http, which logs what strangers send.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
