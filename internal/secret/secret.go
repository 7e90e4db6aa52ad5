// Package secret keeps credentials out of logs, errors and pages: a string that
// prints as ***, a URL that hides its userinfo, and a cleaner for text that
// comes from elsewhere. It does not protect memory.
// Used by host, notify, probe and gitsync.
package secret

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// Mask is what is printed instead of a secret.
const Mask = "***"

// fileLimit is far above any key or token; a larger file is a wrong path.
const fileLimit = 1 << 20

// Value is a secret string. Every way of printing it gives the mask; an empty
// one prints as nothing, so that "not set" can be told from "set".
type Value struct{ text string }

// New makes a Value.
func New(text string) Value { return Value{text} }

// Reveal returns the secret itself.
func (v Value) Reveal() string { return v.text }

// Set makes *Value a flag value.
func (v *Value) Set(text string) error {
	v.text = text
	return nil
}

func (v Value) String() string {
	if v.text == "" {
		return ""
	}
	return Mask
}

// Format covers every verb, %x and %#v too.
func (v Value) Format(s fmt.State, _ rune)   { _, _ = io.WriteString(s, v.String()) }
func (v Value) GoString() string             { return v.String() }
func (v Value) MarshalText() ([]byte, error) { return []byte(v.String()), nil }
func (v Value) MarshalJSON() ([]byte, error) { return json.Marshal(v.String()) }

// File reads a secret from a file and drops one newline at its end, which
// editors and `kubectl create secret --from-file` leave there.
func File(path string) (Value, error) {
	f, err := os.Open(path)
	if err != nil {
		return Value{}, fmt.Errorf("read secret: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, fileLimit+1))
	if err != nil {
		return Value{}, fmt.Errorf("read secret: %w", err)
	}
	if len(data) > fileLimit {
		return Value{}, fmt.Errorf("read secret: %s: %w", path, errTooLarge)
	}
	text := strings.TrimSuffix(string(data), "\n")
	return Value{strings.TrimSuffix(text, "\r")}, nil
}

var errTooLarge = errors.New("larger than 1 MiB, is this the right file?")
