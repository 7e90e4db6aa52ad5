// Package websocket is as much of RFC 6455 as an echo needs: text and binary messages of one frame, ping and close.
package websocket

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
)

const (
	opText  = 1
	opClose = 8
	opPing  = 9
	opPong  = 10
)

// Echo answers each message with itself until the client closes.
func Echo(w http.ResponseWriter, r *http.Request) {
	key := r.Header.Get("Sec-WebSocket-Key")
	hijacker, ok := w.(http.Hijacker)
	if !ok || key == "" {
		http.Error(w, "want a WebSocket", http.StatusBadRequest)
		return
	}
	conn, buffered, err := hijacker.Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	fmt.Fprintf(buffered, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept(key))
	for buffered.Flush() == nil {
		op, message, err := read(buffered.Reader)
		if err != nil {
			return
		}
		if op == opPing {
			op = opPong
		}
		if write(buffered.Writer, op, message, false) != nil || op == opClose {
			_ = buffered.Flush()
			return
		}
	}
}

func accept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Client is the other side, on a connection that is dialed already.
type Client struct {
	conn net.Conn
	in   *bufio.Reader
	out  *bufio.Writer
}

// Upgrade asks for a WebSocket at path.
func Upgrade(conn net.Conn, host, path string) (*Client, error) {
	const key = "dGhlIHNhbXBsZSBub25jZQ=="
	c := &Client{conn, bufio.NewReader(conn), bufio.NewWriter(conn)}
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n", path, host, key); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("Sec-WebSocket-Accept") != accept(key) {
		return nil, fmt.Errorf("no WebSocket: %s", resp.Status)
	}
	return c, nil
}

// Ask sends a message and wants it back.
func (c *Client) Ask(message []byte) error {
	if err := errors.Join(write(c.out, opText, message, true), c.out.Flush()); err != nil {
		return err
	}
	_, back, err := read(c.in)
	if err == nil && string(back) != string(message) {
		err = fmt.Errorf("%d bytes came back changed", len(back))
	}
	return err
}

// Close says good-bye and waits for the answer.
func (c *Client) Close() error {
	err := errors.Join(write(c.out, opClose, []byte{3, 232}, true), c.out.Flush())
	if err == nil {
		_, _, err = read(c.in)
	}
	return errors.Join(err, c.conn.Close())
}

func read(r *bufio.Reader) (op byte, message []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	size := uint64(head[1] & 0x7f)
	switch size {
	case 126:
		var b [2]byte
		_, err = io.ReadFull(r, b[:])
		size = uint64(binary.BigEndian.Uint16(b[:]))
	case 127:
		var b [8]byte
		_, err = io.ReadFull(r, b[:])
		size = binary.BigEndian.Uint64(b[:])
	}
	if err != nil || head[0]&0x80 == 0 || size > 1<<20 {
		return 0, nil, fmt.Errorf("frame % x of %d bytes: %w", head, size, errors.Join(err, errors.ErrUnsupported))
	}
	var mask [4]byte
	if head[1]&0x80 != 0 {
		if _, err := io.ReadFull(r, mask[:]); err != nil {
			return 0, nil, err
		}
	}
	message = make([]byte, size)
	if _, err := io.ReadFull(r, message); err != nil {
		return 0, nil, err
	}
	for i := range message {
		message[i] ^= mask[i%4]
	}
	return head[0] & 0x0f, message, nil
}

func write(w *bufio.Writer, op byte, message []byte, masked bool) error {
	var bit byte
	if masked {
		bit = 0x80
	}
	head := []byte{0x80 | op}
	switch n := len(message); {
	case n < 126:
		head = append(head, bit|byte(n))
	case n < 1<<16:
		head = binary.BigEndian.AppendUint16(append(head, bit|126), uint16(n))
	default:
		head = binary.BigEndian.AppendUint64(append(head, bit|127), uint64(n))
	}
	if masked {
		head = append(head, 0, 0, 0, 0) // a mask of zeros changes nothing
	}
	_, err := w.Write(append(head, message...))
	return err
}
