package secret

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Scrubber removes known secrets from text that others wrote, such as the
// answer of a server or the output of a command. The zero value works.
type Scrubber struct {
	mu     sync.RWMutex
	values []string
}

// Add makes values known, together with their forms in URLs and in base64.
func (s *Scrubber) Add(values ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range values {
		for _, form := range []string{
			v, url.QueryEscape(v), url.PathEscape(v), base64.StdEncoding.EncodeToString([]byte(v)),
		} {
			if form != "" && !slices.Contains(s.values, form) {
				s.values = append(s.values, form)
			}
		}
	}
	// The longest first: a secret may contain another one.
	slices.SortFunc(s.values, func(a, b string) int { return len(b) - len(a) })
}

// Clean masks every known secret and the userinfo of addresses, and makes
// control bytes visible, so that the text can not forge log lines or move a
// terminal's cursor. Newlines become "; ".
func (s *Scrubber) Clean(text string) string {
	if s != nil {
		s.mu.RLock()
		for _, v := range s.values {
			text = strings.ReplaceAll(text, v, Mask)
		}
		s.mu.RUnlock()
	}
	return Printable(Redact(text))
}

// Printable makes control bytes and invalid UTF-8 visible; newlines become "; ".
func Printable(text string) string {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
	var b strings.Builder
	for i, r := range text {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD"):
			fmt.Fprintf(&b, "\\x%02x", text[i])
		case r == '\t':
			b.WriteByte(' ')
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r):
			fmt.Fprintf(&b, "\\u%04x", r)
		default:
			b.WriteRune(r)
		}
	}
	return strings.TrimSpace(b.String())
}
