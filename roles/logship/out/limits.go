package out

import (
	"sync/atomic"
	"time"
)

// Limits say when a batch is full.
type Limits struct {
	Bytes  int           // of Batch.Body, before compression
	Events int           // in Batch.Items
	Age    time.Duration // since the first event of the batch was read
}

// Traffic counts what went over the wire. An output counts while it works; anybody may read at any time.
type Traffic struct {
	Requests atomic.Int64 // requests or messages that were begun
	Bytes    atomic.Int64 // bytes of their content, as sent: after compression, without headers and TLS
	Dials    atomic.Int64 // connections that were opened
}

// Counted is an output that counts its traffic.
type Counted interface{ Traffic() *Traffic }
