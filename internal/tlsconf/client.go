package tlsconf

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sidecar-kit/sidecar/internal/watch"
)

// ClientOptions say whom a connection to a backend trusts, and who it says it is.
type ClientOptions struct {
	CA         []string // files or folders of CA certificates; none: those of the system
	Cert, Key  []string // files or folders of the client certificate; the first one with a key is sent to whoever asks
	ServerName string   // what the backend's certificate must be for, a DNS name or an IP address, and the SNI; needed unless the check is off

	Pins     []string // SHA-256 of public keys (SubjectPublicKeyInfo) in base64, "sha256/" in front or not; one of the verified chain must be among them
	PinsOnly bool     // the backend's own key is pinned, and nothing else is checked: no CA, no name, no date
	Insecure bool     // nothing is checked at all
	SkipName bool     // the chain is checked, and not whom it is for: databases have certificates in the name of an instance

	ALPN     []string // "h2", "http/1.1"
	Only13   bool
	Sessions int // TLS sessions that are kept for resumption, of all backends; 0 means 64, less than 0 none

	Events Events
}

// Client is the TLS side of connections to backends.
type Client struct {
	opts  ClientOptions
	state atomic.Pointer[clientState]
	files *follower
}

type clientState struct {
	config   *tls.Config
	infos    []CertInfo
	cas      []authority
	cert     *pair // nil: none
	warnings []string
	sum      [32]byte // of all that was read
}

// NewClient reads the files. The error has all complaints.
func NewClient(o ClientOptions) (*Client, error) {
	c := &Client{opts: o}
	c.files = newFollower(watch.New(slices.Concat(o.CA, o.Cert, o.Key), watch.Options{}), o.Events, c.reload)
	state, err := o.load(time.Now())
	if err != nil {
		return nil, err
	}
	c.state.Store(state)
	return c, nil
}

// CheckClient returns all that is wrong, also what NewClient takes: a client certificate or a CA that time has passed by.
func CheckClient(o ClientOptions, now time.Time) (errs []error, warnings []string) {
	state, err := o.load(now)
	if err != nil {
		return split(err), nil
	}
	return state.dated(now), state.warnings
}

// Config returns the current configuration; ask for it at every dial, and change nothing in it. It is the same one, with its kept sessions,
// until a file has other content.
func (c *Client) Config() *tls.Config { return c.state.Load().config }

// Certificates lists what is in use: our own certificate, then the CA certificates, but those of the system.
func (c *Client) Certificates() []CertInfo { return c.state.Load().infos }

// Warnings lists what is used although it is not right.
func (c *Client) Warnings() []string {
	state := c.state.Load()
	warnings := slices.Clone(state.warnings)
	for _, err := range state.dated(time.Now()) {
		warnings = append(warnings, err.Error())
	}
	return warnings
}

// Run follows the files until ctx ends. It returns nil. It may be called once.
func (c *Client) Run(ctx context.Context) error { return c.files.run(ctx, c.Warnings, nil, nil) }

func (c *Client) reload() (bool, error) {
	state, err := c.opts.load(time.Now())
	if err != nil || state.sum == c.state.Load().sum {
		return false, err
	}
	c.state.Store(state)
	return true, nil
}

func (o ClientOptions) load(now time.Time) (*clientState, error) {
	state, r := &clientState{}, &reader{}
	pins, errs := o.pins()
	errs = append(errs, o.contradictions()...)
	if len(o.CA) > 0 {
		files, err := r.read(o.CA, caSuffixes()...)
		if err == nil {
			state.cas, err = readCAs(files)
		}
		errs = append(errs, err)
	}
	if len(o.Cert) > 0 {
		errs = append(errs, state.loadCert(o, r))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	state.sum = r.sum()
	state.config = o.newConfig(state, pins)
	if state.cert != nil {
		state.infos = append(state.infos, describe("client", state.cert.cert.Leaf, state.cert.file, state.cert.keyFile, now))
	}
	for _, ca := range state.cas {
		state.infos = append(state.infos, describe("ca", ca.cert, ca.file, "", now))
	}
	if o.Insecure {
		state.warnings = append(state.warnings, fmt.Sprintf("the certificate of %s is not checked: anybody on the way can read and change everything", short(o.ServerName)))
	}
	return state, nil
}

func (s *clientState) loadCert(o ClientOptions, r *reader) error {
	files, err := r.read(slices.Concat(o.Cert, o.Key), certSuffixes()...)
	if err != nil {
		return err
	}
	found, warnings, err := pairs(o.Cert, files)
	if err != nil {
		return err
	}
	s.cert, s.warnings = &found[0], warnings
	return nil
}

func (s *clientState) dated(now time.Time) []error {
	var errs []error
	if s.cert != nil {
		errs = append(errs, dated(s.cert.cert.Leaf, s.cert.file, now))
	}
	for _, a := range s.cas {
		errs = append(errs, dated(a.cert, a.file, now))
	}
	return slices.DeleteFunc(errs, func(err error) bool { return err == nil })
}

func (o ClientOptions) contradictions() []error {
	var errs []error
	if len(o.Key) > 0 && len(o.Cert) == 0 {
		errs = append(errs, errors.New("a key for the client certificate is given, and no certificate"))
	}
	if o.ServerName == "" && !o.Insecure && !o.PinsOnly && !o.SkipName {
		errs = append(errs, errors.New("no server name to check the backend's certificate against\nhint: give the name that is in the certificate"))
	}
	if o.PinsOnly && len(o.Pins) == 0 {
		errs = append(errs, errors.New("only pins are to be checked, and no pin is given"))
	}
	if o.Insecure && (o.PinsOnly || len(o.Pins)+len(o.CA) > 0) {
		errs = append(errs, errors.New("the check is off, so a CA or a pin has no effect\nhint: leave out one of them"))
	}
	if o.PinsOnly && len(o.CA) > 0 {
		errs = append(errs, errors.New("only pins are checked, so a CA has no effect\nhint: leave out one of them"))
	}
	return errs
}

type pin [sha256.Size]byte

func (o ClientOptions) pins() ([]pin, []error) {
	var pins []pin
	var errs []error
	for _, text := range o.Pins {
		encoded := strings.TrimPrefix(text, "sha256/")
		sum, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil || len(sum) != sha256.Size { // curl writes sha256//; but a hash may begin with a slash, too
			sum, err = base64.StdEncoding.DecodeString(strings.TrimPrefix(encoded, "/"))
		}
		if err != nil || len(sum) != sha256.Size {
			errs = append(errs, fmt.Errorf("pin %q: want the SHA-256 of a public key in base64\nhint: openssl x509 -in CERT -noout -pubkey | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64", text))
			continue
		}
		pins = append(pins, pin(sum))
	}
	return pins, errs
}

func (o ClientOptions) newConfig(s *clientState, pins []pin) *tls.Config {
	c := &tls.Config{
		DynamicRecordSizingDisabled: true, // it makes small records of the first 128 KB of every connection, each with a system call
		MinVersion:                  minVersion(o.Only13), CipherSuites: suites(), NextProtos: slices.Clone(o.ALPN),
		ServerName: o.ServerName, InsecureSkipVerify: o.Insecure || o.PinsOnly,
	}
	if len(s.cas) > 0 {
		c.RootCAs = pool(s.cas)
	}
	if s.cert != nil {
		// Sent whatever CAs the backend says it knows: a wrong certificate gives an error that can be understood, none does not.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &s.cert.cert, nil }
	}
	if o.Sessions >= 0 {
		kept := o.Sessions
		if kept == 0 {
			kept = 64
		}
		c.ClientSessionCache = tls.NewLRUClientSessionCache(kept)
	}
	switch {
	case o.PinsOnly:
		c.VerifyConnection = func(cs tls.ConnectionState) error {
			return pinned(pins, cs.PeerCertificates[:min(1, len(cs.PeerCertificates))])
		}
	case o.SkipName && !o.Insecure:
		c.InsecureSkipVerify = true
		c.VerifyConnection = func(cs tls.ConnectionState) error { return chained(cs.PeerCertificates, c.RootCAs, pins) }
	case len(pins) > 0:
		c.VerifyConnection = func(cs tls.ConnectionState) error { return pinnedChains(pins, cs.VerifiedChains) }
	}
	return c
}

// chained verifies a chain as crypto/tls does, but for the name. roots nil are those of the system.
func chained(certs []*x509.Certificate, roots *x509.CertPool, pins []pin) error {
	if len(certs) == 0 {
		return &Refused{Reason: "missing", text: "the backend sent no certificate"}
	}
	between := x509.NewCertPool()
	for _, c := range certs[1:] {
		between.AddCert(c)
	}
	chains, err := certs[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
	if err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: certs, Err: err}
	}
	if len(pins) == 0 {
		return nil
	}
	return pinnedChains(pins, chains)
}

func pinnedChains(pins []pin, chains [][]*x509.Certificate) error {
	var err error = &Refused{Reason: "pin", text: "the backend's certificate was not verified"}
	for _, chain := range chains {
		if err = pinned(pins, chain); err == nil {
			return nil
		}
	}
	return err
}

func pinned(pins []pin, chain []*x509.Certificate) error {
	var seen []string
	for _, cert := range chain {
		sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
		for _, p := range pins {
			if subtle.ConstantTimeCompare(p[:], sum[:]) == 1 {
				return nil
			}
		}
		seen = append(seen, fmt.Sprintf("sha256/%s of %s", base64.StdEncoding.EncodeToString(sum[:]), title(cert)))
	}
	return &Refused{Reason: "pin", text: "none of the backend's keys is pinned: it has " + strings.Join(seen, ", ")}
}
