package logsink

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/vmihailenco/msgpack/v5"
)

// Forward is a server of the Fluent Forward protocol, version 1, in its packed mode. One of ten messages is taken and not acknowledged.
type Forward struct{ Ledger }

// Serve ends with the listener.
func (f *Forward) Serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			if err := f.conn(c); err != nil {
				_ = f.Wrong("forward: %w", err)
			}
		}()
	}
}

// options are those of a message.
type options struct {
	Size       int    `msgpack:"size"`
	Chunk      string `msgpack:"chunk"`
	Compressed string `msgpack:"compressed"`
}

func (f *Forward) conn(c net.Conn) error {
	d := msgpack.NewDecoder(c)
	for {
		n, err := d.DecodeArrayLen()
		if err != nil {
			return nil // who is killed ends in the middle, and sends it again
		}
		if n != 3 {
			return fmt.Errorf("a message of %d parts; want 3", n)
		}
		tag, err := d.DecodeString()
		if err != nil {
			return nil
		}
		entries, err := d.DecodeBytes()
		if err != nil {
			return nil
		}
		var o options
		if err := d.Decode(&o); err != nil {
			return nil
		}
		if tag == "" || o.Chunk == "" || o.Compressed != "" {
			return fmt.Errorf("tag %q, options %+v", tag, o)
		}
		if err := f.take(entries, o.Size); err != nil {
			return err
		}
		if f.Ask()%10 == 0 {
			return nil
		}
		ack, err := msgpack.Marshal(map[string]string{"ack": o.Chunk})
		if err != nil {
			return err
		}
		if _, err := c.Write(ack); err != nil {
			return nil
		}
	}
}

func (f *Forward) take(entries []byte, size int) error {
	d := msgpack.NewDecoder(bytes.NewReader(entries))
	for count := 0; ; count++ {
		n, err := d.DecodeArrayLen()
		if errors.Is(err, io.EOF) {
			if count != size {
				return fmt.Errorf("%d events; their number is said to be %d", count, size)
			}
			return nil
		}
		if err != nil || n != 2 {
			return fmt.Errorf("an event of %d parts: %w", n, err)
		}
		id, length, err := d.DecodeExtHeader()
		if err != nil || id != 0 || length != 8 {
			return fmt.Errorf("time of type %d with %d bytes: %w", id, length, err)
		}
		if err := d.ReadFull(make([]byte, 8)); err != nil {
			return err
		}
		m, err := d.DecodeMap()
		if err != nil {
			return err
		}
		text, _ := m["message"].(string)
		if seq, ok := m["seq"]; ok {
			text = fmt.Sprintf("seq=%d", seq)
		}
		name, _ := m["id"].(string)
		if name == "" {
			return fmt.Errorf("an event without id: %v", m)
		}
		f.Take([]byte(text), name)
	}
}
