package plain

import "github.com/sidecar-kit/sidecar/roles/logship/record"

// Format is how an event becomes a line.
type Format uint8

// The formats.
const (
	JSON Format = iota // the document
	Text               // the message with control bytes escaped, see Line
	Raw                // the bytes of the message as they were; several lines stay several lines
)

// Append appends the event and a line end.
func (f Format) Append(dst []byte, r *record.Record) []byte {
	switch f {
	case JSON:
		dst = record.AppendJSON(dst, r)
	case Raw:
		dst = Message(dst, r)
	case Text:
		if r.Kind == record.Escaped || r.Message == nil {
			at := len(dst)
			dst = Message(dst, r)
			dst = append(dst[:at], Line(nil, dst[at:])...)
		} else {
			dst = Line(dst, r.Message)
		}
	}
	return append(dst, '\n')
}
