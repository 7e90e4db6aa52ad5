#!/bin/sh
# Starts Debian's Tomcat where the manifest's image has its own: base folder /usr/local/tomcat.
set -e
base=/usr/local/tomcat/temp/base
mkdir -p $base/conf $base/temp
cp -r /usr/share/tomcat10/etc/. $base/conf
# A scan each second, so that a test need not wait for ten.
sed -e 's#appBase="webapps"#appBase="/usr/local/tomcat/webapps"#' -e 's#port="8005"#port="-1"#' \
	-e 's#<Engine #<Engine backgroundProcessorDelay="1" #' /usr/share/tomcat10/etc/server.xml >$base/conf/server.xml
ln -s /usr/local/tomcat/work $base/work
ln -s /usr/local/tomcat/logs $base/logs
export CATALINA_HOME=/usr/share/tomcat10 CATALINA_BASE=$base CATALINA_TMPDIR=$base/temp JAVA_OPTS="-Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1"
exec /usr/share/tomcat10/bin/catalina.sh run
