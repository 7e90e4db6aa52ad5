package gitsync

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/sidecar-kit/sidecar/internal/secret"
)

// submoduleURL resolves a submodule's address, which may be relative to its parent's, and refuses what must not be
// followed: a repository's content may not make this process read local files or run other transports.
func submoduleURL(parent, raw string) (string, error) {
	if strings.HasPrefix(raw, "-") || strings.ContainsAny(raw, "\x00\n\r") {
		return "", errors.New("address is not allowed")
	}
	if strings.HasPrefix(raw, "./") || strings.HasPrefix(raw, "../") {
		return joinURL(parent, raw)
	}
	scheme, _, hasScheme := strings.Cut(raw, "://")
	switch {
	case hasScheme && (scheme == "https" || scheme == "http" || scheme == "ssh"):
		return raw, nil
	case !hasScheme && !strings.HasPrefix(raw, "/") && strings.Contains(raw, ":") && !strings.Contains(raw, "::"):
		return raw, nil // user@host:path
	case isLocal(parent) && (strings.HasPrefix(raw, "/") || scheme == "file"):
		return raw, nil // whoever follows a local repository trusts local paths
	}
	return "", fmt.Errorf("address %q is none of https, http and ssh", secret.Redact(raw))
}

func isLocal(raw string) bool {
	return strings.HasPrefix(raw, "/") || strings.HasPrefix(raw, "file://")
}

// joinURL applies leading ../ and ./ to an address, as git does.
func joinURL(base, rel string) (string, error) {
	base = strings.TrimRight(base, "/")
	for {
		switch {
		case strings.HasPrefix(rel, "./"):
			rel = rel[2:]
		case strings.HasPrefix(rel, "../"):
			rel = rel[3:]
			i := strings.LastIndexAny(base, "/:")
			if i <= 0 || strings.HasSuffix(base[:i], "/") || base[i] == ':' && strings.HasPrefix(base[i:], "://") {
				return "", errors.New("address climbs above its server")
			}
			if base[i] == ':' { // host:path: what is left is the host
				return base[:i+1] + rel, nil
			}
			base = base[:i]
		default:
			return base + "/" + rel, nil
		}
	}
}

// modules reads the paths and addresses of a .gitmodules file. Anything it does not understand is left out: a
// submodule without an address is an error where it is needed.
func modules(data []byte) map[string]string {
	out := make(map[string]string)
	var path, addr string
	flush := func() {
		if path != "" && addr != "" {
			out[path] = addr
		}
		path, addr = "", ""
	}
	for line := range bytes.Lines(data) {
		text := strings.TrimSpace(string(line))
		if strings.HasPrefix(text, "[") {
			flush()
			continue
		}
		key, value, ok := strings.Cut(text, "=")
		if !ok {
			continue
		}
		value = strings.Trim(strings.TrimSpace(value), `"`)
		switch strings.ToLower(strings.TrimSpace(key)) {
		case "path":
			path = value
		case "url":
			addr = value
		}
	}
	flush()
	return out
}

// limitWriter keeps what fits into memory for small files such as .gitmodules.
type limitWriter struct {
	bytes.Buffer
	left int
}

func (l *limitWriter) Write(p []byte) (int, error) {
	if l.left -= len(p); l.left < 0 {
		return 0, io.ErrShortBuffer
	}
	return l.Buffer.Write(p)
}
