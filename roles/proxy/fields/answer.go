package fields

import (
	"bytes"

	"github.com/sidecar-kit/sidecar/roles/proxy/wire"
)

// AppendResponse appends the head that is sent to the client, with the empty line at its end. closing says that the connection
// ends after this answer.
func (p *Policy) AppendResponse(dst []byte, r *wire.Response, c *Client, closing bool) []byte {
	dst = wire.AppendStatus(dst, r.Status, r.Reason)
	if r.Status >= 200 || r.Status == 101 {
		dst = appendFraming(dst, &r.Head)
		if closing && r.Status != 101 {
			dst = append(dst, "Connection: close\r\n"...)
		} else if c.Minor == 0 {
			dst = append(dst, "Connection: keep-alive\r\n"...)
		}
	}
	return append(p.AppendAnswerFields(dst, r, c), "\r\n"...)
}

// AppendAnswerFields appends the lines of an answer but those of framing and connection.
func (p *Policy) AppendAnswerFields(dst []byte, r *wire.Response, c *Client) []byte {
	s := &p.answer
	for i := range r.Fields {
		f := &r.Fields[i]
		switch s.act[f.ID] {
		case pass, identity:
			if f.Drop && f.ID != wire.SetCookie || f.ID == wire.Other && len(s.names) > 0 && s.dropped(f.Name) {
				continue
			}
		case drop:
			continue
		case special:
			if f.ID == wire.Location && p.location {
				dst = append(append(dst, f.Name...), ": "...)
				dst = append(p.appendLocation(dst, f.Value, c), "\r\n"...)
				continue
			}
			if f.ID == wire.Trailer && r.Body != wire.Chunked {
				continue
			}
		}
		dst = wire.AppendField(dst, f.Name, f.Value)
	}
	if r.Status >= 200 {
		dst = append(dst, s.tail...)
	}
	return dst
}

// appendLocation appends an address that the client can go to. An application that knows nothing of the proxy names itself, or
// the right host with the wrong scheme; every other address stays as it is.
func (p *Policy) appendLocation(dst, value []byte, c *Client) []byte {
	rest, ok := p.ours(value, c)
	if ok {
		dst = append(append(append(dst, scheme(c)...), "://"...), c.Host...)
	}
	if !ok && (len(value) == 0 || value[0] != '/' || len(value) > 1 && value[1] == '/') || p.strip == "" && p.prefix == "" {
		return append(dst, rest...)
	}
	if n := len(p.prefix); n > 0 {
		if len(rest) < n || string(rest[:n]) != p.prefix || len(rest) > n && rest[n] != '/' && rest[n] != '?' {
			return append(dst, rest...) // it leads out of what the route shows
		}
		rest = rest[n:]
	}
	dst = append(dst, p.strip...)
	if len(rest) == 0 || rest[0] != '/' {
		dst = append(dst, '/')
	}
	return append(dst, rest...)
}

// ours returns what follows the host of an address that should lead to the proxy.
func (p *Policy) ours(value []byte, c *Client) ([]byte, bool) {
	if len(c.Host) == 0 {
		return value, false
	}
	if rest, ok := after(value, "http://", c.Host); ok && c.TLS != nil {
		return rest, true
	}
	if rest, ok := after(value, p.upstream, nil); ok && p.upstream != "" {
		return rest, true
	}
	return value, false
}

// after returns what follows an address, if value begins with it.
func after(value []byte, begin string, host []byte) ([]byte, bool) {
	if len(value) < len(begin) || string(value[:len(begin)]) != begin || !bytes.HasPrefix(value[len(begin):], host) {
		return nil, false
	}
	rest := value[len(begin)+len(host):]
	return rest, len(rest) == 0 || rest[0] == '/' || rest[0] == '?' || rest[0] == '#'
}
