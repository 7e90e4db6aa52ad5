package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/e2e/engine"
)

func postgreSQL(t *testing.T, e engine.Engine, tls map[string]string) (container, ip string) {
	t.Helper()
	container, ip = database(t, e, "postgres", "postgres", tls)
	eventually(t, time.Minute, "PostgreSQL", func() error {
		_, err := e.Do(t.Context(), "exec", container, "psql", "-h", "/data", "-U", "app", "-d", "postgres", "-c", "SELECT 1")
		return err
	})
	return container, ip
}

const pgClient = "export PGPASSWORD=secret PGUSER=app PGDATABASE=postgres PGHOST=/s PGCONNECT_TIMEOUT=20; "

// TestProxyTunnelsToPostgreSQL: the route of the manual, as written, with psql by a unix socket, and a server that takes
// nobody without TLS.
func TestProxyTunnelsToPostgreSQL(t *testing.T) {
	t.Parallel()
	e := containers(t)
	ca := newAuthority(t)
	_, ip := postgreSQL(t, e, ca.secret(t, time.Hour, "pg"))
	volume := podName("sockets")
	t.Cleanup(func() { _, _ = e.Do(context.Background(), "volume", "rm", "-f", volume) }) // after those who use it
	s := newStage(t, e, map[string]string{"pg": ip}, "-v", volume+":/s")
	// psql looks for a socket of this name; the route of the manual has another.
	s.says("", "chown 0:65532 /s && chmod 2775 /s && ln -s pg.sock /s/.s.PGSQL.6000")
	files := folder(t, map[string]string{"ca.crt": ca.pem()})
	s.fails("", pgClient+"PGHOST=pg PGSSLMODE=disable psql -c 'SELECT 1'", "no encryption")
	// The authorities of the system are those of the file that the image has.
	proxy := s.proxy([]string{volume + ":/s", files + "/ca.crt:/etc/ssl/certs/ca-certificates.crt:ro", files + ":/ca:ro"},
		"unix:///s/pg.sock?mode=0660 => tls://pg:5432?starttls=postgres",
		"unix:///s/.s.PGSQL.5432?mode=0660 => tls://pg:5432?starttls=postgres&ca=/ca/ca.crt",
		"tcp=tcp://127.0.0.1:5433 => tls://pg:5432?starttls=postgres&ca=/ca/ca.crt",
	)
	const member = "1234:65532"
	s.says(member, pgClient+"psql -p 6000 -Atc 'SELECT 6*7'", "42")
	s.says(member, pgClient+"psql -Atc \"SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()\"", "t|TLSv1.3")
	s.fails("1234:1234", pgClient+"psql -c 'SELECT 1'", "ermission denied")
	s.fails(member, pgClient+"PGPASSWORD=wrong psql -c 'SELECT 1'", `password authentication failed for user "app"`)
	s.fails(member, pgClient+"psql -d nowhere -c 'SELECT 1'", `database "nowhere" does not exist`)

	s.says(member, pgClient+"pgbench=/usr/lib/postgresql/15/bin/pgbench; $pgbench -i -q -s 1 && $pgbench -M prepared -c 4 -t 50 && $pgbench -C -c 2 -t 20", "number of transactions actually processed: 200/200", "40/40")
	s.says(member, "seq 1 700000 | awk '{printf \"%d\\t%070d\\n\", $1, $1*7}' >/tmp/in; du -m /tmp/in; "+pgClient+
		"psql -c 'CREATE TABLE t (id int, v text)' && psql -c '\\copy t from /tmp/in' && psql -c '\\copy (select * from t order by id) to /tmp/out' && cmp /tmp/in /tmp/out && echo the same", "COPY 700000", "the same")
	// Ctrl-C is a request of its own, on a connection of its own.
	began := time.Now()
	s.fails(member, pgClient+"timeout -s INT 2 psql -c 'SELECT pg_sleep(120)'", "canceling statement due to user request")
	if took := time.Since(began); took > time.Minute {
		t.Errorf("cancelled after %s", took)
	}
	// A client that prefers TLS goes on without; one that requires it is told.
	s.says("", pgClient+"PGHOST=127.0.0.1 PGPORT=5433 PGSSLMODE=prefer psql -Atc \"SELECT 'preferred'\"", "preferred")
	s.says("", pgClient+"PGHOST=127.0.0.1 PGPORT=5433 PGSSLMODE=disable psql -Atc \"SELECT 'disabled'\"", "disabled")
	s.fails("", pgClient+"PGHOST=127.0.0.1 PGPORT=5433 PGSSLMODE=require psql -c 'SELECT 1'", "server does not support SSL, but SSL was required")
	began = time.Now()
	s.fails("", pgClient+"PGHOST=127.0.0.1 PGPORT=5433 PGSSLMODE=prefer timeout -s INT 2 psql -c 'SELECT pg_sleep(120)'", "canceling statement due to user request")
	if took := time.Since(began); took > time.Minute {
		t.Errorf("cancelled after %s", took)
	}
	s.ends(proxy)
	if said := s.says("", "ls -A /s"); strings.TrimSpace(said) != ".s.PGSQL.6000" {
		t.Errorf("sockets are left: %s", said)
	}
}

// TestProxyTrustsNoWrongPostgreSQL: with a wrong authority, name or date, or without TLS, nothing of the login reaches the server.
func TestProxyTrustsNoWrongPostgreSQL(t *testing.T) {
	t.Parallel()
	e := containers(t)
	ca, other := newAuthority(t), newAuthority(t)
	good, goodIP := postgreSQL(t, e, ca.secret(t, time.Hour, "pg"))
	old, oldIP := postgreSQL(t, e, ca.secret(t, -time.Hour, "pg"))
	plain, plainIP := postgreSQL(t, e, nil)
	s := newStage(t, e, map[string]string{"pg": goodIP, "pg2": goodIP, "old": oldIP, "plain": plainIP})
	files := folder(t, map[string]string{"ca.pem": ca.pem(), "other.pem": other.pem()})
	proxy := s.proxy([]string{files + ":/ca:ro"},
		"wrongca=tcp://127.0.0.1:5401 => tls://pg:5432?ca=/ca/other.pem&starttls=postgres",
		"wrongname=tcp://127.0.0.1:5402 => tls://pg2:5432?ca=/ca/ca.pem&starttls=postgres",
		"expired=tcp://127.0.0.1:5403 => tls://old:5432?ca=/ca/ca.pem&starttls=postgres&sni=pg",
		"plain=tcp://127.0.0.1:5404 => tls://plain:5432?ca=/ca/ca.pem&starttls=postgres",
		"refused=tcp://127.0.0.1:5405 => tls://127.0.0.1:1?ca=/ca/ca.pem&starttls=postgres",
		"nobody=tcp://127.0.0.1:5406 => tls://no-such-host.invalid:5432?ca=/ca/ca.pem&starttls=postgres",
	)
	for _, c := range []struct {
		port, route string
		user, log   []string
	}{
		{"5401", "wrongca", []string{"certificate"}, []string{`"step":"tls"`, "unknown authority", "hint: ", "option ca"}},
		{"5402", "wrongname", []string{"certificate"}, []string{`"step":"tls"`, "pg2", "hint: ", "option sni"}},
		{"5403", "expired", []string{"certificate"}, []string{`"step":"tls"`, "expired", "hint: "}},
		{"5404", "plain", []string{"TLS"}, []string{`"step":"starttls"`, "hint: "}},
		{"5405", "refused", []string{"refused", "HINT"}, []string{`"step":"connect"`, "refused", "hint: "}},
		{"5406", "nobody", []string{"no-such-host.invalid"}, []string{`"step":"resolve"`, "no-such-host.invalid"}},
	} {
		s.fails("", pgClient+"PGHOST=127.0.0.1 PGPORT="+c.port+" timeout 30 psql -c 'SELECT 1'", append(c.user, "FATAL")...)
		s.logs(proxy, append(c.log, `"route":"`+c.route+`"`)...)
	}
	for _, server := range []string{good, old, plain} {
		log := e.AllLogs(server)
		if !strings.Contains(log, "connection received: host="+s.ip) {
			t.Errorf("nothing was received by %s:\n%s", server, log)
		}
		for line := range strings.Lines(log) {
			if strings.Contains(line, "user=app") && !strings.Contains(line, "application_name=psql") || strings.Contains(line, "password") {
				t.Errorf("something of the login reached the server: %s", line)
			}
		}
		if strings.Count(log, "connection authorized") > strings.Count(log, "host=[local]") {
			t.Errorf("somebody came in by the network:\n%s", log)
		}
	}
	s.ends(proxy)
}
