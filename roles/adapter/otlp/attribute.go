package otlp

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/sidecar-kit/sidecar/internal/proto"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// mostAttributes is how many a resource, a point or an exemplar may have.
const mostAttributes = 1000

// deepest is how many lists and mappings may be in one another.
const deepest = 16

// appendAttribute reads a KeyValue. Numbers and booleans become text, lists and mappings JSON, bytes base64.
func appendAttribute(labels []model.Label, body []byte) ([]model.Label, error) {
	var l model.Label
	err := each(body, func(field int, value []byte) error {
		switch field {
		case 1:
			l.Name = valid(value)
		case 2:
			text, err := appendValue(nil, value, false, 0)
			l.Value = string(text)
			return err
		}
		return nil
	})
	if err != nil || l.Name == "" {
		return labels, err
	}
	if len(labels) >= mostAttributes {
		return labels, fmt.Errorf("more than %d attributes", mostAttributes)
	}
	return append(labels, l), nil
}

// appendValue appends an AnyValue. Strings are quoted in lists and mappings.
func appendValue(dst, body []byte, quoted bool, depth int) ([]byte, error) {
	if depth > deepest {
		return dst, errors.New("an attribute is nested too deeply")
	}
	none := true
	err := proto.Each(body, func(field int, number uint64, value []byte) (err error) {
		none = false
		switch {
		case (field == 1 || field == 7) && value != nil:
			text := valid(value)
			if field == 7 {
				text = base64.StdEncoding.EncodeToString(value)
			}
			if quoted {
				dst = quote(dst, text)
			} else {
				dst = append(dst, text...)
			}
		case field == 2:
			dst = strconv.AppendBool(dst, number != 0)
		case field == 3:
			dst = strconv.AppendInt(dst, int64(number), 10) //nolint:gosec // two's complement
		case field == 4:
			dst = strconv.AppendFloat(dst, math.Float64frombits(number), 'f', -1, 64)
		case field == 5:
			dst, err = appendList(dst, value, depth)
		case field == 6:
			dst, err = appendMap(dst, value, depth)
		}
		return err
	})
	if none && quoted {
		dst = append(dst, "null"...)
	}
	return dst, err
}

// quote appends a string of JSON.
func quote(dst []byte, text string) []byte {
	dst = append(dst, '"')
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

func appendList(dst, body []byte, depth int) ([]byte, error) {
	dst = append(dst, '[')
	first := true
	err := each(body, func(field int, value []byte) (err error) {
		if field == 1 {
			dst = comma(dst, &first)
			dst, err = appendValue(dst, value, true, depth+1)
		}
		return err
	})
	return append(dst, ']'), err
}

func appendMap(dst, body []byte, depth int) ([]byte, error) {
	dst = append(dst, '{')
	first := true
	err := each(body, func(field int, value []byte) error {
		if field != 1 {
			return nil
		}
		dst = comma(dst, &first)
		var key string
		var of []byte
		err := each(value, func(field int, value []byte) error {
			switch field {
			case 1:
				key = valid(value)
			case 2:
				of = value
			}
			return nil
		})
		if err != nil {
			return err
		}
		dst = append(quote(dst, key), ':')
		dst, err = appendValue(dst, of, true, depth+1)
		return err
	})
	return append(dst, '}'), err
}

func comma(dst []byte, first *bool) []byte {
	if *first {
		*first = false
		return dst
	}
	return append(dst, ',')
}

// varints reads a packed field.
func varints(value []byte, fn func(uint64)) error {
	for len(value) > 0 {
		n, size := binary.Uvarint(value)
		if size <= 0 {
			return errors.New("a packed field is broken")
		}
		value = value[size:]
		fn(n)
	}
	return nil
}
