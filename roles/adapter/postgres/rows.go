package postgres

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// query asks, and makes JSON of the rows. Of several statements the rows of the last one count.
func (c *conn) query(text string) ([]byte, error) {
	if err := c.write('Q', append([]byte(text), 0)); err != nil {
		return nil, err
	}
	out := []byte("[]")
	var columns []column
	n := 0
	var failed error
	for {
		kind, p, err := c.read()
		if err != nil {
			return nil, errors.Join(failed, err)
		}
		switch kind {
		case 'T':
			if columns, err = parseColumns(p); err != nil {
				return nil, err
			}
			out, n = []byte{'['}, 0
		case 'D':
			if columns == nil {
				return nil, errMalformed
			}
			if n++; n > mostRows {
				return nil, fmt.Errorf("the answer has more than %d rows", mostRows)
			}
			if n > 1 {
				out = append(out, ',')
			}
			var ok bool
			if out, ok = appendRow(out, p, columns); !ok {
				return nil, errMalformed
			}
		case 'C':
			if columns != nil {
				out, columns = append(out, ']'), nil
			}
		case 'E':
			failed = complaint(p)
		case 'G', 'H', 'W':
			return nil, errors.New("a check cannot copy")
		case 'Z':
			if columns != nil && failed == nil {
				return nil, errMalformed // rows without an end
			}
			return out, failed
		case 'I', 'N', 'S', 'A': // an empty query, a notice, a parameter, a notification
		default:
			return nil, errMalformed
		}
	}
}

type column struct {
	name []byte // as JSON
	kind shape
}

type shape uint8

const (
	text shape = iota
	numeric
	boolean
	document
)

// parseColumns reads a RowDescription: of each column a name, its table and number, its type and more numbers.
func parseColumns(p []byte) ([]column, error) {
	if len(p) < 2 {
		return nil, errMalformed
	}
	columns := make([]column, binary.BigEndian.Uint16(p)) // not nil, even when there are none
	p = p[2:]
	for i := range columns {
		name, rest, ok := bytes.Cut(p, []byte{0})
		if !ok || len(rest) < 18 {
			return nil, errMalformed
		}
		columns[i].name = quote(name)
		switch binary.BigEndian.Uint32(rest[6:]) {
		case 20, 21, 23, 26, 700, 701, 1700:
			columns[i].kind = numeric
		case 16:
			columns[i].kind = boolean
		case 114, 3802:
			columns[i].kind = document
		}
		p = rest[18:]
	}
	return columns, nil
}

func appendRow(dst, p []byte, columns []column) ([]byte, bool) {
	if len(p) < 2 || int(binary.BigEndian.Uint16(p)) != len(columns) {
		return dst, false
	}
	p = p[2:]
	dst = append(dst, '{')
	for i, col := range columns {
		if len(p) < 4 {
			return dst, false
		}
		size := int(int32(binary.BigEndian.Uint32(p))) //nolint:gosec // -1 is NULL
		p = p[4:]
		if size > len(p) || size < -1 {
			return dst, false
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(append(dst, col.name...), ':')
		if size < 0 {
			dst = append(dst, "null"...)
			continue
		}
		dst = appendValue(dst, p[:size], col.kind)
		p = p[size:]
	}
	return append(dst, '}'), len(p) == 0
}

func appendValue(dst, value []byte, kind shape) []byte {
	switch {
	case kind == boolean && string(value) == "t":
		return append(dst, "true"...)
	case kind == boolean:
		return append(dst, "false"...)
	case (kind == numeric || kind == document) && json.Valid(value):
		return append(dst, value...)
	}
	return append(dst, quote(value)...)
}

func quote(text []byte) []byte {
	if !utf8.Valid(text) {
		text = fmt.Appendf(nil, "%x", text)
	}
	b, _ := json.Marshal(string(text)) // a string
	return b
}
