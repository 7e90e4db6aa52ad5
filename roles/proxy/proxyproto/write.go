package proxyproto

import (
	"encoding/binary"
	"net/netip"
	"strconv"
)

// Append appends a header of version 1 or 2 to dst. Without both addresses it
// says so: UNKNOWN in version 1, LOCAL in version 2.
func Append(to []byte, version uint8, source, dest netip.AddrPort) []byte {
	source, dest, ok := sameFamily(source, dest)
	if version == 1 {
		return appendV1(to, source, dest, ok)
	}
	return appendV2(to, source, dest, ok)
}

// sameFamily brings both addresses to IPv4 when both are, and else to IPv6.
func sameFamily(a, b netip.AddrPort) (netip.AddrPort, netip.AddrPort, bool) {
	if !a.IsValid() || !b.IsValid() {
		return a, b, false
	}
	x, y := a.Addr().Unmap().WithZone(""), b.Addr().Unmap().WithZone("")
	if x.Is4() != y.Is4() {
		x, y = netip.AddrFrom16(x.As16()), netip.AddrFrom16(y.As16())
	}
	return netip.AddrPortFrom(x, a.Port()), netip.AddrPortFrom(y, b.Port()), true
}

func appendV1(to []byte, source, dest netip.AddrPort, ok bool) []byte {
	to = append(to, prefix1...)
	if !ok {
		return append(to, "UNKNOWN\r\n"...)
	}
	if source.Addr().Is4() {
		to = append(to, "TCP4 "...)
	} else {
		to = append(to, "TCP6 "...)
	}
	to = append(source.Addr().AppendTo(to), ' ')
	to = append(dest.Addr().AppendTo(to), ' ')
	to = append(strconv.AppendUint(to, uint64(source.Port()), 10), ' ')
	to = strconv.AppendUint(to, uint64(dest.Port()), 10)
	return append(to, "\r\n"...)
}

func appendV2(to []byte, source, dest netip.AddrPort, ok bool) []byte {
	to = append(to, sigV2...)
	if !ok {
		return append(to, 0x20, 0x00, 0, 0)
	}
	if source.Addr().Is4() {
		to = append(to, 0x21, 0x11, 0, 12)
	} else {
		to = append(to, 0x21, 0x21, 0, 36)
	}
	to = append(to, source.Addr().AsSlice()...)
	to = append(to, dest.Addr().AsSlice()...)
	to = binary.BigEndian.AppendUint16(to, source.Port())
	return binary.BigEndian.AppendUint16(to, dest.Port())
}
