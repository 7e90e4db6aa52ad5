package wire

import "math"

// number reads 1*DIGIT: no sign, no blank, no list, no overflow.
func number(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 19 {
		return 0, false
	}
	var n uint64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return int64(n), n <= math.MaxInt64 // 19 digits fit into 64 bits
}

// framing reads Content-Length and Transfer-Encoding. Both at once, either
// twice or anything but exactly "chunked" is refused.
func (h *Head) framing() *BadMessage {
	h.Length = -1
	if h.coding != 0 {
		value := h.Fields[h.coding-1].Value
		switch {
		case h.length != 0:
			return bad(BadFraming, "Content-Length and Transfer-Encoding at once")
		case h.Minor == 0:
			return bad(BadCoding, "Transfer-Encoding in HTTP/1.0")
		case !is(value, "chunked") || !allToken(value):
			return codingError(value)
		}
		h.Body = Chunked
		return nil
	}
	if h.length != 0 {
		value := h.Fields[h.length-1].Value
		n, ok := number(value)
		if !ok {
			return badf(BadLength, "Content-Length %s is not a number of bytes", quote(value))
		}
		h.Length, h.Body = n, Sized
	}
	return nil
}

// codingError tells codings that exist but are not served (501) from what is
// no coding.
func codingError(value []byte) *BadMessage {
	if allToken(value) && !is(value, "identity") {
		return badStatus(501, BadCoding, "the transfer coding "+quote(value)+" is not served")
	}
	return badf(BadCoding, "Transfer-Encoding %s is not \"chunked\"", quote(value))
}

// connection reads the Connection fields: close, keep-alive, upgrade, and the
// names of fields that must not travel on. Well-known names cannot be taken
// away by being named there, only those that belong to one hop can: a client
// must not be able to remove what a hop before it said about the client.
func (h *Head) connection() *BadMessage {
	keep, upgrade, named := false, false, 0
	if h.conn != 0 {
		for i := h.conn - 1; i < len(h.Fields); i++ {
			if h.Fields[i].ID != Connection {
				continue
			}
			for rest := h.Fields[i].Value; len(rest) > 0; {
				var name []byte
				name, rest = nextItem(rest)
				switch {
				case len(name) == 0:
				case !allToken(name):
					return badf(BadConnection, "Connection names %s", quote(name))
				case is(name, "close"):
					h.Close = true
				case is(name, "keep-alive"):
					keep = true
				case is(name, "upgrade"):
					upgrade = true
				default:
					if named++; named > maxNamed {
						return bad(BadConnection, "Connection names too many fields")
					}
					h.drop(name)
				}
			}
		}
	}
	if h.Minor == 0 && !keep {
		h.Close = true
	}
	if upgrade && h.upgrade != 0 && h.Minor > 0 {
		h.Upgrade = protocol(h.Fields[h.upgrade-1].Value)
	}
	return nil
}

// nextItem cuts the first item of a comma-separated list.
func nextItem(b []byte) (item, rest []byte) {
	for i, c := range b {
		if c == ',' {
			return trim(b[:i]), b[i+1:]
		}
	}
	return trim(b), nil
}

func (h *Head) drop(name []byte) {
	if id := Lookup(name); id != Other {
		return // hop-by-hop ones go anyway, others are protected
	}
	for i := range h.Fields {
		f := &h.Fields[i]
		if f.ID == Other && len(f.Name) == len(name) && sameFold(f.Name, name) {
			f.Drop = true
		}
	}
}

// sameFold compares ASCII without case. Equal length is the caller's.
func sameFold(a, b []byte) bool {
	for i, c := range a {
		if lower(c) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c | 0x20
	}
	return c
}

// protocol returns the one protocol that an Upgrade field asks for. A list is
// no wish that could be forwarded without a choice, and h2c would open a way
// around everything that looks at requests: both count as not asked.
func protocol(value []byte) []byte {
	name := value
	for i, c := range value {
		if c == '/' {
			if !allToken(value[i+1:]) {
				return nil
			}
			name = value[:i]
			break
		}
	}
	if !allToken(name) || is(name, "h2c") || is(name, "h2") || is(name, "http") || is(name, "tls") {
		return nil
	}
	return value
}
