package mysql

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// query asks, and makes JSON of the rows.
func (c *conn) query(text string) ([]byte, error) {
	c.seq = 0
	if err := c.write(append([]byte{3}, text...)); err != nil {
		return nil, err
	}
	p, err := c.read()
	if err != nil {
		return nil, err
	}
	switch p[0] {
	case 0:
		return []byte("[]"), nil // a statement without rows
	case 0xff:
		return nil, complaint(p)
	case 0xfb:
		return nil, errors.New("the server wants a file of ours, which it does not get")
	}
	n, _, ok := number(p)
	if !ok || n == 0 || n > 4096 {
		return nil, errMalformed
	}
	columns := make([]column, n)
	for i := range columns {
		if p, err = c.read(); err != nil {
			return nil, err
		}
		if columns[i], ok = parseColumn(p); !ok {
			return nil, errMalformed
		}
	}
	if p, err = c.read(); err != nil || p[0] != 0xfe {
		return nil, errors.Join(err, errMalformed)
	}
	return c.rows(columns)
}

func (c *conn) rows(columns []column) ([]byte, error) {
	out := []byte{'['}
	for n := 0; ; n++ {
		p, err := c.read()
		if err != nil {
			return nil, err
		}
		if p[0] == 0xfe && len(p) < 9 {
			return append(out, ']'), nil
		}
		if p[0] == 0xff {
			return nil, complaint(p)
		}
		if n == mostRows {
			return nil, fmt.Errorf("the answer has more than %d rows", mostRows)
		}
		if n > 0 {
			out = append(out, ',')
		}
		var ok bool
		if out, ok = appendRow(out, p, columns); !ok {
			return nil, errMalformed
		}
	}
}

type column struct {
	name    []byte // as JSON
	numeric bool
}

// parseColumn reads the definition of a column: catalog, schema, table, original table, name, original name, then numbers.
func parseColumn(p []byte) (c column, ok bool) {
	for i := range 6 {
		var text []byte
		if text, _, p, ok = word(p); !ok {
			return c, false
		}
		if i == 4 {
			c.name = quote(text)
		}
	}
	if len(p) < 8 {
		return c, false
	}
	switch p[7] { // after one byte of a length, two of a character set and four of a width
	case 0, 1, 2, 3, 4, 5, 8, 9, 13, 246: // decimal, tiny to long, float, double, longlong, int24, year, newdecimal
		c.numeric = true
	}
	return c, true
}

func appendRow(dst, p []byte, columns []column) ([]byte, bool) {
	dst = append(dst, '{')
	for i, col := range columns {
		text, null, rest, ok := word(p)
		if !ok {
			return dst, false
		}
		p = rest
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(append(dst, col.name...), ':')
		switch {
		case null:
			dst = append(dst, "null"...)
		case col.numeric && json.Valid(text):
			dst = append(dst, text...)
		default:
			dst = append(dst, quote(text)...)
		}
	}
	return append(dst, '}'), len(p) == 0
}

func quote(text []byte) []byte {
	if !utf8.Valid(text) {
		text = []byte(fmt.Sprintf("%x", text))
	}
	b, _ := json.Marshal(string(text)) // a string
	return b
}

// number reads a length-encoded number.
func number(p []byte) (n uint64, rest []byte, ok bool) {
	if len(p) == 0 {
		return 0, nil, false
	}
	size := map[byte]int{0xfc: 2, 0xfd: 3, 0xfe: 8}[p[0]]
	if size == 0 {
		return uint64(p[0]), p[1:], p[0] < 0xfb
	}
	if len(p) < 1+size {
		return 0, nil, false
	}
	for i := size; i > 0; i-- {
		n = n<<8 | uint64(p[i])
	}
	return n, p[1+size:], true
}

// word reads a length-encoded string, or NULL.
func word(p []byte) (text []byte, null bool, rest []byte, ok bool) {
	if len(p) > 0 && p[0] == 0xfb {
		return nil, true, p[1:], true
	}
	n, p, ok := number(p)
	if !ok || n > uint64(len(p)) {
		return nil, false, nil, false
	}
	return p[:n], false, p[n:], true
}
