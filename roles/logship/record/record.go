// Package record is what a line becomes on its way to an output: where it was read, when, what it says and the fields that were
// found in it. Values point into the block they were read from; nothing is copied until an output encodes the record.
package record

import "strconv"

// Kind says what the bytes of a field's value are.
type Kind uint8

// The kinds.
const (
	Text    Kind = iota // any bytes; escaped when they are written as JSON
	Escaped             // the inside of a valid JSON string, without its quotes
	Literal             // a JSON number, true, false or null
	Nested              // a JSON object or array
)

// Field is one fact that was found in a line or was added to it. A dot in Key stands for nesting, as in the Elastic Common Schema.
type Field struct {
	Key   string // never escaped; may point into the block: strings.Clone what is kept
	Value []byte
	Kind  Kind
	Plain bool // Key is valid UTF-8 and a JSON string as it stands; false: not known
}

// Level is how serious a record is.
type Level uint8

// The levels, rising.
const (
	Unknown Level = iota
	Trace
	Debug
	Info
	Notice
	Warn
	Error
	Critical
	Alert
	Emergency
)

// String returns the lower-case word, empty for Unknown.
func (l Level) String() string {
	return [...]string{"", "trace", "debug", "info", "notice", "warn", "error", "critical", "alert", "emergency"}[l]
}

// Flags are what has to be said about the text of a record.
type Flags uint8

// The flags.
const (
	Partial   Flags = 1 << iota // the file ended, or nothing came for long, before the line did
	More                        // the line goes on in the next record: it is longer than a line may be
	Rest                        // this record goes on with the line of the one before
	Cut                         // the line was longer than it may be, and what was over is not here
	Multiline                   // several lines of the file
	Lossy                       // bytes that were no valid text were replaced
)

// File is where records come from. It does not change while a record points to it.
type File struct {
	Path  string // the name at which the file was found
	Input string // the name of the input that it belongs to
	Gen   uint64 // the generation: one content of one file; part of every id
}

// Common are fields that many records begin with. It does not change while a record points to it.
type Common struct {
	N    int    // the first N of Fields
	JSON []byte // the same as members of a JSON object, each behind a comma; dots in keys have become objects
}

// Record is one event. Those who keep one beyond the call they got it in have to copy it.
type Record struct {
	File    *File
	Offset  int64 // bytes from the start of the generation to the start of the event
	Size    int64 // bytes of the generation that the event takes, with its line ends
	Time    int64 // nanoseconds since 1970 that the event states; 0: none
	Read    int64 // nanoseconds since 1970 when it was read first; the same in every replay
	Level   Level
	Flags   Flags
	Message []byte
	Kind    Kind // of Message: Text or Escaped
	Fields  []Field
	Common  *Common // what the first Fields are in JSON; nil: not known
	Drop    string  // why it is not to be sent, a word for metrics; empty: it is
	memo    memo
}

// memo is what AppendJSON wrote last and most likely writes again.
type memo struct {
	at     int64    // nanoseconds since 1970 whose text is stamp, where size is not 0
	second int64    // since 1970
	stamp  [32]byte // 2006-01-02T15:04:05. and what is below the second
	size   int
	file   *File
	head   []byte // from the end of the message to the offset
}

// Reset makes r ready for the next event and keeps its memory.
func (r *Record) Reset() { *r = Record{Fields: r.Fields[:0], memo: r.memo} }

// Stamp is the time to send: the one that the event states, else when it was read.
func (r *Record) Stamp() int64 {
	if r.Time != 0 {
		return r.Time
	}
	return r.Read
}

// AppendID appends the id of the event: generation and offset to the base 36. It is the same in every replay and no other event has it.
func (r *Record) AppendID(dst []byte) []byte { return AppendID(dst, r.File.Gen, r.Offset) }

// AppendID appends the id of the event of a generation at offset.
func AppendID(dst []byte, gen uint64, offset int64) []byte {
	dst = strconv.AppendUint(dst, gen, 36)
	dst = append(dst, '-')
	return strconv.AppendInt(dst, offset, 36)
}
