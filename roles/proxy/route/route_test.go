package route

import (
	"strings"
	"testing"
	"time"
)

// table builds routes that are written as text.
func table(t testing.TB, texts ...string) *Table {
	t.Helper()
	got, err := build(texts...)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func build(texts ...string) (*Table, error) {
	var drafts []Draft
	for _, text := range texts {
		d, err := ParseText(text, "--route")
		if err != nil {
			return nil, err
		}
		drafts = append(drafts, d)
	}
	return Build(drafts, []Draft{{Name: "db", Upstream: "tls://db1.example", Place: "f:1", Settings: []Setting{{Key: "starttls", Value: "mysql", Side: OfRoute}}}})
}

func TestExamplesOfTheManual(t *testing.T) {
	t1 := table(t, `https://:8443?cert=/tls => http://127.0.0.1:8080`)
	r := t1.Routes[0]
	if l := r.Listener; !l.HTTP || l.TLS == nil || l.Address != ":8443" || l.TLS.Cert[0] != "/tls" || l.TLS.ClientAuth != "" {
		t.Errorf("listener = %+v", l)
	}
	if c := r.Cluster; c.Protocol != "http/1.1" || c.TLS != nil || c.Source != (Source{"tcp", "127.0.0.1:8080"}) {
		t.Errorf("cluster = %+v", c)
	}
	t2 := table(t, `orders=tcp://127.0.0.1:3306 => tls://db1.example:3306?ca=/ca.pem&starttls=mysql`)
	r = t2.Routes[0]
	if c := r.Cluster; r.Name != "orders" || c.StartTLS != "mysql" || c.TLS.CA[0] != "/ca.pem" || c.TLS.ServerName != "db1.example" || r.Listener.HTTP {
		t.Errorf("route = %+v, cluster = %+v", r, c)
	}
	t3 := table(t, `unix:///s/pg.sock?mode=0660 => tls://pg:5432?starttls=postgres`)
	if l := t3.Listeners[0]; l.Network != "unix" || l.Address != "/s/pg.sock" || l.Mode != 0o660 || l.HTTP {
		t.Errorf("listener = %+v", l)
	}
	t4 := table(t, `tls://:6380?cert=/tls => tcp://127.0.0.1:6379`)
	if l, c := t4.Listeners[0], t4.Clusters[0]; l.TLS == nil || l.HTTP || c.Protocol != "tcp" || c.TLS != nil {
		t.Errorf("listener = %+v, cluster = %+v", l, c)
	}
}

func TestUnixSocketsBothSides(t *testing.T) {
	got := table(t, `unix:///s/app.sock => http+unix:///run/app.sock`, `unix://@abstract => unix:///run/db.sock`)
	if l := got.Listeners[0]; !l.HTTP || l.Network != "unix" {
		t.Errorf("listener = %+v; want requests", l)
	}
	if c := got.Clusters[0]; c.Source != (Source{"unix", "/run/app.sock"}) || c.Protocol != "http/1.1" {
		t.Errorf("cluster = %+v", c)
	}
	if l := got.Listeners[1]; l.HTTP || l.Address != "@abstract" {
		t.Errorf("listener = %+v; want bytes", l)
	}
}

func TestRoutesShareAListener(t *testing.T) {
	got := table(t,
		`https://:8443?cert=/tls&max-conns=10 => http://127.0.0.1:8080`,
		`https://:8443?path=/api&keep-alive=5s&client-ca=/ca => http://127.0.0.1:8081/v1?pool=3`,
		`https://:8443?host=a.example,*.b.example => http://127.0.0.1:8080`)
	if len(got.Listeners) != 1 || len(got.Listeners[0].Routes) != 3 || len(got.Clusters) != 2 {
		t.Fatalf("%d listeners, %d clusters", len(got.Listeners), len(got.Clusters))
	}
	l := got.Listeners[0]
	if l.MaxConns != 10 || l.KeepAlive != 5*time.Second || l.TLS.ClientAuth != "require" {
		t.Errorf("listener = %+v, %+v; want the options of both routes", l, l.TLS)
	}
	if r := got.Routes[1]; r.Prefix != "/v1" || r.Match.Path != "/api" || r.Name != "https://:8443 /api" || r.Cluster.Pool.Idle != 3 {
		t.Errorf("route = %+v", r)
	}
}

func TestRateIsItsOwnBurst(t *testing.T) {
	got := table(t, `http://:80?rate=25 => http://127.0.0.1:8080`)
	if r := got.Routes[0]; r.Rate != 25 || r.Burst != 25 {
		t.Errorf("rate %v, burst %d; want 25 and 25", r.Rate, r.Burst)
	}
}

func TestClustersOfTheFile(t *testing.T) {
	got := table(t, `tcp://127.0.0.1:3307 => cluster:db`)
	if c := got.Routes[0].Cluster; c.Name != "db" || c.Source.Address != "db1.example:3306" || c.StartTLS != "mysql" {
		t.Errorf("cluster = %+v", c)
	}
	drafts, err := ParseInstances("db=tcp:0.0.0.0:3306, db=tcp:3308,db=unix:/s/db", "--instances")
	if err != nil || len(drafts) != 3 {
		t.Fatalf("ParseInstances = %v, %v", drafts, err)
	}
	for i, want := range []string{"tcp://0.0.0.0:3306", "tcp://127.0.0.1:3308", "unix:///s/db"} {
		if drafts[i].Listen != want || drafts[i].Upstream != "cluster:db" {
			t.Errorf("instance %d = %+v; want %s", i, drafts[i], want)
		}
	}
}

func TestComplaintsSayWhatIsRight(t *testing.T) {
	tests := []struct{ text, want string }{
		{`https://:8443 => http://127.0.0.1:8080`, `https://:8443: want cert=PATH`},
		{`https://:8443?crt=/tls => http://127.0.0.1:8080`, `unknown option "crt", did you mean`},
		{`https://:8443?cert=/tls => http://127.0.0.1:8080?cert=/x`, `after => want client-cert`},
		{`https://:8443?cert=/tls&ca=/x => http://127.0.0.1:8080`, `before => want client-ca`},
		{`tcp://:1 => http://127.0.0.1:8080`, `takes bytes and http://127.0.0.1:8080 takes requests`},
		{`http://:1 => tcp://127.0.0.1:8080`, `takes requests and tcp://127.0.0.1:8080 takes bytes`},
		{`http://:1`, `want an upstream`},
		{`http://:1 =>`, `there is no upstream after =>`},
		{`=> http://127.0.0.1:1`, `want LISTEN => UPSTREAM`},
		{`http://:1 => http://a => http://b`, `has => twice`},
		{`http://example.com:80 => http://127.0.0.1:1`, `want an IP address of this machine`},
		{`http://:1/x => http://127.0.0.1:1`, `want path=/x as an option`},
		{`http://:99999 => http://127.0.0.1:1`, `want a number from 0 to 65535`},
		{`http:// => http://127.0.0.1:1`, `want a port`},
		{`gopher://:1 => http://127.0.0.1:1`, `nothing listens for gopher://`},
		{`tcp://:1 => gopher://x:1`, `no upstream is reached by gopher://`},
		{`tcp://:1 => tcp://x`, `want a port, such as tcp://x:5432`},
		{`tcp://:1 => tcp://::1`, `want brackets around an IPv6 address`},
		{`tcp://:1 => tcp://u:secret@x:1`, `a password in an address is not used`},
		{`tcp://:1 => unix://relative`, `want an absolute path`},
		{`unix:///` + strings.Repeat("x", 107) + ` => tcp://x:1`, `the system takes 107`},
		{`tcp://:1 => cluster:dbb`, `no cluster "dbb" in the config file, did you mean db?`},
		{`tcp://:1 => cluster:db?ca=/x`, `ca belongs to the cluster db`},
		{`http://:1?redirect=https => http://127.0.0.1:1`, `want one of them`},
		{`http://:1?redirect=https&redirect-code=305`, `want 301, 302, 303, 307 or 308`},
		{`tcp://:1?redirect=https`, `redirect= needs requests`},
		{`http://:1?redirect=ftp://x`, `want https, or a base`},
		{`http://:1?mode=0600 => http://127.0.0.1:1`, `mode is for unix sockets`},
		{`unix:///x?mode=abc => tcp://x:1`, `want octal permissions`},
		{`unix:///x?owner=root => tcp://x:1`, `want numbers such as 1000:2000`},
		{`tcp://:1?host=x => tcp://x:1`, `host is for HTTP routes`},
		{`http://:1?idle=1s => http://127.0.0.1:1`, `idle is for TCP routes`},
		{`tcp://:1 => tcp://x:1?ca=/x`, `ca is for upstreams with TLS`},
		{`http://:1 => https://x?starttls=mysql`, `needs tls:// as the upstream`},
		{`tcp://:1 => tls://x:1?pin-only`, `want pin=HASH`},
		{`tcp://:1 => tls://x:1?pin=abc`, `want the sha256 of a public key`},
		{`tcp://:1 => tls://x:1?insecure&ca=/x`, `insecure verifies nothing`},
		{`tcp://:1 => tls://x:1?client-key=/x`, `want client-cert, too`},
		{`tls://:1?cert=/x&allow-cn=x => tcp://x:1`, `without client-ca=PATH`},
		{`http://:1?set-header=Connection:x => http://127.0.0.1:1`, `the proxy decides about this field`},
		{`http://:1?set-header=Host:x => http://127.0.0.1:1`, `want send-host`},
		{`http://:1?set-header=A%20B:x => http://127.0.0.1:1`, `want the name of a header field`},
		{`http://:1?set-header=A:x%0d%0aB:y => http://127.0.0.1:1`, `control character`},
		{`http://:1?trusted=10.0.0.0/33 => http://127.0.0.1:1`, `want addresses or CIDRs`},
		{`http://:1?max-body=10x => http://127.0.0.1:1`, `want a size from 0`},
		{`http://:1?max-body=9999999999g => http://127.0.0.1:1`, `want a size from 0`},
		{`http://:1?rate=NaN => http://127.0.0.1:1`, `want a number from 0`},
		{`http://:1?keep-alive=-1s => http://127.0.0.1:1`, `want a duration`},
		{`http://:1?forwarded=maybe => http://127.0.0.1:1`, `want x, rfc7239, both, off`},
		{`http://:1?path=x => http://127.0.0.1:1`, `want a path that begins with /`},
		{`http://:1?path=/a/../b => http://127.0.0.1:1`, `want a path without dot segments`},
		{`http://:1?host=münchen.example => http://127.0.0.1:1`, `begins with xn--`},
		{`http://:1?redirect=https://$host`, `there are no variables`},
		{`https://:1?cert=/tls&alpn=h3 => http://127.0.0.1:1`, `alpn is for TCP routes with TLS, and this is https://:1`},
		{`http://:1?path=/a&strip=/b => http://127.0.0.1:1`, `want a prefix of that`},
		{`http://:1?log=%zz => http://127.0.0.1:1`, `want %XX for special characters`},
		{`http://:1?log=all&log=off => http://127.0.0.1:1`, `log is there twice`},
		{`http://:1? => http://127.0.0.1:1?=x`, `an option without name`},
	}
	for _, tt := range tests {
		_, err := build(tt.text)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("build(%s) = %v; want %q", tt.text, err, tt.want)
		}
	}
}

func TestRoutesInEachOthersWay(t *testing.T) {
	tests := []struct {
		texts []string
		want  string
	}{
		{[]string{`http://:1 => http://127.0.0.1:1`, `http://:1 => http://127.0.0.1:2`}, `the route http://:1 is also at --route`},
		{[]string{`a=http://:1 => http://127.0.0.1:1`, `b=http://:1 => http://127.0.0.1:2`}, `b is for the same requests as a`},
		{[]string{`tcp://:1 => tcp://x:1`, `http://:1 => http://x:1`}, `is also the address of tcp://:1`},
		{[]string{`https://:1?cert=/a => http://x:1`, `http://:1?path=/b => http://x:1`}, `share an address only where`},
		{[]string{`http://:1?max-conns=1 => http://x:1`, `http://:1?path=/b&max-conns=2 => http://x:1`}, `max-conns=2: the route at --route says max-conns=1`},
	}
	for _, tt := range tests {
		_, err := build(tt.texts...)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("build(%q) = %v; want %q", tt.texts, err, tt.want)
		}
	}
}

func TestAllComplaintsAtOnce(t *testing.T) {
	_, err := build(`https://:8443?crt=/tls&mode=0600 => http://127.0.0.1:8080`, `tcp://:1 => cluster:x`)
	if got := strings.Count(err.Error(), "\n") + 1; got < 3 {
		t.Errorf("%d complaints in %v; want at least 3", got, err)
	}
}

// TestEffectiveRoutesCanBeFedBack: what config prints makes the same table.
func TestEffectiveRoutesCanBeFedBack(t *testing.T) {
	for _, text := range []string{
		`https://:8443?cert=/tls,/more&client-ca=/ca&allow-san=a,b => http://127.0.0.1:8080/v1`,
		`http://:80?redirect=https`, `http://:80?request-id=off&set-header=A:1&set-header=B:x,y => https://a.example?pin-only&pin=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=`,
		`db=tcp://127.0.0.1:3306 => cluster:db`, `unix:///s/pg.sock?mode=0600&owner=:5 => tls://pg:5432?starttls=postgres&idle=5m`,
	} {
		first := table(t, text)
		d := Draft{Place: "again"}
		for _, e := range first.Routes[0].Entries() {
			switch e.Key {
			case "name":
				d.Name = e.Values[0]
			case "listen":
				d.Listen = e.Values[0]
			case "upstream":
				d.Upstream = e.Values[0]
			default:
				for _, v := range e.Values {
					d.Settings = append(d.Settings, Setting{Key: e.Key, Value: v, Side: OfRoute})
				}
			}
		}
		second, err := Build([]Draft{d}, []Draft{{Name: "db", Upstream: "tls://db1.example", Place: "f:1", Settings: []Setting{{Key: "starttls", Value: "mysql", Side: OfRoute}}}})
		if err != nil {
			t.Errorf("%s: fed back: %v", text, err)
			continue
		}
		if a, b := first.Routes[0].Key(), second.Routes[0].Key(); a != b {
			t.Errorf("%s: fed back it is\n%q\nwant\n%q", text, b, a)
		}
	}
}

func TestKeysTellWhatChanged(t *testing.T) {
	a, b := table(t, `http://:1 => http://x:1`).Routes[0], table(t, `http://:1 => http://x:1?pool=5`).Routes[0]
	if a.Key() == b.Key() || a.Cluster.Key() == b.Cluster.Key() || a.Listener.Key() != b.Listener.Key() {
		t.Error("another pool is another cluster and route, and the same listener")
	}
}

func FuzzRoutes(f *testing.F) {
	for _, s := range []string{`https://:8443?cert=/tls => http://127.0.0.1:8080`, `n=tcp://127.0.0.1:3306 => tls://d:1?ca=/ca.pem&starttls=mysql`, `unix:///s?mode=0660 => tls://pg:5432?starttls=postgres`, `http://:1?redirect=https`, `a=tcp:1,b=unix:/x`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = ParseInstances(text, "--instances")
		got, err := build(text)
		if err != nil {
			return
		}
		r := got.Routes[0]
		if r.Name == "" || r.Listener.Address == "" || r.Cluster == nil && r.Redirect == "" {
			t.Errorf("build(%q) = %+v", text, r)
		}
	})
}
