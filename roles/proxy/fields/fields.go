// Package fields decides what becomes of the header fields of requests and answers on their way through the proxy, and writes
// their heads: which hop they end at, what tells the upstream of the client, what a route sets and removes, and the path.
//
// It promises that nobody but a trusted proxy can say who the client is: what others send of X-Forwarded-*, Forwarded and
// their kin is dropped, also under names that servers take for the same, and cannot be kept from the upstream by naming it in
// Connection. It writes one canonical head with one framing field. Nothing is allocated. Used by the engines of the proxy.
package fields

import (
	"bytes"
	"crypto/tls"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"
	"unsafe"

	"github.com/sidecar-kit/sidecar/roles/proxy/wire"
)

// Options are what a route says about fields. Names and values must be valid.
type Options struct {
	Trusted              []netip.Prefix
	X, RFC7239           bool   // X-Forwarded-*, Forwarded
	Host                 string // "" is the client's
	RequestID            string // name of the field, "" is none
	Strip, Prefix        string // of the path
	Set, SetAnswer       [][2]string
	Remove, RemoveAnswer []string
	Upstream             string // scheme://host:port, which Location of answers may begin with
	KeepLocation         bool   // leave Location of answers as it is
}

// Policy is Options made ready.
type Policy struct {
	trusted       []netip.Prefix
	x, rfc7239    bool
	host          string
	requestID     string
	requestIDs    wire.ID
	strip, prefix string
	upstream      string
	noHost        string // Host of requests that came without
	location      bool
	request       side
	answer        side
	own           [wire.IDs]bool // set by the route, so that the policy does not
}

// side is one direction.
type side struct {
	act   [wire.IDs]action
	names []string // of other fields that are dropped: removed ones and those that are set
	tail  []byte   // what is set, as lines
}

type action uint8

const (
	pass     action = iota
	drop            // ends at this hop, or is removed
	identity        // says who the client is
	special         // has code of its own
)

// Client is whom a request came from. One is enough for a connection; AppendRequest fills ID and Host.
type Client struct {
	Addr  netip.AddrPort       // of the peer; not valid for a unix socket
	Local netip.AddrPort       // where it connected to
	TLS   *tls.ConnectionState // nil: plain
	Minor uint8                // of the request, HTTP/1.Minor: in an answer to HTTP/1.0 keep-alive has to be named
	ID    []byte               // of the request
	Host  []byte               // of the request
}

// New makes a policy.
func New(o Options) *Policy {
	p := &Policy{
		trusted: o.Trusted, x: o.X, rfc7239: o.RFC7239, host: o.Host, requestID: o.RequestID,
		strip: strings.TrimSuffix(o.Strip, "/"), prefix: strings.TrimSuffix(o.Prefix, "/"), upstream: o.Upstream, location: !o.KeepLocation,
	}
	_, p.noHost, _ = strings.Cut(o.Upstream, "://")
	if p.noHost == "" {
		p.noHost = "localhost"
	}
	for id := wire.Host; id <= wire.Proxy; id++ {
		p.request.act[id], p.answer.act[id] = drop, drop
	}
	p.answer.act[wire.ProxyAuthenticate] = drop
	p.answer.act[wire.Location], p.answer.act[wire.Refresh] = special, pass
	p.request.act[wire.Trailer], p.answer.act[wire.Trailer] = special, special
	for id := wire.Forwarded; id <= wire.CFConnectingIP; id++ {
		p.request.act[id] = identity
	}
	p.request.act[wire.XRequestID], p.request.act[wire.XRequestStart] = pass, identity
	if p.requestID != "" {
		if p.requestIDs = wire.Lookup([]byte(p.requestID)); p.requestIDs != wire.Other {
			p.request.act[p.requestIDs] = drop
		} else {
			p.request.names = append(p.request.names, p.requestID)
		}
	}
	p.request.add(o.Set, o.Remove)
	p.answer.add(o.SetAnswer, o.RemoveAnswer)
	for _, kv := range o.Set {
		p.own[wire.Lookup([]byte(kv[0]))] = true
	}
	p.own[wire.Other] = false
	return p
}

func (s *side) add(set [][2]string, remove []string) {
	for _, kv := range set {
		s.tail = wire.AppendField(s.tail, []byte(kv[0]), []byte(kv[1]))
		remove = append(remove[:len(remove):len(remove)], kv[0])
	}
	for _, name := range remove {
		if id := wire.Lookup([]byte(name)); id != wire.Other {
			s.act[id] = drop
		} else {
			s.names = append(s.names, name)
		}
	}
}

// dropped tells whether a field with an unknown name is removed.
func (s *side) dropped(name []byte) bool {
	for _, n := range s.names {
		if len(n) == len(name) && equalFold(n, name) {
			return true
		}
	}
	return false
}

func equalFold(a string, b []byte) bool {
	for i := range len(a) {
		x, y := a[i], b[i]
		if x >= 'A' && x <= 'Z' {
			x += 'a' - 'A'
		}
		if y >= 'A' && y <= 'Z' {
			y += 'a' - 'A'
		}
		if x != y {
			return false
		}
	}
	return true
}

// alias tells whether a name with underscores is one that must not get through: CGI and its heirs read an underscore as a hyphen.
func (p *Policy) alias(name []byte) bool {
	var room [64]byte
	if len(name) > len(room) {
		return true
	}
	n := copy(room[:], name)
	for i, c := range room[:n] {
		if c == '_' {
			room[i] = '-'
		}
	}
	id := wire.Lookup(room[:n])
	return id != wire.Other && p.request.act[id] != pass || p.request.dropped(room[:n])
}

// Trusts tells whether fields of this peer about the client are believed.
func (p *Policy) Trusts(peer netip.Addr) bool { return contains(p.trusted, peer.Unmap()) }

func contains(nets []netip.Prefix, a netip.Addr) bool {
	for _, n := range nets {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// ClientAddr is the address of the client: that of the peer, or, where the peer is trusted, the last one of X-Forwarded-For (or
// Forwarded) that is not a trusted proxy itself.
func (p *Policy) ClientAddr(r *wire.Request, peer netip.Addr) netip.Addr {
	peer = peer.Unmap()
	if len(p.trusted) == 0 || !contains(p.trusted, peer) {
		return peer
	}
	found := peer
	for i := len(r.Fields) - 1; i >= 0; i-- {
		f := &r.Fields[i]
		if f.ID != wire.XForwardedFor && (f.ID != wire.Forwarded || p.x) {
			continue
		}
		for rest := f.Value; ; {
			at := bytes.LastIndexByte(rest, ',')
			a, ok := parseHop(rest[at+1:], f.ID == wire.Forwarded)
			if !ok {
				return found
			}
			if found = a; !contains(p.trusted, a) || at < 0 && i == 0 {
				return found
			}
			if at < 0 {
				break
			}
			rest = rest[:at]
		}
	}
	return found
}

// parseHop reads one address of X-Forwarded-For, or the for= of one element of Forwarded.
func parseHop(text []byte, forwarded bool) (netip.Addr, bool) {
	text = bytes.Trim(text, " \t")
	if forwarded {
		at := indexFor(text)
		if at < 0 {
			return netip.Addr{}, false
		}
		text = text[at:]
		if end := bytes.IndexByte(text, ';'); end >= 0 {
			text = text[:end]
		}
		text = bytes.Trim(text, " \t\"")
	}
	if len(text) < 2 || len(text) > 64 {
		return netip.Addr{}, false
	}
	switch end := bytes.IndexByte(text, ']'); {
	case text[0] == '[' && end > 0: // [::1] and [::1]:80
		text = text[1:end]
	case bytes.Count(text, []byte(":")) == 1: // 192.0.2.1:80
		text = text[:bytes.IndexByte(text, ':')]
	}
	for _, c := range text { // a zone is of no use here, and an error would cost memory
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') && c != '.' && c != ':' {
			return netip.Addr{}, false
		}
	}
	a, err := netip.ParseAddr(unsafe.String(unsafe.SliceData(text), len(text))) // nothing of it is kept
	return a.Unmap(), err == nil
}

func indexFor(text []byte) int {
	for at := 0; at+4 <= len(text); at++ {
		if (at == 0 || text[at-1] == ';' || text[at-1] == ' ') && equalFold("for=", text[at:at+4]) {
			return at + 4
		}
	}
	return -1
}

// newID appends 32 hexadecimal digits.
func newID(dst []byte) []byte {
	const digits = "0123456789abcdef"
	for range 2 {
		for n, i := rand.Uint64(), 0; i < 16; i++ { //nolint:gosec // an identifier, not a secret
			dst = append(dst, digits[n&15])
			n >>= 4
		}
	}
	return dst
}

func appendInt(dst []byte, n int64) []byte { return strconv.AppendInt(dst, n, 10) }
