package remote

import (
	"errors"
	"fmt"
	"net"
	"slices"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// hostTrust decides whether a server's host key is the right one.
type hostTrust struct {
	cfg        Config
	known      ssh.HostKeyCallback // nil trusts everyone
	algorithms []string            // nil leaves the library's order
	refused    error               // why check said no, for a clearer error than the handshake's
}

// newHostTrust reads the known hosts for each connection and fails closed when it cannot.
func newHostTrust(cfg Config, addr string) (*hostTrust, error) {
	t := &hostTrust{cfg: cfg}
	if !cfg.SSHKnownHosts {
		return t, nil
	}
	known, err := knownhosts.New(cfg.SSHKnownHostsFile)
	if err != nil {
		return nil, fmt.Errorf("--ssh-known-hosts-file: %w: %w; write the server's key into it (ssh-keyscan prints it)", ErrHostKey, err)
	}
	t.known = known
	t.algorithms = preferKnown(known, addr)
	return t, nil
}

// preferKnown puts the key types the file lists for the host first. A server has several keys; with another
// order it would show one that the file does not list, which looks like an attack.
func preferKnown(known ssh.HostKeyCallback, addr string) []string {
	var unknown *knownhosts.KeyError
	if err := known(addr, &net.TCPAddr{IP: net.IPv4zero}, noKey{}); !errors.As(err, &unknown) || len(unknown.Want) == 0 {
		return nil
	}
	var order []string
	for _, k := range unknown.Want {
		switch t := k.Key.Type(); t {
		case ssh.KeyAlgoRSA:
			order = append(order, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
		default:
			order = append(order, t)
		}
	}
	for _, a := range ssh.SupportedAlgorithms().HostKeys {
		if !slices.Contains(order, a) {
			order = append(order, a)
		}
	}
	return order
}

// noKey is a key no file lists; asking for it reveals what is listed.
type noKey struct{}

func (noKey) Type() string                        { return "none" }
func (noKey) Marshal() []byte                     { return nil }
func (noKey) Verify([]byte, *ssh.Signature) error { return errors.New("not a key") }

func (t *hostTrust) check(addr string, remote net.Addr, key ssh.PublicKey) error {
	if t.known == nil {
		return nil
	}
	err := t.known(addr, remote, key)
	if err == nil {
		return nil
	}
	host := knownhosts.Normalize(addr)
	print := key.Type() + " " + ssh.FingerprintSHA256(key)
	var unknown *knownhosts.KeyError
	var revoked *knownhosts.RevokedError
	switch {
	case errors.As(err, &revoked):
		t.refused = fmt.Errorf("%w: the key of %s (%s) is marked as revoked in --ssh-known-hosts-file %s", ErrHostKey, host, print, t.cfg.SSHKnownHostsFile)
	case errors.As(err, &unknown) && len(unknown.Want) == 0:
		t.refused = fmt.Errorf("%w: %s is not in --ssh-known-hosts-file %s; it shows %s: compare it with what its owner publishes, then add it (ssh-keyscan prints the line)",
			ErrHostKey, host, t.cfg.SSHKnownHostsFile, print)
	case errors.As(err, &unknown):
		w := unknown.Want[0]
		t.refused = fmt.Errorf("%w: %s shows %s, but --ssh-known-hosts-file lists another key for it (%s:%d): either the server got a new key or someone is in between",
			ErrHostKey, host, print, w.Filename, w.Line)
	default:
		t.refused = fmt.Errorf("%w: %s with %s: %w", ErrHostKey, host, print, err)
	}
	return t.refused
}
