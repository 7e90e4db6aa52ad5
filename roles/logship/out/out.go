// Package out is the contract between the pipeline of logship and its outputs: a batch of encoded events, what became of each, and
// what an output has to do. Retries, splitting, dead letters and acknowledgement are the pipeline's work, the same for all outputs.
package out

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sidecar-kit/sidecar/roles/logship/record"
)

// Verdict is what became of one event.
type Verdict uint8

// The verdicts.
const (
	Done   Verdict = iota // stored, or was stored before
	Again                 // to be sent again
	Reject                // will never be stored as it is: a dead letter
)

// Item is one event in a batch.
type Item struct {
	Start, End int32 // in Body
	Group      int32 // what the output wants to sort by (a stream, an index); 0 if nothing
	File       *record.File
	Offset     int64
	Size       int64
	Stamp      int64 // nanoseconds since 1970
	Verdict    Verdict
	Reason     string // why not Done
}

// Batch is what is sent at once. Its content is byte-identical in every replay after a kill, and so is its ID.
type Batch struct {
	ID    string // of [0-9a-z-]; for outputs that know messages by a name
	Body  []byte // the items one after the other, as Append wrote them
	Items []Item
	// Groups are what the numbers of Item.Group mean; the output's own affair. It is emptied with the batch.
	Groups []any
}

// Sub returns a batch of some items of b, by their indices, which shares no memory with Body. The id gets a suffix: it is other content.
func (b *Batch) Sub(indices []int, suffix string) *Batch {
	size := 0
	for _, i := range indices {
		size += int(b.Items[i].End - b.Items[i].Start)
	}
	s := &Batch{ID: b.ID + suffix, Body: make([]byte, 0, size), Items: make([]Item, 0, len(indices)), Groups: b.Groups}
	for _, i := range indices {
		it := b.Items[i]
		start := int32(len(s.Body))
		s.Body = append(s.Body, b.Body[it.Start:it.End]...)
		it.Start, it.End, it.Verdict, it.Reason = start, int32(len(s.Body)), Done, ""
		s.Items = append(s.Items, it)
	}
	return s
}

// Sink is one output.
type Sink interface {
	// Append appends the encoded event to b.Body and may set the Group of the item, which it returns; everything else of the
	// item is set by the caller. It is called by one goroutine at a time, must not keep r, and must not do I/O. An event that
	// cannot be encoded is an error: it becomes a dead letter.
	Append(b *Batch, r *record.Record) (group int32, err error)

	// Send delivers a batch and returns when the other side has acknowledged it. nil: every item has its Verdict. An error
	// says what became of the batch as a whole, see Failure; any other error means that it has to be sent again. It is called
	// by several goroutines at once. ctx ends at the time limit of a request, or when the role gives up.
	Send(ctx context.Context, b *Batch) error

	// Run does what has to be done beside sending (following files of secrets and certificates, closing of objects), until ctx
	// ends.
	Run(ctx context.Context) error

	// Close releases connections. Nothing is sent any more.
	Close() error
}

// How is what to do about a batch that failed as a whole.
type How uint8

// What to do.
const (
	Retry    How = iota // send it again, later
	Pause               // as Retry, and say loudly that a person is needed: credentials, permission, a missing index
	TooLarge            // send it again in two halves; one item alone becomes a dead letter
	Refused             // will never be taken: every item becomes a dead letter
)

// Failure is an error of Send that says what to do.
type Failure struct {
	How   How
	After time.Duration // the other side asked for a pause as long as this; 0: it did not
	Slow  bool          // the other side has too much to do: send less at once
	Err   error         // never with secrets; names the address
}

func (f *Failure) Error() string { return f.Err.Error() }
func (f *Failure) Unwrap() error { return f.Err }

// Fail makes a Failure.
func Fail(how How, format string, args ...any) *Failure {
	return &Failure{How: how, Err: fmt.Errorf(format, args...)}
}

// AsFailure returns what to do about err.
func AsFailure(err error) *Failure {
	var f *Failure
	if errors.As(err, &f) {
		return f
	}
	return &Failure{Err: err}
}
