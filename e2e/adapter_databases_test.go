package e2e

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

const adapterDatabases = `
sources:
  web: {url: "http://127.0.0.1:8081/stub_status", format: nginx}
views:
  /metrics: {}
checks:
  maria: {mysql: {<maria>, password-file: /c/password, tls: {<trust>}, query: "SELECT 6*7", expect: ". == 42"}, <often>}
  maria-expect: {mysql: {<maria>, password-file: /c/password, tls: {<trust>}, query: "SELECT 6*7", expect: ". == 43"}, groups: [odd], <often>}
  maria-wrong: {mysql: {<maria>, password-file: /c/wrong, tls: {<trust>}, query: "SELECT 1"}, groups: [odd], <often>}
  maria-slow: {mysql: {<maria>, password-file: /c/password, tls: {<trust>}, query: "SELECT SLEEP(600)"}, groups: [odd], every: 1s, timeout: 1s}
  maria-plain: {mysql: {<maria>, password-file: /c/password, query: "SELECT 1"}, groups: [odd], <often>}
  maria-ca: {mysql: {<maria>, password-file: /c/password, tls: {ca: /c/other.crt, server-name: db.example}, query: "SELECT 1"}, groups: [odd], <often>}
  pg: {postgres: {<pg>, password-file: /c/password, tls: {<trust>}, query: "SELECT 6*7", expect: ". == 42"}, <often>}
  pg-expect: {postgres: {<pg>, password-file: /c/password, tls: {<trust>}, query: "SELECT 6*7", expect: ". == 43"}, groups: [odd], <often>}
  pg-wrong: {postgres: {<pg>, password-file: /c/wrong, tls: {<trust>}, query: "SELECT 1"}, groups: [odd], <often>}
  pg-slow: {postgres: {<pg>, password-file: /c/password, tls: {<trust>}, query: "SELECT pg_sleep(600)"}, groups: [odd], every: 1s, timeout: 1s}
  pg-plain: {postgres: {<pg>, password-file: /c/password, query: "SELECT 1"}, groups: [odd], <often>}
  pg-ca: {postgres: {<pg>, password-file: /c/password, tls: {ca: /c/other.crt, server-name: db.example}, query: "SELECT 1"}, groups: [odd], <often>}
  cache: {redis: {address: "127.0.0.1:6379", password-file: /c/password, role: master, expect: ".connected_clients < 100"}, <often>}
  cache-wrong: {redis: {address: "127.0.0.1:6379", password-file: /c/wrong}, groups: [odd], <often>}
  cache-role: {redis: {address: "127.0.0.1:6379", password-file: /c/password, role: replica}, groups: [odd], <often>}
`

// TestAdapterLooksAtDatabases: the scratch image beside a real nginx, MariaDB, PostgreSQL and Redis, in one network as in a pod. Those databases
// take nobody without TLS.
func TestAdapterLooksAtDatabases(t *testing.T) {
	t.Parallel()
	e := containers(t)
	ca := newAuthority(t)
	config := strings.NewReplacer(
		"<maria>", `address: "127.0.0.1:3306", user: app, database: shop`, "<pg>", `address: "127.0.0.1:5432", user: app, database: postgres`,
		"<trust>", "ca: /c/ca.crt, server-name: db.example", "<often>", "every: 1s, timeout: 5s", // a busy machine is no failure of a database
	).Replace(adapterDatabases)
	files := folder(t, map[string]string{"adapter.yaml": config, "password": "secret\n", "wrong": "guess\n", "ca.crt": ca.pem(), "other.crt": newAuthority(t).pem()})
	pair := folder(t, ca.secret(t, time.Hour, "db.example"))
	site := folder(t, map[string]string{"web.conf": "server { listen 127.0.0.1:8081; location /stub_status { stub_status; } }\n"})

	s := newStage(t, e, nil)
	s.add("nginx", "-v", script(t, "confd.conf")+":/etc/e2e.conf:ro", "-v", site+":/etc/nginx/conf.d:ro", base, "nginx", "-e", "stderr", "-c", "/etc/e2e.conf", "-g", "daemon off;")
	runs := map[string][]string{"cache": {base, "redis-server", "--bind", "127.0.0.1", "--save", "", "--dir", "/tmp", "--requirepass", "secret"}}
	for check, kind := range map[string][2]string{"maria": {"mariadb", "999:999"}, "pg": {"postgres", "postgres"}} {
		runs[check] = []string{"--user", kind[1], "--tmpfs", "/data:mode=1777,exec,size=600m", "-v", script(t, kind[0]+".sh") + ":/start.sh:ro", "-v", pair + ":/tls:ro", base, "/start.sh"}
	}
	servers := map[string]string{}
	for check, args := range runs {
		servers[check] = s.add(check, args...)
	}
	for check, client := range map[string][]string{
		"maria": {"mariadb", "-S", "/data/db.sock", "-u", "root", "-e", "SELECT 1 FROM mysql.user WHERE user = 'app'"},
		"pg":    {"psql", "-h", "/data", "-U", "app", "-d", "postgres", "-c", "SELECT 1"},
	} {
		eventually(t, time.Minute, check, func() error {
			_, err := e.Do(t.Context(), append([]string{"exec", servers[check]}, client...)...)
			return err
		})
	}
	adapter := s.add("adapter", append(slices.Clone(locked), "-v", files+":/c:ro", image, "adapter", "--config=/c/adapter.yaml")...)
	scrape, admin := net.JoinHostPort(s.ip, "9464"), net.JoinHostPort(s.ip, "9444")

	wantAnswer(t, time.Minute, admin, "/readyz", http.StatusOK)
	wantAnswer(t, 2*time.Minute, scrape, "/readyz", http.StatusOK)
	promtool(t, wantAnswer(t, time.Minute, scrape, "/metrics", http.StatusOK, "nginx_connections_active ", `sidecar_adapter_source_up{source="web"} 1`), false)
	for check, why := range map[string]string{
		"maria-expect": "42", "maria-wrong": "Access denied", "maria-slow": "no answer", "maria-plain": "", "maria-ca": "authority",
		"pg-expect": "42", "pg-wrong": "password", "pg-slow": "no answer", "pg-plain": "encryption", "pg-ca": "authority",
		"cache-wrong": "WRONGPASS", "cache-role": "master",
	} {
		wantAnswer(t, time.Minute, scrape, "/health/"+check, http.StatusServiceUnavailable)
		s.logs(adapter, fmt.Sprintf(`"check":%q`, check), why)
	}
	if log := s.engine.AllLogs(adapter); strings.Contains(log, "secret") || strings.Contains(log, "guess") {
		t.Errorf("a password is in the log:\n%s", log)
	}

	for check, container := range servers {
		s.do("pause", container) // it takes connections and never answers
		wantAnswer(t, time.Minute, scrape, "/readyz", http.StatusServiceUnavailable)
		wantAnswer(t, time.Minute, scrape, "/health/"+check, http.StatusServiceUnavailable)
		s.do("unpause", container)
		wantAnswer(t, time.Minute, scrape, "/readyz", http.StatusOK)
		s.do("rm", "-f", "-v", container)
		wantAnswer(t, time.Minute, scrape, "/readyz", http.StatusServiceUnavailable)
		for other := range servers {
			if other != check {
				wantAnswer(t, time.Minute, scrape, "/health/"+other, http.StatusOK)
			}
		}
		if code, body := answered(admin, "/readyz"); code != http.StatusOK {
			t.Errorf("the adapter's own /readyz is %d %s while %s is away; want 200", code, body, check)
		}
		s.do(append([]string{"run", "-d", "--name", container, "--network", "container:" + s.name}, runs[check]...)...)
		wantAnswer(t, 2*time.Minute, scrape, "/readyz", http.StatusOK)
	}
	s.ends(adapter)
}
