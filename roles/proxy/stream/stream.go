// Package stream carries bytes between two connections until both directions
// ended.
//
// It promises that an end is passed on as what it was: a clean end of one
// direction (FIN, TLS close_notify) closes that direction of the other
// connection and no more, an abort (RST, a TLS stream cut off without
// close_notify) aborts the other connection, so that no side takes a torn
// stream for a whole one. A relay that waits holds no buffer and no pipe.
//
// Its users are the tcp routes and upgraded HTTP connections of the proxy.
package stream

import (
	"context"
	"net"
	"sync/atomic"
	"time"
)

// defaultHalfIdle is how long a half-closed stream may be silent. Long enough
// for a server that thinks about its answer, short enough that peers which
// never close do not collect.
const defaultHalfIdle = time.Minute

// Options are the limits of one relay. The zero value is ready to use.
type Options struct {
	Idle     time.Duration // both directions silent for so long: cut; 0 = never
	HalfIdle time.Duration // the same once one direction ended; 0 = one minute

	// AheadUp and AheadDown were read from the client and from the backend
	// before, and are sent first.
	AheadUp, AheadDown []byte

	// LenientTLS takes the end of a TLS peer that sent no close_notify for a
	// clean one. Without it such an end is passed on as an abort.
	LenientTLS bool

	Counters *Counters // shared by the relays of a route; nil: nobody counts
	Pool     *Pool     // shared by all relays of a process; nil: one of its own
}

// Counters move while relays run, in bytes. Up is client to backend.
type Counters struct {
	Up, Down atomic.Int64
}

// End says what ended a relay.
type End uint8

// What may end a relay first.
const (
	ByClient  End = iota // the client closed, or broke
	ByBackend            // the backend closed, or broke
	ByIdle               // nothing moved for too long
	ByContext            // the context ended
)

// String returns a name for logs and metrics.
func (e End) String() string {
	return [...]string{"client", "backend", "idle", "context"}[e]
}

// Result is what a relay carried, in bytes, and why it ended.
type Result struct {
	Up, Down int64
	Ended    End
	Err      error // nil when both directions ended cleanly
}

// Relay copies in both directions until both ended, then closes both
// connections. A direction that ends cleanly is closed towards its receiver at
// once; the other one goes on. When ctx ends, both connections are closed at
// once: TLS without close_notify, because the stream is not whole.
func Relay(ctx context.Context, client, backend net.Conn, o Options) Result {
	r := newRelay(client, backend, &o)
	r.run(ctx)
	return r.finish()
}
