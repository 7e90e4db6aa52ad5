package remote

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
)

// advert is how a server introduces itself.
type advert struct {
	version int // 0, 1 or 2
	caps    map[string]string
	refs    []Ref // versions 0 and 1 only: they list everything at once
}

// A server that speaks version 2 has around ten capabilities, GitLab the longest: nothing needs more.
const maxCapabilities = 256

// readAdvert reads what a server says first, over any transport.
func readAdvert(cfg Config, p *packetReader) (*advert, error) {
	kind, line, err := p.line()
	if err == nil && kind == packetData && bytes.HasPrefix(line, []byte("# service=")) {
		if kind, _, err = p.line(); err == nil && kind != packetFlush {
			return nil, fmt.Errorf("%w: no flush after the service line", ErrProtocol)
		}
		kind, line, err = p.line()
	}
	if err != nil {
		return nil, early(err)
	}
	a := &advert{caps: map[string]string{}}
	switch {
	case kind == packetFlush:
		return a, nil // an empty repository, said by an old server
	case kind != packetData:
		return nil, fmt.Errorf("%w: the server's first packet is a mark", ErrProtocol)
	case bytes.HasPrefix(line, []byte("ERR ")):
		return nil, cfg.serverError(string(line[4:]))
	case string(line) == "version 2":
		a.version = 2
		return a, a.readCapabilities(cfg, p)
	case string(line) == "version 1":
		a.version = 1
		if kind, line, err = p.line(); err != nil {
			return nil, early(err)
		}
	}
	return a, a.readRefs(cfg, p, kind, line)
}

func early(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF { //nolint:errorlint // the reader returns these two bare
		return fmt.Errorf("%w: the server closed the connection before it said anything", ErrProtocol)
	}
	return err
}

func (a *advert) readCapabilities(cfg Config, p *packetReader) error {
	for range maxCapabilities {
		kind, line, err := p.line()
		if err != nil {
			return fmt.Errorf("read capabilities: %w", err)
		}
		if kind == packetFlush {
			return a.check()
		}
		if kind != packetData {
			return fmt.Errorf("%w: unexpected mark among the capabilities", ErrProtocol)
		}
		if bytes.HasPrefix(line, []byte("ERR ")) {
			return cfg.serverError(string(line[4:]))
		}
		name, value, _ := strings.Cut(string(line), "=")
		a.caps[name] = value
	}
	return fmt.Errorf("%w: more than %d capabilities", ErrLimit, maxCapabilities)
}

func (a *advert) check() error {
	if f := a.caps["object-format"]; f != "" && f != "sha1" {
		return fmt.Errorf("%w: the repository uses %s object names; only sha1 repositories can be synced: choose another --repo", ErrUnsupported, f)
	}
	if a.version != 2 {
		return nil
	}
	for _, need := range []string{"ls-refs", "fetch"} {
		if _, ok := a.caps[need]; !ok {
			return fmt.Errorf("%w: the server has no %s command", ErrProtocol, need)
		}
	}
	return nil
}

// can tells whether the server's fetch command knows a feature.
func (a *advert) can(feature string) bool {
	if a.version != 2 {
		_, ok := a.caps[feature]
		return ok
	}
	for f := range strings.FieldsSeq(a.caps["fetch"]) {
		if f == feature {
			return true
		}
	}
	return false
}

// readRefs reads the list of a version 0 or 1 server, whose first line was already read.
func (a *advert) readRefs(cfg Config, p *packetReader, kind packetKind, line []byte) error {
	targets := map[string]string{}
	for first := true; ; first = false {
		if kind == packetFlush {
			break
		}
		if kind != packetData {
			return fmt.Errorf("%w: unexpected mark among the refs", ErrProtocol)
		}
		if bytes.HasPrefix(line, []byte("ERR ")) {
			return cfg.serverError(string(line[4:]))
		}
		if first {
			var tail []byte
			line, tail, _ = bytes.Cut(line, []byte{0})
			a.readFeatures(string(tail), targets)
			if err := a.check(); err != nil {
				return err
			}
		}
		if err := a.addRef(cfg, line); err != nil {
			return err
		}
		var err error
		if kind, line, err = p.line(); err != nil {
			return fmt.Errorf("read refs: %w", err)
		}
	}
	for i := range a.refs {
		a.refs[i].Target = targets[a.refs[i].Name]
	}
	return nil
}

func (a *advert) readFeatures(text string, targets map[string]string) {
	for f := range strings.FieldsSeq(text) {
		name, value, _ := strings.Cut(f, "=")
		if name == "symref" {
			from, to, _ := strings.Cut(value, ":")
			targets[from] = to
			continue
		}
		a.caps[name] = value
	}
}

func (a *advert) addRef(cfg Config, line []byte) error {
	if bytes.HasPrefix(line, []byte("shallow ")) {
		return nil // the server's own repository is truncated: no concern of a reader
	}
	oid, name, ok := bytes.Cut(line, []byte{' '})
	if !ok {
		return fmt.Errorf("%w: %q is not a ref line", ErrProtocol, cfg.quote(string(line)))
	}
	h, err := parseHash(oid)
	if err != nil {
		return err
	}
	if base, peeled := bytes.CutSuffix(name, []byte("^{}")); peeled {
		if n := len(a.refs); n > 0 && a.refs[n-1].Name == string(base) {
			a.refs[n-1].Peeled = h
		}
		return nil // also capabilities^{} of an empty repository
	}
	if err := checkRefName(cfg, name); err != nil {
		return err
	}
	if len(a.refs) >= cfg.Limits.Refs {
		return fmt.Errorf("%w: more than %d refs", ErrLimit, cfg.Limits.Refs)
	}
	a.refs = append(a.refs, Ref{Name: string(name), Hash: h})
	return nil
}

func parseHash(b []byte) (Hash, error) {
	var h Hash
	if len(b) == 64 {
		return h, fmt.Errorf("%w: the repository uses sha256 object names; only sha1 repositories can be synced: choose another --repo", ErrUnsupported)
	}
	if len(b) != 40 {
		return h, fmt.Errorf("%w: object name of %d bytes", ErrProtocol, len(b))
	}
	if _, err := hex.Decode(h[:], b); err != nil {
		return h, fmt.Errorf("%w: object name is not hexadecimal", ErrProtocol)
	}
	return h, nil
}

// checkRefName refuses what could not be a ref and might do harm where it is printed or stored.
func checkRefName(cfg Config, name []byte) error {
	for _, c := range name {
		if c <= ' ' || c == 0x7f {
			return fmt.Errorf("%w: ref name %q", ErrProtocol, cfg.quote(string(name)))
		}
	}
	if len(name) == 0 || len(name) > 4096 || bytes.Contains(name, []byte("..")) {
		return fmt.Errorf("%w: ref name %q", ErrProtocol, cfg.quote(string(name)))
	}
	return nil
}
