package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/e2e/engine"
)

// mariaDB starts a server and waits until it takes queries.
func mariaDB(t *testing.T, e engine.Engine, tls map[string]string) (container, ip string) {
	t.Helper()
	container, ip = database(t, e, "mariadb", "999:999", tls)
	eventually(t, time.Minute, "MariaDB", func() error {
		_, err := e.Do(t.Context(), "exec", container, "mariadb", "-S", "/data/db.sock", "-u", "root", "-e", "SELECT 1 FROM mysql.user WHERE user = 'app'")
		return err
	})
	return container, ip
}

const mariaClient = "mariadb --no-defaults --protocol=TCP -h 127.0.0.1 -u app -psecret -N -B shop "

// TestProxyTunnelsToMariaDB: the route of the manual, as written, with MariaDB's own client and a server that takes nobody
// without TLS.
func TestProxyTunnelsToMariaDB(t *testing.T) {
	t.Parallel()
	e := containers(t)
	ca := newAuthority(t)
	_, ip := mariaDB(t, e, ca.secret(t, time.Hour, "db1.example"))
	s := newStage(t, e, map[string]string{"db1.example": ip})
	s.fails("", strings.Replace(mariaClient, "127.0.0.1", "db1.example", 1)+"--skip-ssl -e 'SELECT 1'", "ERROR")

	config := folder(t, map[string]string{
		"ca.pem":     ca.pem(),
		"proxy.yaml": "clusters:\n  - name: proj:region:orders\n    upstream: tls://db1.example:3306\n    ca: /ca.pem\n    starttls: mysql\n",
	})
	proxy := s.proxy([]string{config + "/ca.pem:/ca.pem:ro", config + ":/etc/sidecar:ro"},
		"--route", "orders=tcp://127.0.0.1:3306 => tls://db1.example:3306?ca=/ca.pem&starttls=mysql",
		"--config=/etc/sidecar/proxy.yaml", "--instances=proj:region:orders=tcp:0.0.0.0:3307")

	s.says("", mariaClient+"-e \"SELECT CONCAT('six times seven is ', 6*7); SHOW STATUS LIKE 'Ssl_version'\"", "six times seven is 42")
	s.says("", mariaClient+"-P 3307 -e \"SELECT CONCAT('by ', 'instances')\"", "by instances")
	s.says("", mariaClient+"-e \"CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(100)); INSERT INTO t SELECT seq, REPEAT('v', 90) FROM seq_1_to_20000; PREPARE p FROM 'SELECT MAX(id) + ? FROM t'; SET @a = 5; EXECUTE p USING @a\"", "20005")
	s.says("", mariaClient+"--compress -e \"SELECT COUNT(*), SUM(LENGTH(v)) FROM t; SELECT REPEAT('y', 100000) INTO @x; SELECT LENGTH(@x)\"", "20000\t1800000", "100000")
	s.says("", mariaClient+"--compress -q -e 'SELECT a.id, b.v FROM t a JOIN t b ON b.id = a.id' | wc -l", "20000")
	s.says("", mariaClient+"-q -e \"SELECT seq, REPEAT('z', 1000) FROM seq_1_to_60000\" | wc -c", "60408894")
	s.says("", mariaClient+"--max-allowed-packet=64M -e \"SELECT LENGTH(REPEAT('w', 40000000)), REPEAT('w', 40000000)\" | wc -c", "40000010")
	s.says("", "{ echo -n \"SELECT LENGTH('\"; head -c 20000000 /dev/zero | tr '\\0' q; echo \"')\"; } | "+mariaClient+"--max-allowed-packet=64M", "20000000")
	s.says("", "for i in 1 2 3 4 5 6 7 8; do "+mariaClient+"-e 'SELECT SLEEP(0.2), CONNECTION_ID()' & done; wait; echo all", "all")

	// What the server says of the login reaches the user.
	s.fails("", strings.Replace(mariaClient, "-psecret", "-pwrong", 1)+"-e 'SELECT 1'", "ERROR 1045 (28000)", "Access denied for user 'app'@")
	s.fails("", strings.Replace(mariaClient, " shop ", " nowhere ", 1)+"-e 'SELECT 1'", "nowhere")
	// A client that prefers TLS on its own side goes on without; one that insists is told that there is none.
	s.says("", mariaClient+"--ssl -e \"SELECT 'preferred'\"", "preferred")
	s.fails("", mariaClient+"--ssl --ssl-verify-server-cert -e 'SELECT 1'", "SSL")
	s.logs(proxy, `"kind":"stream"`, `"route":"orders"`)
	s.ends(proxy)
}

// TestProxyTrustsNoWrongMariaDB: with a wrong authority, name or date nothing of the login reaches the server. Client and log
// are told.
func TestProxyTrustsNoWrongMariaDB(t *testing.T) {
	t.Parallel()
	e := containers(t)
	ca, other := newAuthority(t), newAuthority(t)
	good, goodIP := mariaDB(t, e, ca.secret(t, time.Hour, "db1.example"))
	old, oldIP := mariaDB(t, e, ca.secret(t, -time.Hour, "db1.example"))
	_, plainIP := mariaDB(t, e, nil)
	s := newStage(t, e, map[string]string{"db1.example": goodIP, "db2.example": goodIP, "old.example": oldIP, "plain.example": plainIP})
	files := folder(t, map[string]string{"ca.pem": ca.pem(), "other.pem": other.pem()})
	proxy := s.proxy([]string{files + ":/ca:ro"},
		"wrongca=tcp://127.0.0.1:3301 => tls://db1.example:3306?ca=/ca/other.pem&starttls=mysql",
		"wrongname=tcp://127.0.0.1:3302 => tls://db2.example:3306?ca=/ca/ca.pem&starttls=mysql",
		"expired=tcp://127.0.0.1:3303 => tls://old.example:3306?ca=/ca/ca.pem&starttls=mysql&sni=db1.example",
		"plain=tcp://127.0.0.1:3304 => tls://plain.example:3306?ca=/ca/ca.pem&starttls=mysql",
		"refused=tcp://127.0.0.1:3305 => tls://127.0.0.1:1?ca=/ca/ca.pem&starttls=mysql",
	)
	for _, c := range []struct {
		port, route string
		user, log   []string
	}{
		{"3301", "wrongca", []string{"certificate"}, []string{`"step":"tls"`, "unknown authority", "hint: ", "option ca"}},
		{"3302", "wrongname", []string{"certificate"}, []string{`"step":"tls"`, "db1.example", "hint: ", "option sni"}},
		{"3303", "expired", []string{"certificate"}, []string{`"step":"tls"`, "expired", "hint: "}},
		{"3304", "plain", []string{"TLS"}, []string{`"step":"starttls"`, "hint: "}},
		{"3305", "refused", []string{"refused"}, []string{`"step":"connect"`, "refused", "hint: "}},
	} {
		s.fails("", "timeout 20 "+mariaClient+"-P "+c.port+" -e 'SELECT 1'", append(c.user, "ERROR")...)
		s.logs(proxy, append(c.log, `"route":"`+c.route+`"`)...)
	}
	for _, server := range []string{good, old} {
		log, err := e.Do(t.Context(), "exec", server, "cat", "/data/general.log")
		if err != nil || !strings.Contains(log, "root@localhost") {
			t.Errorf("the log of queries does not work: %v: %s", err, log)
		}
		if strings.Contains(log, "app@") || strings.Contains(log, "Access denied") {
			t.Errorf("something of the login reached the server:\n%s", log)
		}
	}
	s.ends(proxy)
}
