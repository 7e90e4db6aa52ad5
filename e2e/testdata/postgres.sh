#!/bin/sh
# A PostgreSQL that takes nobody from outside without TLS, in memory. /tls has its certificate; without one it offers no TLS.
set -e
PATH=/usr/lib/postgresql/15/bin:$PATH
echo secret >/data/password
initdb -D /data/db -A scram-sha-256 --pwfile=/data/password -U app --no-sync -E UTF8 --no-locale >/data/install.log 2>&1 || {
	cat /data/install.log
	exit 1
}
if [ -e /tls/tls.crt ]; then
	cp /tls/tls.key /data/tls.key
	chmod 600 /data/tls.key
	printf 'local all all trust\nhostssl all all 0.0.0.0/0 scram-sha-256\n' >/data/db/pg_hba.conf
	set -- -c ssl=on -c ssl_cert_file=/tls/tls.crt -c ssl_key_file=/data/tls.key
else
	printf 'local all all trust\nhost all all 0.0.0.0/0 scram-sha-256\n' >/data/db/pg_hba.conf
fi
exec postgres -D /data/db -k /data -c listen_addresses=0.0.0.0 -c fsync=off -c log_connections=on "$@"
