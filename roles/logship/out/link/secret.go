// Package link makes connections of outputs: dialing with a limit, TLS by files that are followed, and secrets that are read anew
// when their file changes. It knows no protocol.
package link

import (
	"fmt"
	"sync"
	"time"

	"github.com/sidecar-kit/sidecar/internal/secret"
)

// fresh is how long a secret that was read from a file is used before the file is read again.
const fresh = 5 * time.Second

// Secret is a credential: a fixed value (of an environment variable), or a file that may change at any time. The zero value is none.
type Secret struct {
	File  string
	Fixed secret.Value

	scrub *secret.Scrubber
	mu    sync.Mutex
	read  time.Time
	last  secret.Value
}

// Set says whether there is a secret at all.
func (s *Secret) Set() bool { return s != nil && (s.File != "" || s.Fixed.Reveal() != "") }

// Scrub makes the values of s known to a cleaner of texts, as they are read.
func (s *Secret) Scrub(with *secret.Scrubber) {
	if s == nil {
		return
	}
	s.scrub = with
	if s.Fixed.Reveal() != "" {
		with.Add(s.Fixed.Reveal())
	}
}

// Value returns the secret, at most five seconds old. An empty file is an error: it is a secret that is being written.
func (s *Secret) Value() (string, error) {
	if s.File == "" {
		return s.Fixed.Reveal(), nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last.Reveal() != "" && time.Since(s.read) < fresh {
		return s.last.Reveal(), nil
	}
	v, err := secret.File(s.File)
	if err != nil {
		return "", err
	}
	if v.Reveal() == "" {
		return "", fmt.Errorf("read secret: %s is empty", s.File)
	}
	if s.scrub != nil && v != s.last {
		s.scrub.Add(v.Reveal())
	}
	s.last, s.read = v, time.Now()
	return v.Reveal(), nil
}

// Stale makes the next Value read the file: the other side did not like the last one.
func (s *Secret) Stale() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read = time.Time{}
}
