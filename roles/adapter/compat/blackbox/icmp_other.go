//go:build !unix

package blackbox

import (
	"net"
	"net/netip"
)

func pingSocket(_, _ netip.Addr, _ int) (net.Conn, error) { return nil, errNoPing }
