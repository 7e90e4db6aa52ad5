package tlsconf

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sidecar-kit/sidecar/internal/watch"
)

// ServerOptions say what a listener presents and whom it lets in. Paths are files or folders; of a folder, the files *.crt, *.pem, *.cer and
// *.key right in it count, and two names of a Kubernetes secret are known: tls.crt is the first, ca.crt is for ClientCA only.
type ServerOptions struct {
	Certs []string // PEM certificates, leaf first, with their keys or not; the first is the default for clients that name no server
	Keys  []string // PEM keys that are not in Certs; which belongs where is found by the public key

	ClientCA    []string // CA certificates that client certificates must lead to; none: clients are not asked for one
	CRL         []string // revocation lists in PEM of those CAs; a list that is too old refuses all clients of its CA
	ClientRules Rules
	Optional    bool // a client without a certificate may come in too; one with a wrong certificate may not

	ALPN             []string // protocols, the preferred first: "h2", "http/1.1"; none: whatever the client says is ignored
	Only13           bool     // TLS 1.3 only; otherwise 1.2 with AEAD suites as well
	RefuseUnknownSNI bool     // end handshakes that name a server no certificate is for, or none, instead of using the default
	TicketKeys       string   // file of keys that several replicas share, one a line (openssl rand -base64 32), the first one seals; "": own, rotated keys
	NoTickets        bool     // no resumption at all

	Events Events
}

// Server is the TLS side of a listener.
type Server struct {
	opts    ServerOptions
	config  *tls.Config
	state   atomic.Pointer[serverState]
	tickets *tickets
	files   *follower
	sealing sync.Mutex // a new state and its ticket keys, or new keys alone
}

// serverState is what one version of the files gave. It does not change.
type serverState struct {
	choice   *choices
	trust    *trust // nil: no client certificates
	shared   [][32]byte
	infos    []CertInfo
	certs    []pair
	warnings []string
	sum      [32]byte // of all that was read
}

// suffixes of files in a folder that are read.
func certSuffixes() []string { return []string{".crt", ".pem", ".cer", ".key"} }
func caSuffixes() []string   { return []string{".crt", ".pem", ".cer"} }
func listSuffixes() []string { return []string{".crl", ".pem"} }

// NewServer reads the files. The error has all complaints, each with its file. Certificates that time has passed by are served: to most
// clients that is no worse than nothing, and to some it is better; Warnings tells of them.
func NewServer(o ServerOptions) (*Server, error) {
	s := &Server{opts: o}
	follows := slices.Concat(o.Certs, o.Keys, o.ClientCA, o.CRL)
	if o.TicketKeys != "" {
		follows = append(follows, o.TicketKeys)
	}
	s.files = newFollower(watch.New(follows, watch.Options{}), o.Events, s.reload)
	state, err := o.load(time.Now())
	if err != nil {
		return nil, err
	}
	s.config = s.newConfig()
	s.tickets = newTickets()
	s.use(state)
	return s, nil
}

// CheckServer returns all that is wrong, also what NewServer would serve all the same: certificates and lists that are too old or too young.
// Warnings are for people to look at.
func CheckServer(o ServerOptions, now time.Time) (errs []error, warnings []string) {
	state, err := o.load(now)
	if err != nil {
		return split(err), nil
	}
	for _, p := range state.certs {
		if err := dated(p.cert.Leaf, p.file, now); err != nil {
			errs = append(errs, err)
		}
		if strings.HasPrefix(keyType(p.cert.Leaf), "RSA") && len(state.certs) == 1 {
			warnings = append(warnings, fmt.Sprintf("%s: handshakes with an RSA key take four times as long as with ECDSA P-256", p.file))
		}
	}
	errs = append(errs, state.trust.dated(now)...)
	return errs, append(warnings, state.warnings...)
}

func split(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, e := range joined.Unwrap() {
			all = append(all, split(e)...)
		}
		return all
	}
	return []error{err}
}

// newConfig makes the one configuration. What changes is behind an atomic pointer, what is fixed is fixed here. Curves are the standard
// library's, with the post-quantum ones first: which is used is for the client to choose.
func (s *Server) newConfig() *tls.Config {
	c := &tls.Config{
		DynamicRecordSizingDisabled: true, // it makes small records of the first 128 KB of every connection, each with a system call
		MinVersion:                  minVersion(s.opts.Only13),
		CipherSuites:                suites(),
		NextProtos:                  slices.Clone(s.opts.ALPN),
		SessionTicketsDisabled:      s.opts.NoTickets,
		GetCertificate:              s.certificate,
	}
	switch {
	case len(s.opts.ClientCA) == 0:
	case s.opts.Optional:
		c.ClientAuth = tls.RequestClientCert
	default:
		c.ClientAuth = tls.RequireAnyClientCert
	}
	if c.ClientAuth != tls.NoClientCert || s.opts.RefuseUnknownSNI {
		c.VerifyConnection = s.verify // runs for resumed sessions too
	}
	return c
}

// Config returns the configuration, the same for the life of the server. It must not be changed or cloned: a clone has other ticket keys.
func (s *Server) Config() *tls.Config { return s.config }

// Certificates lists what is in use: the default first, then the others, then the CA certificates of clients.
func (s *Server) Certificates() []CertInfo { return s.state.Load().infos }

// Warnings lists what is served although it is not right.
func (s *Server) Warnings() []string { return s.state.Load().warned(time.Now()) }

// Run follows the files until ctx ends, and makes new ticket keys. It returns nil. It may be called once.
func (s *Server) Run(ctx context.Context) error {
	return s.files.run(ctx, s.Warnings, s.tickets.due, s.rotate)
}

// reload reports whether there was something new: a folder may have other files as well.
func (s *Server) reload() (bool, error) {
	state, err := s.opts.load(time.Now())
	if err != nil || state.sum == s.state.Load().sum {
		return false, err
	}
	s.use(state)
	return true, nil
}

// use makes a state the current one. Tickets come last: no ticket that a new key sealed was given under the old trust.
func (s *Server) use(state *serverState) {
	s.sealing.Lock()
	defer s.sealing.Unlock()
	s.state.Store(state)
	s.seal(state)
}

func (s *Server) rotate() {
	s.sealing.Lock()
	defer s.sealing.Unlock()
	s.tickets.add()
	s.seal(s.state.Load())
}

// seal gives the configuration its ticket keys. They are bound to the trust: when the CA or the rules change, no old ticket opens.
func (s *Server) seal(state *serverState) {
	if s.opts.NoTickets {
		return
	}
	keys := state.shared
	if keys == nil {
		keys = s.tickets.all()
	}
	s.config.SetSessionTicketKeys(derive(keys, state.trust.binding(s.opts)))
}

func (o ServerOptions) load(now time.Time) (*serverState, error) {
	state, r := &serverState{}, &reader{}
	var errs []error
	fail := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	files, err := r.read(slices.Concat(o.Certs, o.Keys), certSuffixes()...)
	fail(err)
	if err == nil {
		state.certs, state.warnings, err = pairs(o.Certs, files)
		fail(err)
		state.choice = newChoices(state.certs, o.RefuseUnknownSNI, now)
	}
	if len(o.Certs) == 0 {
		fail(errors.New("no certificate is given"))
	}
	state.trust, err = loadTrust(o, r)
	fail(err)
	if o.TicketKeys != "" {
		state.shared, err = readTicketKeys(o.TicketKeys, r)
		fail(err)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	state.sum = r.sum()
	for _, p := range state.certs {
		state.infos = append(state.infos, describe("server", p.cert.Leaf, p.file, p.keyFile, now))
	}
	state.infos = append(state.infos, state.trust.infos(now)...)
	state.warnings = append(state.warnings, state.trust.warnings()...)
	return state, nil
}

func (s *serverState) warned(now time.Time) []string {
	warnings := slices.Clone(s.warnings)
	for _, p := range s.certs {
		if err := dated(p.cert.Leaf, p.file, now); err != nil {
			warnings = append(warnings, err.Error())
		}
	}
	for _, err := range s.trust.dated(now) {
		warnings = append(warnings, err.Error())
	}
	return warnings
}
