#!/bin/sh
# A MariaDB that takes nobody without TLS, in memory. /tls has its certificate; without one it offers no TLS.
set -e
mkdir -p /data/db /data/tmp
mariadb-install-db --no-defaults --datadir=/data/db --auth-root-authentication-method=normal --skip-test-db --skip-name-resolve >/data/install.log 2>&1 || {
	cat /data/install.log
	exit 1
}
cat >/data/init.sql <<SQL
CREATE DATABASE shop;
CREATE USER app@'%' IDENTIFIED BY 'secret';
GRANT ALL ON shop.* TO app@'%';
SQL
tls="--ssl-cert=/tls/tls.crt --ssl-key=/tls/tls.key --ssl-ca=/tls/ca.crt --require-secure-transport=ON"
[ -e /tls/tls.crt ] || tls=--skip-ssl
exec mariadbd --no-defaults --datadir=/data/db --tmpdir=/data/tmp --socket=/data/db.sock --pid-file=/data/db.pid --port=3306 --bind-address=0.0.0.0 --skip-name-resolve \
	--init-file=/data/init.sql --general-log=1 --general-log-file=/data/general.log --max-allowed-packet=64M $tls
