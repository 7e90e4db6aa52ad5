// Package route is what the proxy is told to do, as data: which addresses it listens on, which requests or connections go
// where, and under which conditions. It reads routes as text and as keys of a file, finds every mistake at once, and does no
// I/O: files that a route names are opened by others. Used by the proxy role.
package route

import (
	"io/fs"
	"net/netip"
	"time"
)

// Table is everything that is in force together. It does not change once it is built; a reload builds another one.
type Table struct {
	Listeners []*Listener // in the order in which routes name them
	Routes    []*Route
	Clusters  []*Cluster
}

// Listener is an address that connections come in at. Several HTTP routes may share one.
type Listener struct {
	URL     string // as text, such as https://:8443
	Network string // tcp or unix
	Address string // host:port, a path, or @name for an abstract socket
	HTTP    bool   // requests; otherwise bytes
	TLS     *ServerTLS
	Place   string

	Mode      fs.FileMode // of a unix socket
	Owner     string      // uid:gid of a unix socket, empty leaves it
	MaxConns  int         // 0 is as many as the limit of descriptors allows
	MaxPerIP  int         // 0 is no limit
	ProxyFrom []netip.Prefix

	HandshakeTimeout time.Duration
	HeaderTimeout    time.Duration // until the whole head of a request is there
	KeepAlive        time.Duration // an idle connection of HTTP
	MaxHeader        int           // bytes of a head
	MaxFields        int
	H2               bool
	MaxStreams       int // of an HTTP/2 connection
	MinRate          int // bytes a second that a body has to keep up, 0 is none

	Routes []*Route

	settings []shown
}

// ServerTLS is what is said about TLS from clients.
type ServerTLS struct {
	Cert, Key           []string // files or folders
	ClientCA, ClientCRL []string
	ClientAuth          string // request, require, or empty where there is no ClientCA
	SAN, URI, CN, OU    []string
	Min                 string // 1.2 or 1.3
	ALPN                []string
	StrictSNI           bool
	TicketKey           string
}

// Match says which requests of a listener a route is for.
type Match struct {
	Hosts []string // exact, *.example.com, or none for every host
	Path  string   // prefix of whole segments, "/" for every path
}

// Route is one way from a listener to a cluster.
type Route struct {
	Name     string
	Place    string // where it is written
	Listener *Listener
	Match    Match
	Cluster  *Cluster // nil where Redirect answers

	// requests
	Redirect       string // https, or the base of another address
	RedirectCode   int
	Trusted        []netip.Prefix
	Forwarded      string // x, rfc7239, both or off
	Host           string // client, upstream, or the name to send
	RequestID      string // name of the field, or off
	Strip          string // prefix that is taken off the path
	Prefix         string // put before the path; from the upstream's URL
	Set, SetAnswer [][2]string
	Remove         []string
	RemoveAnswer   []string
	MaxBody        int64 // 0 is no limit
	MaxRequests    int   // under way at once, 0 is no limit
	Rate           float64
	Burst          int
	Response       time.Duration // until the head of the answer is there
	Silence        time.Duration // between two bytes of a body
	Log            string        // all, errors or off
	Sample         float64       // part of the requests without error that are logged

	// bytes
	Idle     time.Duration // both directions silent, 0 is no limit
	HalfIdle time.Duration // after one side ended

	settings []shown
}

// Cluster is where requests or connections go. Now it has one address; discovery, balance, health and limits come beside it.
type Cluster struct {
	Name     string
	Named    bool   // it stands in the file with a name; otherwise a route wrote it
	URL      string // as text
	Place    string
	Source   Source
	TLS      *ClientTLS
	Protocol string // tcp, http/1.1, h2 or h2c
	StartTLS string // "", postgres or mysql
	Send     int    // version of the PROXY protocol that is sent, 0 is none
	Timeout  time.Duration
	Pool     Pool

	path     string // of its URL
	settings []shown
}

// Source says how the addresses of a cluster are found.
type Source struct {
	Network string // tcp or unix
	Address string
}

// Pool says how idle connections of a cluster are kept.
type Pool struct {
	Idle    int           // connections
	Timeout time.Duration // a connection that is idle for longer is not used again
	Age     time.Duration // nor one that is older, 0 is no limit
}

// ClientTLS is what is said about TLS to a cluster.
type ClientTLS struct {
	CA         []string
	Cert, Key  string
	ServerName string
	Pins       []string
	PinOnly    bool // pins alone decide
	Insecure   bool
	Min        string
	Verify     string // full or ca: the chain without the name
}
