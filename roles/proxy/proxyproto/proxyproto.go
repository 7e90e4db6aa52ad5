// Package proxyproto reads and writes the header by which one proxy tells the
// next one who the client is: the PROXY protocol, versions 1 and 2.
//
// Parse takes foreign bytes; it accepts what the specification allows and
// nothing else. Whom to believe is the caller's decision. Read takes exactly
// the header from a connection, so that no byte behind it is lost.
package proxyproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
	"strconv"
)

const (
	maxV1   = 107      // of a line, by the specification
	maxV2   = 4 << 10  // of a header; the largest in use carry a few hundred bytes
	fixedV2 = 16       // signature, command, family, length
	prefix1 = "PROXY " // how a line of version 1 starts
	sigV2   = "\r\n\r\n\x00\r\nQUIT\n"
)

// ErrNone means that the bytes are no PROXY header at all.
var ErrNone = errors.New("no PROXY protocol header")

// Header says who connected to the sender, and where.
type Header struct {
	Version      uint8 // 1 or 2
	Source, Dest netip.AddrPort
	// Local is set when there are no addresses: the sender speaks for itself (a
	// health check), or for a client whose address has no form here. The
	// addresses of the connection are the right ones then.
	Local bool
}

// Parse reads a header at the start of b and returns its length. A length of 0
// without an error means that b ends before the header does.
func Parse(b []byte) (Header, int, error) {
	switch {
	case startsLike(b, sigV2):
		return parseV2(b)
	case startsLike(b, prefix1):
		return parseV1(b)
	default:
		return Header{}, 0, ErrNone
	}
}

// startsLike is true when b starts with sig, or is a part of it.
func startsLike(b []byte, sig string) bool {
	n := min(len(b), len(sig))
	return string(b[:n]) == sig[:n]
}

func parseV1(b []byte) (Header, int, error) {
	end := bytes.IndexByte(b[:min(len(b), maxV1)], '\n')
	if end < 0 {
		if len(b) >= maxV1 {
			return Header{}, 0, fmt.Errorf("PROXY line has no end in its first %d bytes", maxV1)
		}
		return Header{}, 0, nil
	}
	if b[end-1] != '\r' {
		return Header{}, 0, errors.New("PROXY line does not end with CR LF")
	}
	h := Header{Version: 1}
	line := b[len(prefix1) : end-1]
	if string(line) == "UNKNOWN" || bytes.HasPrefix(line, []byte("UNKNOWN ")) {
		h.Local = true
		return h, end + 1, nil
	}
	words := bytes.Split(line, []byte(" "))
	if len(words) != 5 {
		return Header{}, 0, errors.New("PROXY line has not five words behind PROXY")
	}
	six := string(words[0]) == "TCP6"
	if !six && string(words[0]) != "TCP4" {
		return Header{}, 0, fmt.Errorf("PROXY line has an unknown family %.10q", words[0])
	}
	var err error
	if h.Source, err = parseAddr(words[1], words[3], six); err != nil {
		return Header{}, 0, fmt.Errorf("PROXY line, source: %w", err)
	}
	if h.Dest, err = parseAddr(words[2], words[4], six); err != nil {
		return Header{}, 0, fmt.Errorf("PROXY line, destination: %w", err)
	}
	return h, end + 1, nil
}

func parseAddr(host, port []byte, six bool) (netip.AddrPort, error) {
	a, err := netip.ParseAddr(string(host))
	if err != nil || a.Is6() != six || a.Zone() != "" {
		return netip.AddrPort{}, fmt.Errorf("%.50q is no address of its family", host)
	}
	p, err := strconv.ParseUint(string(port), 10, 16)
	if err != nil || len(port) > 1 && port[0] == '0' {
		return netip.AddrPort{}, fmt.Errorf("%.10q is no port", port)
	}
	return netip.AddrPortFrom(a.Unmap(), uint16(p)), nil
}

func parseV2(b []byte) (Header, int, error) {
	if len(b) < fixedV2 {
		return Header{}, 0, nil
	}
	command, family, size := b[12], b[13], int(binary.BigEndian.Uint16(b[14:]))
	if command != 0x20 && command != 0x21 {
		return Header{}, 0, fmt.Errorf("PROXY header has an unknown version or command 0x%02x", command)
	}
	if fixedV2+size > maxV2 {
		return Header{}, 0, fmt.Errorf("PROXY header of %d bytes is longer than %d", fixedV2+size, maxV2)
	}
	if len(b) < fixedV2+size {
		return Header{}, 0, nil
	}
	b = b[:fixedV2+size]
	h := Header{Version: 2, Local: true}
	if command == 0x20 {
		return h, len(b), nil // whatever it holds is to be ignored
	}
	addrs, err := addressSize(family)
	if err != nil {
		return Header{}, 0, err
	}
	if size < addrs {
		return Header{}, 0, fmt.Errorf("PROXY header has %d bytes for addresses of %d", size, addrs)
	}
	if err := checkTLVs(b, fixedV2+addrs); err != nil {
		return Header{}, 0, err
	}
	if family == 0x11 || family == 0x21 {
		h.Local = false
		h.Source, h.Dest = addresses(b[fixedV2 : fixedV2+addrs])
	}
	return h, len(b), nil
}

// addressSize is how many bytes of addresses a family has. Families without a
// stream of IP (UDP, unix sockets, none) have addresses that are skipped.
func addressSize(family byte) (int, error) {
	if family&0xf <= 2 {
		switch family >> 4 {
		case 0:
			return 0, nil
		case 1:
			return 12, nil
		case 2:
			return 36, nil
		case 3:
			return 216, nil
		}
	}
	return 0, fmt.Errorf("PROXY header has an unknown family 0x%02x", family)
}

func addresses(b []byte) (source, dest netip.AddrPort) {
	n := (len(b) - 4) / 2
	s, _ := netip.AddrFromSlice(b[:n])
	d, _ := netip.AddrFromSlice(b[n : 2*n])
	return netip.AddrPortFrom(s.Unmap(), binary.BigEndian.Uint16(b[2*n:])),
		netip.AddrPortFrom(d.Unmap(), binary.BigEndian.Uint16(b[2*n+2:]))
}

// typeCRC32C is the TLV with a checksum over the whole header.
const typeCRC32C = 0x03

// checkTLVs walks the extensions from off on. They are skipped, but their
// lengths have to fit and a checksum has to be right.
func checkTLVs(b []byte, off int) error {
	for off < len(b) {
		if len(b)-off < 3 {
			return errors.New("PROXY header ends inside an extension")
		}
		kind, size := b[off], int(binary.BigEndian.Uint16(b[off+1:]))
		off += 3
		if len(b)-off < size {
			return errors.New("PROXY header ends inside an extension")
		}
		if kind == typeCRC32C {
			if size != 4 || checksum(b, off) != binary.BigEndian.Uint32(b[off:]) {
				return errors.New("PROXY header has a wrong checksum")
			}
		}
		off += size
	}
	return nil
}

// checksum is over b, as if the four bytes at off were zero.
func checksum(b []byte, off int) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Update(0, table, b[:off])
	sum = crc32.Update(sum, table, []byte{0, 0, 0, 0})
	return crc32.Update(sum, table, b[off+4:])
}
