package web

import (
	"bytes"
	"crypto/tls"
	"reflect"
	"unsafe"
)

// A tls.Conn keeps the buffers that its handshake needed, some 3.5 KB of an
// idle connection that needs 9 KB in all, and has no way to let go of them.
// trims finds where they are; a version of the standard library in which they
// are something else keeps them. See docs/decisions/0172.
func trims() (offsets []uintptr) {
	t := reflect.TypeFor[tls.Conn]()
	for _, name := range []string{"hand", "rawInput"} {
		if f, ok := t.FieldByName(name); ok && f.Type == reflect.TypeFor[bytes.Buffer]() {
			offsets = append(offsets, f.Offset)
		}
	}
	return offsets
}

// trim drops those buffers if they are empty. Nobody else may use c meanwhile.
func trim(c *tls.Conn, offsets []uintptr) {
	for _, at := range offsets {
		b := (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(c), at))
		if b.Len() == 0 {
			*b = bytes.Buffer{}
		}
	}
}
