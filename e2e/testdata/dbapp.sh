#!/bin/bash
# An application that asks its databases all the time, by new connections, and for five seconds after SIGTERM, too.
ended=
trap 'ended=$((SECONDS + 5))' TERM
good=0 failed=0
export PGCONNECT_TIMEOUT=10 PGPASSWORD=secret
# Clients in a group of their own: SIGTERM is for the application.
while [ -z "$ended" ] || [ $SECONDS -lt $ended ]; do
	if said=$(psql -At "postgres://app@127.0.0.1:5432/postgres?sslmode=disable" -c "SELECT 'pg'" 2>&1) && [ "$said" = pg ]; then good=$((good + 1)); else failed=$((failed + 1)); echo "psql: $said"; fi
	if said=$(mariadb --no-defaults --protocol=TCP -h 127.0.0.1 -u app -psecret -N -B shop -e "SELECT 'maria'" 2>&1) && [ "$said" = maria ]; then good=$((good + 1)); else failed=$((failed + 1)); echo "mariadb: $said"; fi
	[ $good -ne 2 ] || echo "both databases answer"
	sleep 0.05
done
echo "$good good, $failed failed"
[ $failed -eq 0 ]
