# logrotate.sh MODE...: Debian's logrotate, again and again, over /logs/NAME/app.log in each mode, while the application writes. It copies and truncates
# only while the application waits: what it would write between the two is lost to everybody.
set -e
modes="$*"
mkdir -p /tmp/r
rule() { # name options
	[[ " $modes " == *" $1 "* ]] || return 0
	cat >"/tmp/r/$1" <<END
/logs/$1/app.log {
	rotate 8
	missingok
	notifempty
	nomail
	$LINKS
	$2
}
END
	chmod 600 "/tmp/r/$1"
}
rule create "create 0644"
rule nocreate "nocreate"
rule compress "compress
	create 0644"
rule delaycompress "compress
	delaycompress
	create 0644"
rule dateext "dateext
	dateformat -%Y%m%d-%s
	create 0644"
rule maxsize "maxsize 100k
	yearly
	create 0644"
for name in copytruncate copycompress; do
	more=""
	[ $name = copytruncate ] || more=compress
	rule $name "copytruncate
	$more
	prerotate
		touch /logs/$name/ctl/app.log.pause
		while [ ! -e /logs/$name/ctl/app.log.paused ]; do sleep 0.01; done
	endscript
	postrotate
		rm -f /logs/$name/ctl/app.log.paused /logs/$name/ctl/app.log.pause
	endscript"
done
trap 'exit 0' TERM
while :; do
	for conf in /tmp/r/*; do
		force=-f
		[ "${conf##*/}" = maxsize ] && force=
		logrotate $force -s "/tmp/state-${conf##*/}" "$conf"
		echo "rotated ${conf##*/}"
	done
	sleep 1 # names with dates have seconds
done
