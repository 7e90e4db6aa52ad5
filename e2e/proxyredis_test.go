package e2e

import (
	"testing"
	"time"
)

// TestProxyPutsTLSBeforeRedis: the route of the manual, as written, with a Redis that speaks plain text on localhost only and
// Redis' own clients over TLS.
func TestProxyPutsTLSBeforeRedis(t *testing.T) {
	t.Parallel()
	e := containers(t)
	ca := newAuthority(t)
	s := newStage(t, e, nil, "-v", folder(t, map[string]string{"ca.crt": ca.pem()})+":/ca:ro")
	s.add("redis", base, "redis-server", "--bind", "127.0.0.1", "--save", "", "--dir", "/tmp")
	proxy := s.proxy([]string{folder(t, ca.secret(t, time.Hour, "cache.example")) + ":/tls:ro"}, "tls://:6380?cert=/tls => tcp://127.0.0.1:6379")
	const client = "redis-cli -p 6380 --tls --cacert /ca/ca.crt --sni cache.example "
	eventually(t, time.Minute, "Redis", func() error {
		_, err := s.sh("", client+"PING | grep PONG")
		return err
	})
	s.says("", client+"SET greeting hello && "+client+"GET greeting", "OK", "hello")
	s.says("", "for i in $(seq 1 50000); do printf 'SET key:%d value:%d\\r\\n' $i $i; done | "+client+"--pipe", "errors: 0, replies: 50000")
	s.says("", client+"DBSIZE && "+client+"GET key:50000", "50001", "value:50000")
	s.says("", "head -c 30000000 /dev/zero | "+client+"-x SET big && "+client+"GET big | wc -c", "OK", "30000001")
	s.says("", "redis-benchmark -p 6380 --tls --cacert /ca/ca.crt --sni cache.example -q -c 20 -n 20000 -P 16 -t ping,set,get && echo done", "done")
	s.says("", "{ sleep 1; "+client+"PUBLISH news extra >/dev/null; } & timeout 3 "+client+"SUBSCRIBE news || true", "extra")
	s.fails("", "redis-cli -p 6380 PING", "")
	s.fails("", "redis-cli -p 6380 --tls --cacert /etc/ssl/certs/ca-certificates.crt PING", "certificate verify failed")
	s.logs(proxy, `"kind":"stream"`)
	s.ends(proxy)
}
