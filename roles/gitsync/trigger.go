package gitsync

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/internal/secret"
)

const (
	// maxPush bounds the body of a push webhook, in bytes; GitHub sends at most 25 MiB.
	maxPush = 26 << 20
	// triggerEvery is the shortest time between two triggers that are passed on.
	triggerEvery = time.Second
)

// newTrigger answers the push webhooks of GitHub, Gitea, Forgejo and Bitbucket (HMAC of the body) and of GitLab (a token). What
// the body says is not believed: it only makes us ask the repository at once.
func newTrigger(secretFile string, wake chan<- struct{}, log zerolog.Logger) http.Handler {
	calm := &calm{wake: wake}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key, err := secret.File(secretFile)
		if err != nil {
			log.Warn().AnErr("err", err).Msg("--trigger-secret-file cannot be read; the push webhook is refused")
			http.Error(w, "not available", http.StatusServiceUnavailable)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPush))
		if err != nil {
			http.Error(w, "body too large", http.StatusRequestEntityTooLarge)
			return
		}
		if !authentic(r.Header, body, key.Reveal()) {
			log.Warn().Msg("a push webhook without the right signature was refused")
			http.Error(w, "signature does not fit", http.StatusForbidden)
			return
		}
		calm.pass()
		w.WriteHeader(http.StatusAccepted)
	})
}

// calm passes triggers on, at most one per triggerEvery. One that comes too early is passed on later, not dropped: the
// push it tells of may have come after the look that the one before caused.
type calm struct {
	wake chan<- struct{}

	mu      sync.Mutex
	last    time.Time
	pending bool
}

func (c *calm) pass() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending {
		return
	}
	if early := triggerEvery - time.Since(c.last); early > 0 {
		c.pending = true
		time.AfterFunc(early, c.now)
		return
	}
	c.send()
}

func (c *calm) now() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending = false
	c.send()
}

func (c *calm) send() {
	c.last = time.Now()
	select {
	case c.wake <- struct{}{}:
	default: // one waits already
	}
}

// authentic compares in constant time.
func authentic(h http.Header, body []byte, key string) bool {
	if key == "" {
		return false
	}
	if token := h.Get("X-Gitlab-Token"); token != "" {
		return hmac.Equal([]byte(token), []byte(key))
	}
	for _, name := range []string{"X-Hub-Signature-256", "X-Gitea-Signature", "X-Forgejo-Signature", "X-Hub-Signature"} {
		got := h.Get(name)
		if got == "" {
			continue
		}
		sum, err := hex.DecodeString(strings.TrimPrefix(got, "sha256="))
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write(body)
		return err == nil && hmac.Equal(sum, mac.Sum(nil))
	}
	return false
}
