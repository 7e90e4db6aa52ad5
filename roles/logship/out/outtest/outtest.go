// Package outtest makes events and batches for tests of outputs, and plays the part of the pipeline.
package outtest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/roles/logship/out"
	"github.com/sidecar-kit/sidecar/roles/logship/record"
)

// Read is when all events were read: 2026-01-02T03:04:05.678Z.
var Read = time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)

// File is where all events are from.
func File() *record.File {
	return &record.File{Path: "/var/log/app/app.log", Input: "app", Gen: 0x1234567890abcdef}
}

// Event is the event number i: a line of some 100 bytes with one field, team, and a level.
func Event(f *record.File, i int) *record.Record {
	msg := fmt.Sprintf(`level=info ts=2026-01-02T03:04:05Z caller=server.go:120 msg="request \"done\"" path=/api/items/%06d status=200`, i)
	return &record.Record{
		File: f, Offset: int64(i) * 200, Size: 200, Read: Read.UnixNano(), Level: record.Info, Message: []byte(msg),
		Fields: []record.Field{{Key: "team", Value: []byte("blue")}},
	}
}

// Append adds events to a batch as the pipeline does.
func Append(t testing.TB, s out.Sink, b *out.Batch, events ...*record.Record) {
	t.Helper()
	for _, r := range events {
		start := len(b.Body)
		group, err := s.Append(b, r)
		if err != nil {
			t.Fatalf("Append = %v; want nil", err)
		}
		b.Items = append(b.Items, out.Item{
			Start: int32(start), End: int32(len(b.Body)), Group: group, File: r.File, Offset: r.Offset, Size: r.Size, Stamp: r.Stamp(), //nolint:gosec // small
		})
	}
}

// Batch is a batch of the events from to until to.
func Batch(t testing.TB, s out.Sink, from, to int) *out.Batch {
	t.Helper()
	b := &out.Batch{ID: fmt.Sprintf("batch-%d", from)}
	f := File()
	for i := from; i < to; i++ {
		Append(t, s, b, Event(f, i))
	}
	return b
}

// Count is how many items have each verdict.
func Count(b *out.Batch) (done, again, reject int) {
	var n [3]int
	for _, it := range b.Items {
		n[it.Verdict]++
	}
	return n[out.Done], n[out.Again], n[out.Reject]
}

// Deliver sends a batch again and again, as the pipeline does, without pauses, until nothing is to be sent any more, and returns
// how many events were rejected. It gives up after as many attempts.
func Deliver(t testing.TB, s out.Sink, b *out.Batch, attempts int) (rejected int) {
	t.Helper()
	todo := []*out.Batch{b}
	var last error
	for ; len(todo) > 0 && attempts > 0; attempts-- {
		b := todo[0]
		todo = todo[1:]
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		err := s.Send(ctx, b)
		cancel()
		if err != nil {
			last = err
			switch f := out.AsFailure(err); {
			case f.How == out.TooLarge && len(b.Items) > 1:
				half := len(b.Items) / 2
				todo = append(todo, b.Sub(indices(0, half), "-a"), b.Sub(indices(half, len(b.Items)), "-b"))
			case f.How == out.TooLarge || f.How == out.Refused:
				rejected += len(b.Items)
			default:
				todo = append(todo, b)
			}
			continue
		}
		var again []int
		for i, it := range b.Items {
			switch it.Verdict {
			case out.Again:
				again = append(again, i)
			case out.Reject:
				rejected++
			case out.Done:
			}
		}
		if len(again) > 0 {
			todo = append(todo, b.Sub(again, "-r"))
		}
	}
	if len(todo) > 0 {
		t.Fatalf("%d batches are left to be sent; last error: %v", len(todo), last)
	}
	return rejected
}

func indices(from, to int) (all []int) {
	for i := from; i < to; i++ {
		all = append(all, i)
	}
	return all
}
