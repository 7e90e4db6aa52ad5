package source

import (
	"context"
	"crypto/tls"
	"net"
)

func dialTLS(ctx context.Context, network, addr string, conf *tls.Config) (net.Conn, error) {
	d := tls.Dialer{Config: conf}
	return d.DialContext(ctx, network, addr)
}
