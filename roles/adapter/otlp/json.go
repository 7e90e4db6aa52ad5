package otlp

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/sidecar-kit/sidecar/internal/proto"
)

// kind is how a field of JSON becomes one of protocol buffers.
type kind uint8

const (
	message kind = iota
	text
	integer // also as text, as JSON has it for 64 bits
	signed  // zigzag
	fixed
	double
	boolean
	hexText
	base64Text
	temporality
)

// field is where a name belongs. sub names the message.
type field struct {
	name   string
	number int
	kind   kind
	sub    string
}

// fields are those of a message that are read; all others are skipped.
func fields(of string) []field {
	switch of {
	case "request":
		return []field{{"resourceMetrics", 1, message, "resourceMetrics"}}
	case "resourceMetrics":
		return []field{{"resource", 1, message, "resource"}, {"scopeMetrics", 2, message, "scopeMetrics"}}
	case "resource":
		return []field{{"attributes", 1, message, "attribute"}}
	case "scopeMetrics":
		return []field{{"scope", 1, message, "scope"}, {"metrics", 2, message, "metric"}}
	case "scope":
		return []field{{"name", 1, text, ""}, {"version", 2, text, ""}}
	case "metric":
		return []field{
			{"name", 1, text, ""}, {"description", 2, text, ""}, {"unit", 3, text, ""}, {"gauge", 5, message, "number"}, {"sum", 7, message, "number"},
			{"histogram", 9, message, "histogram"}, {"exponentialHistogram", 10, message, "exponential"}, {"summary", 11, message, "summary"},
		}
	case "number", "histogram", "exponential", "summary":
		return []field{{"dataPoints", 1, message, of + "Point"}, {"aggregationTemporality", 2, temporality, ""}, {"isMonotonic", 3, boolean, ""}}
	case "buckets":
		return []field{{"offset", 1, signed, ""}, {"bucketCounts", 2, integer, ""}}
	case "quantile":
		return []field{{"quantile", 1, double, ""}, {"value", 2, double, ""}}
	case "exemplar":
		return []field{
			{"filteredAttributes", 7, message, "attribute"}, {"timeUnixNano", 2, fixed, ""}, {"asDouble", 3, double, ""}, {"asInt", 6, fixed, ""},
			{"spanId", 4, hexText, ""}, {"traceId", 5, hexText, ""},
		}
	case "attribute":
		return []field{{"key", 1, text, ""}, {"value", 2, message, "value"}}
	case "value":
		return []field{
			{"stringValue", 1, text, ""}, {"boolValue", 2, boolean, ""}, {"intValue", 3, integer, ""}, {"doubleValue", 4, double, ""},
			{"arrayValue", 5, message, "list"}, {"kvlistValue", 6, message, "map"}, {"bytesValue", 7, base64Text, ""},
		}
	case "list":
		return []field{{"values", 1, message, "value"}}
	case "map":
		return []field{{"values", 1, message, "attribute"}}
	}
	return pointFields(of)
}

func pointFields(of string) []field {
	common := []field{{"timeUnixNano", 3, fixed, ""}, {"count", 4, fixed, ""}, {"sum", 5, double, ""}}
	switch of {
	case "numberPoint":
		return []field{
			{"attributes", 7, message, "attribute"}, {"timeUnixNano", 3, fixed, ""}, {"asDouble", 4, double, ""}, {"asInt", 6, fixed, ""},
			{"exemplars", 5, message, "exemplar"}, {"flags", 8, integer, ""},
		}
	case "histogramPoint":
		return append(common, []field{
			{"attributes", 9, message, "attribute"}, {"bucketCounts", 6, fixed, ""}, {"explicitBounds", 7, double, ""},
			{"exemplars", 8, message, "exemplar"}, {"flags", 10, integer, ""},
		}...)
	case "exponentialPoint":
		return append(common, []field{
			{"attributes", 1, message, "attribute"}, {"scale", 6, signed, ""}, {"zeroCount", 7, fixed, ""}, {"positive", 8, message, "buckets"},
			{"negative", 9, message, "buckets"}, {"flags", 10, integer, ""}, {"exemplars", 11, message, "exemplar"}, {"zeroThreshold", 14, double, ""},
		}...)
	case "summaryPoint":
		return append(common, []field{{"attributes", 7, message, "attribute"}, {"quantileValues", 6, message, "quantile"}, {"flags", 8, integer, ""}}...)
	}
	return nil
}

// fromJSON makes protocol buffers of a body, which needs no more memory than the body.
func fromJSON(body []byte) ([]byte, error) {
	c := converter{d: json.NewDecoder(bytes.NewReader(body))}
	c.d.UseNumber()
	dst, err := c.value(nil, field{kind: message, sub: "request"}, 0)
	if err == nil {
		if _, err = c.d.Token(); !errors.Is(err, io.EOF) {
			return nil, errors.New("there is something after the end of the JSON document")
		}
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("byte %d: %w", c.d.InputOffset(), err)
	}
	_, n := binary.Uvarint(dst[1:]) // the header that value wrote for field 0
	return dst[1+n:], nil
}

type converter struct{ d *json.Decoder }

// value converts what comes next: an item, or a list of items.
func (c *converter) value(dst []byte, f field, depth int) ([]byte, error) {
	token, err := c.d.Token()
	if err != nil {
		return dst, err
	}
	if depth > 4*deepest {
		return dst, errors.New("nested too deeply")
	}
	switch t := token.(type) {
	case json.Delim:
		if t == '[' && depth > 0 {
			for c.d.More() && err == nil {
				dst, err = c.value(dst, f, depth+1)
			}
			if err == nil {
				_, err = c.d.Token()
			}
			return dst, err
		}
		if t != '{' || f.kind != message {
			return dst, fmt.Errorf("%q cannot be %s", f.name, t)
		}
		from := len(dst)
		if dst, err = c.object(dst, f.sub, depth); err != nil {
			return dst, err
		}
		header := proto.Tag(nil, f.number, len(dst)-from)
		dst = append(dst, header...)
		copy(dst[from+len(header):], dst[from:])
		copy(dst[from:], header)
		return dst, nil
	case nil:
		return dst, nil
	}
	if f.kind == message {
		return dst, fmt.Errorf("%q is no object", f.name)
	}
	return scalar(dst, f, token)
}

func (c *converter) object(dst []byte, sub string, depth int) ([]byte, error) {
	known := fields(sub)
	for c.d.More() {
		token, err := c.d.Token()
		if err != nil {
			return dst, err
		}
		at := -1
		for i := range known {
			if known[i].name == token {
				at = i
			}
		}
		if at < 0 {
			if err := c.skip(); err != nil {
				return dst, err
			}
			continue
		}
		if dst, err = c.value(dst, known[at], depth+1); err != nil {
			return dst, err
		}
	}
	_, err := c.d.Token()
	return dst, err
}

// skip reads a value of any kind, and forgets it.
func (c *converter) skip() error {
	for depth := 0; ; {
		token, err := c.d.Token()
		if err != nil {
			return err
		}
		switch token {
		case json.Delim('['), json.Delim('{'):
			depth++
		case json.Delim(']'), json.Delim('}'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

func scalar(dst []byte, f field, token json.Token) ([]byte, error) {
	word := fmt.Sprint(token)
	switch f.kind {
	case text:
		if s, ok := token.(string); ok {
			return proto.Bytes(dst, f.number, s), nil
		}
	case boolean:
		if b, ok := token.(bool); ok && b {
			return proto.Uint(dst, f.number, 1), nil
		} else if ok {
			return proto.Uint(dst, f.number, 0), nil
		}
	case temporality:
		switch word {
		case "AGGREGATION_TEMPORALITY_DELTA":
			word = "1"
		case "AGGREGATION_TEMPORALITY_CUMULATIVE":
			word = "2"
		}
		if n, err := strconv.ParseUint(word, 10, 8); err == nil {
			return proto.Uint(dst, f.number, n), nil
		}
	case integer, signed, fixed:
		if n, ok := whole(word); ok {
			switch f.kind {
			case signed:
				n = n<<1 ^ uint64(int64(n)>>63) //nolint:gosec // zigzag
				return proto.Uint(dst, f.number, n), nil
			case fixed:
				return proto.Fixed64(dst, f.number, n), nil
			}
			return proto.Uint(dst, f.number, n), nil
		}
	case double:
		if v, err := strconv.ParseFloat(word, 64); err == nil { // NaN and Infinity are text in JSON
			return proto.Fixed64(dst, f.number, math.Float64bits(v)), nil
		}
	case hexText:
		if b, err := hex.DecodeString(word); err == nil {
			return proto.Bytes(dst, f.number, b), nil
		}
	case base64Text:
		if b, err := base64.StdEncoding.DecodeString(word); err == nil {
			return proto.Bytes(dst, f.number, b), nil
		}
	}
	return dst, fmt.Errorf("%q cannot be %.100q", f.name, word)
}

// whole reads a number of 64 bits, signed or not.
func whole(word string) (uint64, bool) {
	if n, err := strconv.ParseUint(word, 10, 64); err == nil {
		return n, true
	}
	n, err := strconv.ParseInt(word, 10, 64)
	return uint64(n), err == nil //nolint:gosec // two's complement
}

func answerJSON(rejected uint64, why string) []byte {
	if rejected == 0 {
		return []byte("{}")
	}
	dst := append([]byte(`{"partialSuccess":{"rejectedDataPoints":"`), strconv.FormatUint(rejected, 10)...)
	dst = append(dst, `","errorMessage":`...)
	return append(quote(dst, why), "}}"...)
}
