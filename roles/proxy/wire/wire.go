// Package wire reads and writes HTTP/1 messages for the proxy.
//
// It rejects what is ambiguous and repairs nothing: two parties that read the
// same bytes differently are how requests are smuggled. What it accepts,
// net/http accepts with the same meaning. Heads are parsed without allocation;
// every slice of a message points into the buffer that was parsed, so that the
// buffer must outlive the message.
//
// Not a general HTTP library: methods it does not serve (CONNECT), line ends
// without CR and folded fields are errors.
package wire

import (
	"fmt"
	"strconv"
)

// Limits bounds a head. A zero means the default.
type Limits struct {
	Line   int // bytes of the request line; default 8 KiB
	Head   int // bytes of the whole head; default 32 KiB
	Fields int // number of fields; default 100
}

const (
	defaultLine   = 8 << 10
	defaultHead   = 32 << 10
	defaultFields = 100
	// maxNamed bounds the fields a Connection field may name, because each is
	// searched among all fields.
	maxNamed = 16
)

func (l Limits) line() int {
	if l.Line > 0 {
		return l.Line
	}
	return defaultLine
}

func (l Limits) head() int {
	if l.Head > 0 {
		return l.Head
	}
	return defaultHead
}

func (l Limits) fields() int {
	if l.Fields > 0 {
		return l.Fields
	}
	return defaultFields
}

// Framing says how the end of a body is found.
type Framing uint8

// The framings. None is a message that has no body by its kind or because it
// declared none; Sized has Length bytes, which may be zero.
const (
	None Framing = iota
	Sized
	Chunked
	UntilClose
)

// Field is one line of a head or of trailers. Name is as received; Drop is set
// when Connection named the field, so that it must not travel on.
type Field struct {
	Name, Value []byte
	ID          ID
	Drop        bool
	Underscore  bool // the name has an underscore: CGI-like servers read it as a hyphen
}

// Head is what requests and responses have in common. Fields is in order and
// reused by the next Parse.
type Head struct {
	Fields  []Field
	Minor   uint8 // HTTP/1.Minor
	Body    Framing
	Length  int64  // what Content-Length said; -1: nothing. A None body may have one (HEAD, 304).
	Close   bool   // the connection ends after this message
	Upgrade []byte // the one protocol asked for, when Connection says so; nil else. Never h2c.

	seen    int // bytes of an unfinished head that were looked at
	length  int // 1 + index into Fields of the field of that name; 0: none
	coding  int
	conn    int
	upgrade int
	host    int
	expect  int
}

// Request is the head of a request.
type Request struct {
	Head
	Method []byte
	Target []byte // origin form ("/p?q") or "*"
	Host   []byte // from the Host field or the absolute form, with the port; empty only in HTTP/1.0
	Expect bool   // the client waits for 100 Continue
}

// Response is the head of a response. Reason may be empty.
type Response struct {
	Head
	Status int
	Reason []byte
}

// Reset forgets an unfinished head, for another connection or message.
func (h *Head) Reset() {
	clear(h.Fields)
	*h = Head{Fields: h.Fields[:0], Length: -1}
}

// Class is why a message was refused: a bounded set, good for a label.
type Class uint8

// The classes.
const (
	BadLine Class = iota
	BadMethod
	BadTarget
	BadVersion
	BadHost
	BadName
	BadValue
	BadFold
	BadCR
	BadLF
	BadLength
	BadCoding
	BadFraming
	BadConnection
	BadUpgrade
	BadExpect
	BadStatus
	BadBody
	BadChunk
	BadExtension
	BadTrailer
	BadField
	LongLine
	LongHead
	ManyFields
	Classes // how many there are
)

// String returns the class as a label: lower case, hyphens.
func (c Class) String() string {
	switch c {
	case BadLine:
		return "request-line"
	case BadMethod:
		return "method"
	case BadTarget:
		return "target"
	case BadVersion:
		return "version"
	case BadHost:
		return "host"
	case BadName:
		return "field-name"
	case BadValue:
		return "field-value"
	case BadFold:
		return "fold"
	case BadCR:
		return "bare-cr"
	case BadLF:
		return "bare-lf"
	case BadLength:
		return "content-length"
	case BadCoding:
		return "transfer-encoding"
	case BadFraming:
		return "framing"
	}
	return c.rest()
}

func (c Class) rest() string {
	switch c {
	case BadConnection:
		return "connection"
	case BadUpgrade:
		return "upgrade"
	case BadExpect:
		return "expect"
	case BadStatus:
		return "status-line"
	case BadBody:
		return "body"
	case BadChunk:
		return "chunk"
	case BadExtension:
		return "chunk-extension"
	case BadTrailer:
		return "trailer"
	case BadField:
		return "field"
	case LongLine:
		return "long-line"
	case LongHead:
		return "long-head"
	case ManyFields:
		return "many-fields"
	}
	return "unknown"
}

// BadMessage is a message that was refused. Status is what a client is
// answered; a proxy answers 502 for a response. Reason has no foreign bytes
// but quoted ones.
type BadMessage struct {
	Status int
	Class  Class
	Reason string
}

func (e *BadMessage) Error() string { return e.Class.String() + ": " + e.Reason }

func bad(c Class, reason string) *BadMessage {
	return &BadMessage{Status: 400, Class: c, Reason: reason}
}

func badStatus(status int, c Class, reason string) *BadMessage {
	return &BadMessage{Status: status, Class: c, Reason: reason}
}

// quote shows foreign bytes in a reason: cut, escaped, ASCII.
func quote(b []byte) string {
	const most = 40
	if len(b) > most {
		return strconv.QuoteToASCII(string(b[:most])) + "..."
	}
	return strconv.QuoteToASCII(string(b))
}

func badf(c Class, format string, args ...any) *BadMessage {
	return bad(c, fmt.Sprintf(format, args...))
}
