package starttls

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
)

// Capabilities of the MySQL protocol, and the size of what starts a client's
// first message: capabilities, packet size, character set, reserved.
const (
	myProtocol41 = 1 << 9
	mySSL        = 1 << 11
	mySecureAuth = 1 << 15

	myResponseHead = 32
	myMaxPacket    = 64 << 10 // during the login; certificates of Kerberos are smaller
)

// readPacket returns a whole MySQL packet: 3 bytes of length, 1 of sequence
// number, payload.
func readPacket(c net.Conn) ([]byte, error) {
	var head [4]byte
	if n, err := io.ReadFull(c, head[:]); n > 0 && err != nil {
		return nil, fmt.Errorf("a packet ends early: %v", err) // %v: a deadline that cuts a packet is no pause between two
	} else if err != nil {
		return nil, err
	}
	size := int(head[0]) | int(head[1])<<8 | int(head[2])<<16
	if size > myMaxPacket {
		return nil, fmt.Errorf("a packet of %d bytes during the login", size)
	}
	p := make([]byte, 4+size)
	copy(p, head[:])
	if _, err := io.ReadFull(c, p[4:]); err != nil {
		return nil, fmt.Errorf("a packet ends early: %v", err)
	}
	return p, nil
}

// newPacket puts the header before payload.
func newPacket(seq byte, payload []byte) []byte {
	n := len(payload)
	return append([]byte{byte(n), byte(n >> 8), byte(n >> 16), seq}, payload...)
}

// greeting is what matters of the server's first packet.
type greeting struct {
	packet []byte
	caps   int    // where in packet the lower half of the capabilities is
	nonce  []byte // 20 bytes of challenge, or nil
}

// parseGreeting reads a server's first packet, which must not be an error.
func parseGreeting(packet []byte) (greeting, error) {
	p := packet[4:]
	if len(p) == 0 || p[0] != 10 {
		return greeting{}, errors.New("the server's greeting is not of version 10 of the MySQL protocol")
	}
	end := bytes.IndexByte(p, 0)
	if end < 0 || len(p) < end+1+4+8+1+2 {
		return greeting{}, errors.New("the server's greeting ends early")
	}
	at := end + 1 + 4 // version, connection number
	g := greeting{packet: packet, caps: 4 + at + 8 + 1}
	// Behind the lower capabilities: character set 1, status 2, upper
	// capabilities 2, length 1, reserved 10 (MariaDB keeps more capabilities
	// there), then the rest of the challenge.
	if more := at + 8 + 1 + 2 + 1 + 2 + 2 + 1 + 10; len(p) >= more+12 {
		g.nonce = append(append([]byte(nil), p[at:at+8]...), p[more:more+12]...)
	}
	return g, nil
}

// tls tells whether the server offers TLS.
func (g greeting) tls() bool { return binary.LittleEndian.Uint16(g.packet[g.caps:])&mySSL != 0 }

// hideTLS makes the greeting that of a server without TLS.
func (g greeting) hideTLS() {
	low := binary.LittleEndian.Uint16(g.packet[g.caps:])
	binary.LittleEndian.PutUint16(g.packet[g.caps:], low&^mySSL)
}

// checkResponse looks at the client's first packet.
func checkResponse(packet []byte) error {
	p := packet[4:]
	if len(p) < 4 || binary.LittleEndian.Uint16(p)&myProtocol41 == 0 {
		return errors.New("it speaks the MySQL protocol of before 4.1")
	}
	if len(p) < myResponseHead {
		return errors.New("its answer to the greeting ends early")
	}
	if binary.LittleEndian.Uint32(p)&mySSL != 0 {
		return errors.New("it insists on TLS with the proxy, which does not offer it here")
	}
	if packet[3] != 1 {
		return fmt.Errorf("its answer to the greeting has number %d", packet[3])
	}
	return nil
}

// sslRequest is the message that asks for TLS in the name of a client, whose
// answer to the greeting starts with head.
func sslRequest(head []byte) []byte {
	p := newPacket(1, head[:myResponseHead])
	return withTLS(p)
}

// withTLS sets the capability in an answer to the greeting.
func withTLS(packet []byte) []byte {
	caps := binary.LittleEndian.Uint32(packet[4:])
	binary.LittleEndian.PutUint32(packet[4:], caps|mySSL)
	return packet
}

// isError and isOK tell the packets that end a login.
func isError(packet []byte) bool { return len(packet) > 4 && packet[4] == 0xff }
func isOK(packet []byte) bool    { return len(packet) > 4 && packet[4] == 0 }

// myError is an ERR packet. Before the client has said which protocol it
// speaks (greeted false), it has no SQL state.
func myError(seq byte, greeted bool, text string) []byte {
	const handshake = 1043 // ER_HANDSHAKE_ERROR
	p := binary.LittleEndian.AppendUint16([]byte{0xff}, handshake)
	if greeted {
		p = append(p, "#08S01"...)
	}
	return newPacket(seq, append(p, strings.ReplaceAll(text, "\n", "; ")...))
}

// errorText is the text of an ERR packet, for our own log: bounded and quoted.
func errorText(packet []byte) string {
	p := packet[5:]
	if len(p) >= 2 {
		p = p[2:]
	}
	if len(p) >= 6 && p[0] == '#' {
		p = p[6:]
	}
	return fmt.Sprintf("%.200q", p)
}
