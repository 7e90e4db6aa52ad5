package route

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// Side is what an option belongs to.
type Side int

// The sides: options of the listener stand before =>, those of the cluster after it, and those of the route on either side.
const (
	OfListener Side = iota
	OfRoute
	OfCluster
)

// Needs is what the rest of the route has to be for an option to mean something.
type Needs int

// The needs.
const (
	Anything   Needs = iota
	Requests         // http, https
	Bytes            // tcp, tls, unix
	ListenTLS        // https, tls
	BytesTLS         // tls
	ListenUnix       // unix
	ToTLS            // an upstream with TLS
	Redirects        // redirect=
)

func (n Needs) String() string {
	return [...]string{"", "HTTP routes", "TCP routes", "listeners with TLS", "TCP routes with TLS", "unix sockets", "upstreams with TLS", "redirects"}[n]
}

// Option is one that may stand in the query of a route or as a key of the file.
type Option struct {
	Name, Value, Usage string
	Of                 Side
	Needs              Needs
	Many               bool // a list: may be given again, or as a list of the file

	bind func(*parts) value
}

// parts is where the options of one route go.
type parts struct {
	l *Listener
	r *Route
	c *Cluster
}

// blank returns parts with the defaults.
func blank() *parts {
	return &parts{
		l: &Listener{
			TLS: &ServerTLS{ClientAuth: "", Min: "1.2"}, Mode: 0o660, HandshakeTimeout: 10 * time.Second, HeaderTimeout: 10 * time.Second,
			KeepAlive: 75 * time.Second, MaxHeader: 32 << 10, MaxFields: 100, H2: true, MaxStreams: 100,
		},
		r: &Route{
			Match: Match{Path: "/"}, RedirectCode: 308, Forwarded: "x", Host: "client", RequestID: "X-Request-Id", Response: time.Minute, Silence: 5 * time.Minute,
			Log: "all", Sample: 1, HalfIdle: time.Minute,
		},
		c: &Cluster{TLS: &ClientTLS{Min: "1.2", Verify: "full"}, Timeout: 5 * time.Second, Pool: Pool{Idle: 128, Timeout: 4 * time.Second}},
	}
}

// Options lists all of them, in the order of the manual.
func Options() []Option {
	return append(append(append(listenOptions(), tlsOptions()...), append(requestOptions(), limitOptions()...)...), clusterOptions()...)
}

func opt(of Side, needs Needs, name, val, usage string, bind func(*parts) value) Option {
	many := false
	switch bind(blank()).(type) {
	case listValue, netsValue, pairsValue:
		many = true
	}
	return Option{Name: name, Value: val, Usage: usage, Of: of, Needs: needs, Many: many, bind: bind}
}

func intSize(to *int, least, most int64) sizeValue {
	return sizeValue{func(n int64) { *to = int(n) }, func() int64 { return int64(*to) }, least, most}
}

func listenOptions() []Option {
	return []Option{
		opt(OfListener, ListenUnix, "mode", "OCTAL", "permissions of the socket", func(p *parts) value { return modeValue{&p.l.Mode} }),
		opt(OfListener, ListenUnix, "owner", "UID:GID", "owner of the socket; either may be left out", func(p *parts) value { return textValue{&p.l.Owner, checkOwner} }),
		opt(OfListener, Anything, "max-conns", "N", "connections at once; more wait in the queue of the system. 0 is what the limit of descriptors allows", func(p *parts) value { return countValue{&p.l.MaxConns, 0, 1 << 24} }),
		opt(OfListener, Anything, "max-conns-per-ip", "N", "connections at once of one address; more are closed. 0 is no limit", func(p *parts) value { return countValue{&p.l.MaxPerIP, 0, 1 << 24} }),
		opt(OfListener, Anything, "proxy-from", "CIDR,...", "balancers whose connections begin with the PROXY protocol (v1 or v2); others may not use it", func(p *parts) value { return netsValue{&p.l.ProxyFrom} }),
		opt(OfListener, Requests, "header-timeout", "TIME", "for the whole head of a request", func(p *parts) value { return timeValue{&p.l.HeaderTimeout} }),
		opt(OfListener, Requests, "keep-alive", "TIME", "how long a connection may be idle", func(p *parts) value { return timeValue{&p.l.KeepAlive} }),
		opt(OfListener, Requests, "max-header", "SIZE", "of the head of a request", func(p *parts) value { return intSize(&p.l.MaxHeader, 1<<10, 64<<10) }),
		opt(OfListener, Requests, "max-fields", "N", "fields of the head of a request", func(p *parts) value { return countValue{&p.l.MaxFields, 8, 1000} }),
		opt(OfListener, Requests, "min-rate", "SIZE", "bytes a second that a body has to come with, once it took 10s; 0 is any", func(p *parts) value { return intSize(&p.l.MinRate, 0, 1<<30) }),
		opt(OfListener, Requests, "h2", "BOOL", "offer HTTP/2 to clients; without TLS to those that begin with it", func(p *parts) value { return switchValue{&p.l.H2} }),
		opt(OfListener, Requests, "max-streams", "N", "requests at once of one HTTP/2 connection", func(p *parts) value { return countValue{&p.l.MaxStreams, 1, 10000} }),
	}
}

func tlsOptions() []Option {
	return []Option{
		opt(OfListener, ListenTLS, "cert", "PATH,...", "certificates: a file (PEM, with its key in it or in key=), or a folder with tls.crt and tls.key, or with pairs of *.crt and *.key. The first one is for names that no other has", func(p *parts) value { return listValue{&p.l.TLS.Cert, nil} }),
		opt(OfListener, ListenTLS, "key", "PATH,...", "keys of certificates that are files without one", func(p *parts) value { return listValue{&p.l.TLS.Key, nil} }),
		opt(OfListener, ListenTLS, "min-tls", "1.2|1.3", "oldest version", func(p *parts) value { return choiceValue{&p.l.TLS.Min, []string{"1.2", "1.3"}} }),
		opt(OfListener, BytesTLS, "alpn", "NAME,...", "protocols that are offered to clients", func(p *parts) value { return listValue{&p.l.TLS.ALPN, nil} }),
		opt(OfListener, ListenTLS, "strict-sni", "BOOL", "refuse names that no certificate has", func(p *parts) value { return switchValue{&p.l.TLS.StrictSNI} }),
		opt(OfListener, ListenTLS, "ticket-key", "PATH", "file with the secret of session tickets, for replicas that share it", func(p *parts) value { return textValue{to: &p.l.TLS.TicketKey} }),
		opt(OfListener, ListenTLS, "client-ca", "PATH,...", "authorities of client certificates: files or folders", func(p *parts) value { return listValue{&p.l.TLS.ClientCA, nil} }),
		opt(OfListener, ListenTLS, "client-crl", "PATH,...", "lists of revoked client certificates", func(p *parts) value { return listValue{&p.l.TLS.ClientCRL, nil} }),
		opt(OfListener, ListenTLS, "client-auth", "require|request", "whether a client may come without certificate; require where client-ca is given", func(p *parts) value { return choiceValue{&p.l.TLS.ClientAuth, []string{"require", "request"}} }),
		opt(OfListener, ListenTLS, "allow-san", "NAME,...", "DNS names of clients that may come in; *.example.com is one label", func(p *parts) value { return listValue{&p.l.TLS.SAN, nil} }),
		opt(OfListener, ListenTLS, "allow-uri", "URI,...", "URIs of clients, such as spiffe://cluster.local/ns/web/sa/*", func(p *parts) value { return listValue{&p.l.TLS.URI, nil} }),
		opt(OfListener, ListenTLS, "allow-cn", "NAME,...", "common names of clients", func(p *parts) value { return listValue{&p.l.TLS.CN, nil} }),
		opt(OfListener, ListenTLS, "allow-ou", "NAME,...", "organisational units of clients", func(p *parts) value { return listValue{&p.l.TLS.OU, nil} }),
		opt(OfListener, ListenTLS, "handshake-timeout", "TIME", "for the handshake of a client", func(p *parts) value { return timeValue{&p.l.HandshakeTimeout} }),
	}
}

func requestOptions() []Option {
	return []Option{
		opt(OfRoute, Requests, "host", "NAME,...", "hosts that the route is for; *.example.com is every name below", func(p *parts) value { return listValue{&p.r.Match.Hosts, checkHost} }),
		opt(OfRoute, Requests, "path", "PREFIX", "paths that the route is for, by whole segments; the longest prefix wins", func(p *parts) value { return textValue{&p.r.Match.Path, checkPath} }),
		opt(OfRoute, Requests, "strip", "PREFIX", "taken off the path before it is sent", func(p *parts) value { return textValue{&p.r.Strip, checkPath} }),
		opt(OfRoute, Requests, "redirect", "https|URL", "answer with the same address under https, or under another host, instead of an upstream", func(p *parts) value { return textValue{&p.r.Redirect, checkRedirect} }),
		opt(OfRoute, Redirects, "redirect-code", "CODE", "301, 302, 303, 307 or 308", func(p *parts) value { return countValue{&p.r.RedirectCode, 301, 308} }),
		opt(OfRoute, Requests, "trusted", "CIDR,...", "proxies before this one, whose X-Forwarded-* and Forwarded are believed; of others they are dropped", func(p *parts) value { return netsValue{&p.r.Trusted} }),
		opt(OfRoute, Requests, "forwarded", "x|rfc7239|both|off", "which fields tell the upstream of the client: X-Forwarded-For, -Proto, -Host and -Port, or Forwarded", func(p *parts) value {
			return choiceValue{&p.r.Forwarded, []string{"x", "rfc7239", "both", "off"}}
		}),
		opt(OfRoute, Requests, "send-host", "client|upstream|NAME", "the Host that the upstream sees", func(p *parts) value { return textValue{&p.r.Host, checkSendHost} }),
		opt(OfRoute, Requests, "request-id", "FIELD", "field with an identifier of the request, taken from trusted proxies or made; off for none", func(p *parts) value { return textValue{&p.r.RequestID, checkFieldName} }),
		opt(OfRoute, Requests, "set-header", "NAME:VALUE", "field of the request that is set", func(p *parts) value { return pairsValue{&p.r.Set, checkField} }),
		opt(OfRoute, Requests, "remove-header", "NAME,...", "fields of the request that are removed", func(p *parts) value { return listValue{&p.r.Remove, checkFieldName} }),
		opt(OfRoute, Requests, "set-response-header", "NAME:VALUE", "field of the answer that is set", func(p *parts) value { return pairsValue{&p.r.SetAnswer, checkField} }),
		opt(OfRoute, Requests, "remove-response-header", "NAME,...", "fields of the answer that are removed", func(p *parts) value { return listValue{&p.r.RemoveAnswer, checkFieldName} }),
		opt(OfRoute, Anything, "log", "all|errors|off", "which requests or connections are in the access log", func(p *parts) value { return choiceValue{&p.r.Log, []string{"all", "errors", "off"}} }),
		opt(OfRoute, Anything, "log-sample", "0..1", "part of those without error that is logged; errors always are", func(p *parts) value { return rateValue{&p.r.Sample, 1} }),
	}
}

func limitOptions() []Option {
	return []Option{
		opt(OfRoute, Requests, "max-body", "SIZE", "of a request, 413 beyond it; 0 is no limit", func(p *parts) value {
			return sizeValue{func(n int64) { p.r.MaxBody = n }, func() int64 { return p.r.MaxBody }, 0, math.MaxInt64}
		}),
		opt(OfRoute, Requests, "max-requests", "N", "under way at once, 503 beyond it; 0 is no limit", func(p *parts) value { return countValue{&p.r.MaxRequests, 0, 1 << 24} }),
		opt(OfRoute, Requests, "rate", "N", "requests a second of one client, 429 beyond it; 0 is no limit", func(p *parts) value { return rateValue{&p.r.Rate, 1e6} }),
		opt(OfRoute, Requests, "burst", "N", "requests of one client that may come at once; as many as rate, or one", func(p *parts) value { return countValue{&p.r.Burst, 0, 1 << 20} }),
		opt(OfRoute, Requests, "response-timeout", "TIME", "until the head of the answer is there, 504 beyond it; 0 is no limit", func(p *parts) value { return timeValue{&p.r.Response} }),
		opt(OfRoute, Requests, "silence", "TIME", "between two bytes of a body, or of an upgraded connection; 0 is no limit", func(p *parts) value { return timeValue{&p.r.Silence} }),
		opt(OfRoute, Bytes, "idle", "TIME", "a connection without a byte in either direction is closed; 0 is no limit", func(p *parts) value { return timeValue{&p.r.Idle} }),
		opt(OfRoute, Bytes, "half-idle", "TIME", "the same when one side has ended", func(p *parts) value { return timeValue{&p.r.HalfIdle} }),
	}
}

func clusterOptions() []Option {
	return []Option{
		opt(OfCluster, ToTLS, "ca", "PATH,...", "authorities of the server's certificate: files or folders; those of the system where it is not given", func(p *parts) value { return listValue{&p.c.TLS.CA, nil} }),
		opt(OfCluster, ToTLS, "client-cert", "PATH", "certificate to show: a file, or a folder with tls.crt and tls.key", func(p *parts) value { return textValue{to: &p.c.TLS.Cert} }),
		opt(OfCluster, ToTLS, "client-key", "PATH", "its key, where it is in a file of its own", func(p *parts) value { return textValue{to: &p.c.TLS.Key} }),
		opt(OfCluster, ToTLS, "sni", "NAME", "name that is asked for and verified, instead of the host", func(p *parts) value { return textValue{&p.c.TLS.ServerName, checkName} }),
		opt(OfCluster, ToTLS, "pin", "HASH,...", "sha256 of the server's public key, in base64; one of them has to be in the chain", func(p *parts) value { return listValue{&p.c.TLS.Pins, checkPin} }),
		opt(OfCluster, ToTLS, "pin-only", "BOOL", "the pins alone decide, for certificates that nobody signed", func(p *parts) value { return switchValue{&p.c.TLS.PinOnly} }),
		opt(OfCluster, ToTLS, "verify", "full|ca", "ca leaves the name out, for databases whose certificate has another one", func(p *parts) value { return choiceValue{&p.c.TLS.Verify, []string{"full", "ca"}} }),
		opt(OfCluster, ToTLS, "insecure", "BOOL", "verify nothing: whoever is in between reads and changes everything", func(p *parts) value { return switchValue{&p.c.TLS.Insecure} }),
		opt(OfCluster, ToTLS, "upstream-min-tls", "1.2|1.3", "oldest version", func(p *parts) value { return choiceValue{&p.c.TLS.Min, []string{"1.2", "1.3"}} }),
		opt(OfCluster, ToTLS, "starttls", "postgres|mysql", "the server speaks its own protocol before TLS", func(p *parts) value { return choiceValue{&p.c.StartTLS, []string{"postgres", "mysql"}} }),
		opt(OfCluster, Anything, "send-proxy", "1|2", "begin connections with the PROXY protocol of this version", func(p *parts) value { return countValue{&p.c.Send, 0, 2} }),
		opt(OfCluster, Anything, "connect-timeout", "TIME", "for connection and handshake", func(p *parts) value { return timeValue{&p.c.Timeout} }),
		opt(OfCluster, Requests, "pool", "N", "idle connections that are kept", func(p *parts) value { return countValue{&p.c.Pool.Idle, 0, 1 << 16} }),
		opt(OfCluster, Requests, "pool-idle", "TIME", "an idle connection is used again within this time; stay below what the upstream allows", func(p *parts) value { return timeValue{&p.c.Pool.Timeout} }),
		opt(OfCluster, Requests, "pool-age", "TIME", "and not when it is older than this; 0 is no limit", func(p *parts) value { return timeValue{&p.c.Pool.Age} }),
	}
}

// Defaults shows what an option is when it is not given.
func (o Option) Default() string {
	return strings.Join(o.bind(blank()).show(), ",")
}

func checkRedirect(text string) error {
	if text == "https" {
		return nil
	}
	rest, ok := strings.CutPrefix(text, "https://")
	if !ok {
		rest, ok = strings.CutPrefix(text, "http://")
	}
	if !ok || rest == "" || strings.ContainsAny(rest, "?# \t\r\n${}") { // the last three would be variables elsewhere
		return errors.New("want https, or a base such as https://www.example.com, to which the path is added; there are no variables")
	}
	return nil
}

func checkPath(text string) error {
	if !strings.HasPrefix(text, "/") || strings.ContainsAny(text, "?# \t\r\n\x00") {
		return fmt.Errorf("want a path that begins with /")
	}
	if whole := text + "/"; strings.Contains(whole, "/./") || strings.Contains(whole, "/../") {
		return errors.New("want a path without dot segments")
	}
	return nil
}
