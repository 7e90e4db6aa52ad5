package wire

import "bytes"

const maxMethod = 32

// Parse reads a head from the start of buf. It returns how many bytes the head
// took, or 0 and no error when the rest must come first: call again with the
// same bytes and more. An error is a *BadMessage; after it the connection
// cannot be used, because nobody knows where the next message would start.
func (r *Request) Parse(buf []byte, lim Limits) (int, error) {
	ok, err := r.complete(buf, lim)
	if err != nil {
		return 0, err
	}
	if !ok {
		return 0, nil
	}
	r.reset()
	n, err := r.parse(buf, lim)
	if err != nil {
		return 0, err
	}
	return n, nil
}

func (r *Request) reset() {
	r.Head = Head{Fields: r.Fields[:0], Length: -1}
	r.Method, r.Target, r.Host, r.Expect = nil, nil, nil, false
}

// Reset forgets an unfinished head and lets go of the buffer.
func (r *Request) Reset() {
	r.Head.Reset()
	r.Method, r.Target, r.Host, r.Expect = nil, nil, nil, false
}

func (r *Request) parse(buf []byte, lim Limits) (int, *BadMessage) {
	i, err := r.line(buf, lim.line())
	if err != nil {
		return 0, err
	}
	if i, err = r.fields(buf, i, lim.fields()); err != nil {
		return 0, err
	}
	if err := r.framing(); err != nil {
		return 0, err
	}
	if err := r.connection(); err != nil {
		return 0, err
	}
	if err := r.target(); err != nil {
		return 0, err
	}
	if r.expect != 0 && r.Minor > 0 {
		if !is(r.Fields[r.expect-1].Value, "100-continue") {
			return 0, badStatus(417, BadExpect, "the expectation is not 100-continue")
		}
		r.Expect = r.Body == Chunked || r.Length > 0
	}
	if r.Body == Chunked || r.Length > 0 {
		// A body in front of another protocol is read differently by
		// different servers; the request is served without the change.
		r.Upgrade = nil
	}
	return i, nil
}

// line reads "METHOD SP target SP HTTP/1.x CRLF".
func (r *Request) line(buf []byte, most int) (int, *BadMessage) {
	i := 0
	for i < len(buf) && isToken(buf[i]) {
		i++
	}
	if i == 0 || i >= len(buf) || buf[i] != ' ' {
		if i < len(buf) && (buf[i] == '\n' || buf[i] == '\r') {
			if err := lineEnd(buf, i, BadLine); err != nil {
				return 0, err
			}
		}
		return 0, bad(BadMethod, "the request does not start with a method and a space")
	}
	if i > maxMethod {
		return 0, badStatus(501, BadMethod, "the method is too long")
	}
	r.Method = buf[:i]
	i++
	start := i
	for i < len(buf) && buf[i] > ' ' && buf[i] < 0x7f && buf[i] != '#' {
		i++
	}
	if i > most {
		return 0, badStatus(414, LongLine, "the request line is too long")
	}
	if i == start || i >= len(buf) || buf[i] != ' ' {
		if err := lineEnd(buf, i, BadTarget); err != nil {
			return 0, err
		}
		return 0, bad(BadLine, "the request line has no version")
	}
	r.Target = buf[start:i]
	i++
	minor, err := version(buf[i:])
	if err != nil {
		return 0, err
	}
	r.Minor = minor
	i += len("HTTP/1.1")
	if i+1 >= len(buf) || buf[i] != '\r' || buf[i+1] != '\n' {
		if i < len(buf) && buf[i] == ' ' {
			return 0, bad(BadLine, "blank after the version")
		}
		if err := lineEnd(buf, i, BadVersion); err != nil {
			return 0, err
		}
	}
	if i+2 > most {
		return 0, badStatus(414, LongLine, "the request line is too long")
	}
	return i + 2, nil
}

// version reads "HTTP/1.0" or "HTTP/1.1".
func version(b []byte) (uint8, *BadMessage) {
	if len(b) < 8 || string(b[:5]) != "HTTP/" || !digit(b[5]) || b[6] != '.' || !digit(b[7]) {
		return 0, bad(BadVersion, "the version is not HTTP/x.y")
	}
	if b[5] != '1' || b[7] > '1' {
		return 0, badStatus(505, BadVersion, "the version is not served")
	}
	return b[7] - '0', nil
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

// target settles the forms of the target and the host.
func (r *Request) target() *BadMessage {
	if r.host != 0 {
		r.Host = r.Fields[r.host-1].Value
		if !validHost(r.Host) {
			return badf(BadHost, "the host %s is not a name or address", quote(r.Host))
		}
	} else if r.Minor > 0 {
		return bad(BadHost, "there is no Host")
	}
	switch {
	case string(r.Method) == "CONNECT":
		return badStatus(501, BadMethod, "CONNECT is not served")
	case string(r.Method) == "TRACE": // its answer shows the client fields that were set for the backend alone
		return badStatus(501, BadMethod, "TRACE is not served")
	case r.Target[0] == '/':
	case len(r.Target) == 1 && r.Target[0] == '*':
		if string(r.Method) != "OPTIONS" {
			return bad(BadTarget, "the target * belongs to OPTIONS")
		}
		return nil
	default:
		if err := r.absolute(); err != nil {
			return err
		}
	}
	if !validPath(r.Target) {
		return badf(BadTarget, "the target %s has a broken escape", quote(r.Target))
	}
	return nil
}

// absolute splits "http://host/path". The Host field must say the same.
func (r *Request) absolute() *BadMessage {
	scheme := bytes.Index(r.Target, []byte("://"))
	if scheme < 0 || !is(r.Target[:scheme], "http") && !is(r.Target[:scheme], "https") {
		return badf(BadTarget, "the target %s is no path", quote(r.Target))
	}
	host, path := r.Target[scheme+3:], []byte(nil)
	for i, c := range host {
		if c == '/' || c == '?' {
			host, path = host[:i], host[i:]
			break
		}
	}
	switch {
	case !validHost(host):
		return badf(BadHost, "the host %s of the target is not a name or address", quote(host))
	case r.host != 0 && (len(host) != len(r.Host) || !sameFold(host, r.Host)):
		return bad(BadHost, "the target and Host name different hosts")
	case len(path) == 0:
		path = []byte("/")
		if string(r.Method) == "OPTIONS" {
			path = []byte("*")
		}
	case path[0] != '/':
		return bad(BadTarget, "the target has a query and no path")
	}
	r.Host, r.Target = host, path
	return nil
}

// validHost accepts a name or IPv4 address, or an IPv6 address in brackets,
// and a port. Less than RFC 3986 allows: no escapes, no delimiters.
func validHost(h []byte) bool {
	i := 0
	if len(h) > 0 && h[0] == '[' {
		for i = 1; i < len(h) && (hex(h[i]) < 16 || h[i] == ':' || h[i] == '.'); i++ {
		}
		if i < 4-1 || i >= len(h) || h[i] != ']' {
			return false
		}
		i++
	} else {
		for i < len(h) && hostByte(h[i]) {
			i++
		}
		if i == 0 || i > 255 {
			return false
		}
	}
	if i == len(h) {
		return true
	}
	if h[i] != ':' || len(h)-i > 6 || len(h)-i < 2 {
		return false
	}
	port, ok := number(h[i+1:])
	return ok && port > 0 && port < 1<<16
}

func hostByte(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '.' || c == '-' || c == '_' || 'A' <= c && c <= 'Z'
}

// validPath checks the escapes up to the query.
func validPath(p []byte) bool {
	for i := 0; i < len(p); i++ {
		switch p[i] {
		case '?':
			return true
		case '%':
			if i+2 >= len(p) || hex(p[i+1]) > 15 || hex(p[i+2]) > 15 {
				return false
			}
			i += 2
		}
	}
	return true
}

// hex returns the value of a digit, or 16.
func hex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 16
}
