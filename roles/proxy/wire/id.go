package wire

// ID is a well-known field name; 0 is any other.
type ID uint8

// The names that the engine or the header policy must recognise.
const (
	Other ID = iota
	// Framing and the connection: never travel as they came.
	Host
	ContentLength
	TransferEncoding
	Connection
	KeepAlive
	ProxyConnection
	Upgrade
	TE
	Trailer
	Expect
	HTTP2Settings
	ProxyAuthenticate
	ProxyAuthorization
	Proxy
	// Who asks, as told by hops before.
	Forwarded
	XForwardedFor
	XForwardedProto
	XForwardedHost
	XForwardedPort
	XForwardedPrefix
	XForwardedServer
	XForwardedBy
	XForwardedSsl
	XForwardedScheme
	XForwardedURI
	XForwardedMethod
	XForwardedClientCert
	XRealIP
	XClientIP
	XScheme
	XURLScheme
	XOriginalURL
	XRewriteURL
	XRequestID
	XRequestStart
	FrontEndHTTPS
	TrueClientIP
	CFConnectingIP
	Via
	// What others look at.
	Authorization
	Cookie
	SetCookie
	Location
	ContentLocation
	ContentType
	ContentEncoding
	ContentRange
	CacheControl
	Accept
	AcceptEncoding
	UserAgent
	Referer
	Origin
	Date
	Server
	Refresh
	MaxForwards
	Range
	RetryAfter
	StrictTransportSecurity
	TraceParent
	WWWAuthenticate
	IDs // how many there are
)

// is reports whether a token equals a lower-case name. A token has no bytes
// that setting bit 5 could turn into a letter, digit or hyphen of another kind.
func is(name []byte, lower string) bool {
	if len(name) != len(lower) {
		return false
	}
	for i := range len(lower) {
		if name[i]|0x20 != lower[i] {
			return false
		}
	}
	return true
}

func pick(name []byte, lower string, id ID) ID {
	if is(name, lower) {
		return id
	}
	return Other
}

// Lookup returns the ID of a field name, which must be a token.
func Lookup(name []byte) ID {
	if len(name) < 2 {
		return Other
	}
	c := name[0] | 0x20
	switch len(name) {
	case 2:
		return pick(name, "te", TE)
	case 3:
		return pick(name, "via", Via)
	case 4:
		if c == 'h' {
			return pick(name, "host", Host)
		}
		return pick(name, "date", Date)
	case 5:
		if c == 'p' {
			return pick(name, "proxy", Proxy)
		}
		return pick(name, "range", Range)
	case 6:
		return lookup6(name, c)
	case 7:
		return lookup7(name, c)
	case 8:
		if c == 'x' {
			return pick(name, "x-scheme", XScheme)
		}
		return pick(name, "location", Location)
	case 9:
		if c == 'x' {
			return pick(name, "x-real-ip", XRealIP)
		}
		return pick(name, "forwarded", Forwarded)
	case 10:
		return lookup10(name, c)
	case 11:
		return lookup11(name, c)
	case 12:
		return lookup12(name, c)
	case 13:
		return lookup13(name, c)
	}
	return lookupLong(name, c)
}

func lookup6(name []byte, c byte) ID {
	switch c {
	case 'a':
		return pick(name, "accept", Accept)
	case 'c':
		return pick(name, "cookie", Cookie)
	case 'e':
		return pick(name, "expect", Expect)
	case 'o':
		return pick(name, "origin", Origin)
	case 's':
		return pick(name, "server", Server)
	}
	return Other
}

func lookup7(name []byte, c byte) ID {
	switch c {
	case 'u':
		return pick(name, "upgrade", Upgrade)
	case 't':
		return pick(name, "trailer", Trailer)
	}
	if is(name, "referer") {
		return Referer
	}
	return pick(name, "refresh", Refresh)
}

func lookup10(name []byte, c byte) ID {
	switch c {
	case 'c':
		return pick(name, "connection", Connection)
	case 'k':
		return pick(name, "keep-alive", KeepAlive)
	case 'u':
		return pick(name, "user-agent", UserAgent)
	case 's':
		return pick(name, "set-cookie", SetCookie)
	}
	return Other
}

func lookup11(name []byte, c byte) ID {
	switch c {
	case 'r':
		return pick(name, "retry-after", RetryAfter)
	case 't':
		return pick(name, "traceparent", TraceParent)
	case 'x':
		return pick(name, "x-client-ip", XClientIP)
	}
	return Other
}

func lookup12(name []byte, c byte) ID {
	switch c {
	case 'c':
		return pick(name, "content-type", ContentType)
	case 'm':
		return pick(name, "max-forwards", MaxForwards)
	case 'x':
		if is(name, "x-request-id") {
			return XRequestID
		}
		return pick(name, "x-url-scheme", XURLScheme)
	}
	return Other
}

func lookup13(name []byte, c byte) ID {
	switch c {
	case 'a':
		return pick(name, "authorization", Authorization)
	case 'c':
		if is(name, "content-range") {
			return ContentRange
		}
		return pick(name, "cache-control", CacheControl)
	case 'x':
		return pick(name, "x-rewrite-url", XRewriteURL)
	}
	return Other
}

func lookupLong(name []byte, c byte) ID {
	switch len(name) {
	case 14:
		switch c {
		case 'c':
			return pick(name, "content-length", ContentLength)
		case 'h':
			return pick(name, "http2-settings", HTTP2Settings)
		case 't':
			return pick(name, "true-client-ip", TrueClientIP)
		case 'x':
			if is(name, "x-forwarded-by") {
				return XForwardedBy
			}
			return pick(name, "x-original-url", XOriginalURL)
		}
	case 15:
		return lookup15(name)
	case 16:
		return lookup16(name, c)
	case 17:
		return lookup17(name, c)
	case 18:
		return lookup18(name, c)
	case 19:
		return pick(name, "proxy-authorization", ProxyAuthorization)
	case 23:
		return pick(name, "x-forwarded-client-cert", XForwardedClientCert)
	case 25:
		return pick(name, "strict-transport-security", StrictTransportSecurity)
	}
	return Other
}

func lookup15(name []byte) ID {
	switch {
	case is(name, "x-forwarded-for"):
		return XForwardedFor
	case is(name, "accept-encoding"):
		return AcceptEncoding
	case is(name, "x-forwarded-ssl"):
		return XForwardedSsl
	case is(name, "x-forwarded-uri"):
		return XForwardedURI
	case is(name, "front-end-https"):
		return FrontEndHTTPS
	case is(name, "x-request-start"):
		return XRequestStart
	}
	return Other
}

func lookup16(name []byte, c byte) ID {
	switch {
	case c == 'p':
		return pick(name, "proxy-connection", ProxyConnection)
	case is(name, "x-forwarded-host"):
		return XForwardedHost
	case is(name, "x-forwarded-port"):
		return XForwardedPort
	case is(name, "content-encoding"):
		return ContentEncoding
	case is(name, "content-location"):
		return ContentLocation
	case is(name, "www-authenticate"):
		return WWWAuthenticate
	case is(name, "cf-connecting-ip"):
		return CFConnectingIP
	}
	return Other
}

func lookup17(name []byte, c byte) ID {
	if c == 't' {
		return pick(name, "transfer-encoding", TransferEncoding)
	}
	return pick(name, "x-forwarded-proto", XForwardedProto)
}

func lookup18(name []byte, c byte) ID {
	switch {
	case c == 'p':
		return pick(name, "proxy-authenticate", ProxyAuthenticate)
	case is(name, "x-forwarded-prefix"):
		return XForwardedPrefix
	case is(name, "x-forwarded-server"):
		return XForwardedServer
	case is(name, "x-forwarded-scheme"):
		return XForwardedScheme
	}
	return pick(name, "x-forwarded-method", XForwardedMethod)
}
