package tlsconf

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Ticket keys live as long as tickets may (7 days), and seal for a day.
const (
	rotateEvery = 24 * time.Hour
	keepKeys    = 7
)

// tickets are the keys that this process made, the newest first.
type tickets struct {
	mu   sync.Mutex
	keys [][32]byte
	made time.Time
}

func newTickets() *tickets {
	t := &tickets{}
	t.add()
	return t
}

// add makes a new key.
func (t *tickets) add() {
	t.mu.Lock()
	defer t.mu.Unlock()
	var key [32]byte
	_, _ = rand.Read(key[:]) // it never returns an error
	t.keys = append([][32]byte{key}, t.keys[:min(len(t.keys), keepKeys-1)]...)
	t.made = time.Now()
}

func (t *tickets) all() [][32]byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.keys
}

// due is how long the newest key may still be used to seal.
func (t *tickets) due() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return max(0, rotateEvery-time.Since(t.made))
}

// derive binds keys to what a ticket was given under.
func derive(keys [][32]byte, binding [32]byte) [][32]byte {
	derived := make([][32]byte, len(keys))
	for i, key := range keys {
		mac := hmac.New(sha256.New, key[:])
		mac.Write([]byte("sidecar tls session tickets 1\x00"))
		mac.Write(binding[:])
		mac.Sum(derived[i][:0])
	}
	return derived
}

// readTicketKeys reads keys that replicas share: lines of 32 bytes or more in base64 or hexadecimal, or the 48 or 80 raw bytes of nginx.
// Blank lines and lines that begin with # are left out. Nothing of a line is in an error.
func readTicketKeys(path string, r *reader) ([][32]byte, error) {
	f, err := readFile(path, path)
	r.files = append(r.files, f)
	if err != nil {
		return nil, err
	}
	if len(f.data) == 48 || len(f.data) == 80 {
		return [][32]byte{sha256.Sum256(f.data)}, nil
	}
	var keys [][32]byte
	for n, line := range strings.Split(string(f.data), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		key, ok := decodeKey(line)
		if !ok || len(key) < 32 {
			return nil, fmt.Errorf("%s:%d: not a ticket key: want 32 bytes or more in base64\nhint: make one with openssl rand -base64 32", path, n+1)
		}
		keys = append(keys, sha256.Sum256(key))
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s: no ticket key\nhint: make one with openssl rand -base64 32", path)
	}
	return keys[:min(len(keys), 16)], nil
}

func decodeKey(line string) ([]byte, bool) {
	if key, err := hex.DecodeString(line); err == nil {
		return key, true
	}
	if key, err := base64.StdEncoding.DecodeString(line); err == nil {
		return key, true
	}
	key, err := base64.RawURLEncoding.DecodeString(line)
	return key, err == nil
}
