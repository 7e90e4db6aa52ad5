package fields

import (
	"bytes"
	"net/netip"

	"github.com/sidecar-kit/sidecar/roles/proxy/wire"
)

// AppendRequest appends the head that is sent to the upstream, with the empty line at its end. What r.Body says is how the
// body must follow.
func (p *Policy) AppendRequest(dst []byte, r *wire.Request, c *Client) []byte {
	dst = append(dst, r.Method...)
	dst = append(dst, ' ')
	dst = p.appendTarget(dst, r.Target)
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	c.Host = r.Host
	switch {
	case p.host != "":
		dst = append(dst, p.host...)
	case len(r.Host) == 0: // HTTP/1.0 may come without; what is sent may not
		dst = append(dst, p.noHost...)
	default:
		dst = append(dst, r.Host...)
	}
	dst = append(dst, "\r\n"...)
	dst = appendFraming(dst, &r.Head)
	if r.Expect {
		dst = append(dst, "Expect: 100-continue\r\n"...)
	}
	return append(p.AppendFields(dst, r, c), "\r\n"...)
}

// AppendFields appends the lines of a request but Host and those of framing and connection, which HTTP/2 has in another form.
func (p *Policy) AppendFields(dst []byte, r *wire.Request, c *Client) []byte {
	trusted := len(p.trusted) > 0 && p.Trusts(c.Addr.Addr())
	said := told{trusted: trusted}
	for i := range r.Fields {
		f := &r.Fields[i]
		switch p.request.act[f.ID] {
		case pass:
			if f.Drop && !protected(f.ID) || f.ID == wire.Other && len(p.request.names) > 0 && p.request.dropped(f.Name) || f.Underscore && p.alias(f.Name) {
				if f.ID == wire.Other && trusted && p.requestIDs == wire.Other {
					said.note(f, p.requestID)
				}
				continue
			}
		case drop:
			if trusted && f.ID == p.requestIDs {
				said.note(f, p.requestID)
			}
			continue
		case identity:
			if !trusted || !said.take(f, p) {
				continue
			}
		case special: // Trailer
			if r.Body != wire.Chunked {
				continue
			}
		}
		dst = wire.AppendField(dst, f.Name, f.Value)
	}
	dst = p.appendIdentity(dst, r, c, &said)
	return append(dst, p.request.tail...)
}

// protected fields cannot be taken off a request by naming them in Connection.
func protected(id wire.ID) bool {
	return id == wire.Authorization || id == wire.Cookie || id == wire.ContentType || id == wire.ContentEncoding || id == wire.Origin || id == wire.XRequestID
}

// told is what a trusted proxy said.
type told struct {
	trusted               bool
	proto, host, port, id []byte
}

// note keeps the identifier of the request if it is one.
func (t *told) note(f *wire.Field, name string) {
	if name == "" || len(f.Name) != len(name) || !equalFold(name, f.Name) || len(f.Value) == 0 || len(f.Value) > 128 {
		return
	}
	for _, b := range f.Value {
		if b <= ' ' || b >= 0x7f || b == '"' || b == '\\' {
			return
		}
	}
	t.id = f.Value
}

// take remembers a field that is written again by the policy, and tells whether to pass it on as it is.
func (t *told) take(f *wire.Field, p *Policy) bool {
	if f.Underscore {
		return false
	}
	switch f.ID {
	case wire.XForwardedFor, wire.XRealIP:
		return !p.x
	case wire.XForwardedProto:
		t.proto = f.Value
		return !p.x
	case wire.XForwardedHost:
		t.host = f.Value
		return !p.x
	case wire.XForwardedPort:
		t.port = f.Value
		return !p.x
	case wire.Forwarded:
		return !p.rfc7239
	}
	return true
}

// appendIdentity appends what tells the upstream of the client.
func (p *Policy) appendIdentity(dst []byte, r *wire.Request, c *Client, said *told) []byte {
	if p.x {
		dst = p.appendX(dst, r, c, said)
	}
	if p.rfc7239 && !p.own[wire.Forwarded] {
		dst = append(dst, "Forwarded: "...)
		if said.trusted {
			dst = appendChain(dst, r, wire.Forwarded)
		}
		dst = appendNode(append(dst, "for="...), c.Addr)
		if c.Local.IsValid() {
			dst = appendNode(append(dst, ";by="...), c.Local)
		}
		if len(r.Host) > 0 {
			dst = append(append(append(dst, `;host="`...), r.Host...), '"')
		}
		dst = append(append(append(dst, ";proto="...), scheme(c)...), "\r\n"...)
	}
	if p.requestID != "" {
		c.ID = c.ID[:0]
		if said.id != nil {
			c.ID = append(c.ID, said.id...)
		} else {
			c.ID = newID(c.ID)
		}
		if p.requestIDs == wire.Other || !p.own[p.requestIDs] {
			dst = append(append(dst, p.requestID...), ": "...)
			dst = append(append(dst, c.ID...), "\r\n"...)
		}
	}
	return dst
}

func (p *Policy) appendX(dst []byte, r *wire.Request, c *Client, said *told) []byte {
	if !p.own[wire.XForwardedFor] {
		dst = append(dst, "X-Forwarded-For: "...)
		if said.trusted {
			dst = appendChain(dst, r, wire.XForwardedFor)
		}
		dst = append(appendAddr(dst, c.Addr.Addr()), "\r\n"...)
	}
	if !p.own[wire.XRealIP] {
		dst = append(dst, "X-Real-IP: "...)
		dst = append(appendAddr(dst, p.ClientAddr(r, c.Addr.Addr())), "\r\n"...)
	}
	if !p.own[wire.XForwardedProto] {
		dst = append(dst, "X-Forwarded-Proto: "...)
		if said.proto != nil {
			dst = append(dst, said.proto...)
		} else {
			dst = append(dst, scheme(c)...)
		}
		dst = append(dst, "\r\n"...)
	}
	host := r.Host
	if said.host != nil {
		host = said.host
	}
	if !p.own[wire.XForwardedHost] && len(host) > 0 {
		dst = append(append(append(dst, "X-Forwarded-Host: "...), host...), "\r\n"...)
	}
	if !p.own[wire.XForwardedPort] {
		dst = append(dst, "X-Forwarded-Port: "...)
		if said.port != nil {
			dst = append(dst, said.port...)
		} else {
			dst = appendPort(dst, host, said.proto, c)
		}
		dst = append(dst, "\r\n"...)
	}
	if p.strip != "" && !p.own[wire.XForwardedPrefix] {
		dst = append(append(append(dst, "X-Forwarded-Prefix: "...), p.strip...), "\r\n"...)
	}
	return dst
}

// appendPort appends the port that the client asked for: that of Host, or the usual one.
func appendPort(dst, host, proto []byte, c *Client) []byte {
	if at := bytes.LastIndexByte(host, ':'); at >= 0 && at > bytes.LastIndexByte(host, ']') && at+1 < len(host) {
		return append(dst, host[at+1:]...)
	}
	if string(proto) == "https" || proto == nil && c.TLS != nil {
		return append(dst, "443"...)
	}
	return append(dst, "80"...)
}

// appendChain appends what proxies before said, in the order of their lines, with a comma for the next hop.
func appendChain(dst []byte, r *wire.Request, id wire.ID) []byte {
	for i := range r.Fields {
		if f := &r.Fields[i]; f.ID == id && !f.Underscore && len(f.Value) > 0 {
			dst = append(append(dst, f.Value...), ", "...)
		}
	}
	return dst
}

func scheme(c *Client) string {
	if c.TLS != nil {
		return "https"
	}
	return "http"
}

// appendAddr appends an address; a peer at a unix socket is this machine.
func appendAddr(dst []byte, a netip.Addr) []byte {
	if !a.IsValid() {
		return append(dst, "127.0.0.1"...)
	}
	return a.Unmap().WithZone("").AppendTo(dst)
}

// appendNode appends an address as Forwarded has it.
func appendNode(dst []byte, a netip.AddrPort) []byte {
	if !a.IsValid() {
		return append(dst, "unknown"...)
	}
	dst = append(dst, '"')
	dst = netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port()).AppendTo(dst)
	return append(dst, '"')
}

// appendTarget appends the target with the route's change of the path.
func (p *Policy) appendTarget(dst, target []byte) []byte {
	if p.strip == "" && p.prefix == "" || len(target) > 0 && target[0] == '*' {
		return append(dst, target...)
	}
	dst = append(dst, p.prefix...)
	if n := len(p.strip); n > 0 && len(target) >= n && string(target[:n]) == p.strip && (len(target) == n || target[n] == '/' || target[n] == '?') {
		if target = target[n:]; len(target) == 0 || target[0] == '?' {
			dst = append(dst, '/')
		}
	}
	return append(dst, target...)
}

// appendFraming appends the one field that says where the body ends.
func appendFraming(dst []byte, h *wire.Head) []byte {
	switch {
	case h.Upgrade != nil && h.Body != wire.Chunked && h.Length <= 0:
		dst = append(append(append(dst, "Connection: Upgrade\r\nUpgrade: "...), h.Upgrade...), "\r\n"...)
		if h.Body == wire.Sized {
			dst = append(dst, "Content-Length: 0\r\n"...)
		}
	case h.Body == wire.Chunked:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	case h.Length >= 0 && h.Body != wire.UntilClose:
		dst = append(appendInt(append(dst, "Content-Length: "...), h.Length), "\r\n"...)
	}
	return dst
}
