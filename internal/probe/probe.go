// Package probe looks at one thing by its address and says whether it is well: a
// TCP, TLS, HTTP, gRPC or redis server, a unix socket, a name in the DNS, a file,
// a process. What is expected is written in the fragment of the address, which no
// server ever sees.
//
// It promises: an address is parsed once and looked at any number of times, from
// any number of goroutines; a look ends when its context does; every look opens
// its own connection and closes it; files with secrets are read at each look; what
// it says never holds a password or a token.
//
// It is not for load, not for metrics, and not for many requests to one server.
// Used by host (the commands probe and wait).
package probe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sidecar-kit/sidecar/internal/secret"
)

// detailMax keeps a result on one line that a person reads; servers may say more.
const detailMax = 300

// look does one check. The text says what was seen, the error what was missed.
type look func(ctx context.Context) (seen string, err error)

// Check is a parsed address. It is immutable.
type Check struct {
	name string
	look look
}

// String is the address without its options, a password masked.
func (c *Check) String() string { return c.name }

// Result is what one look saw.
type Result struct {
	URL    string        // as Check.String
	OK     bool          // every expectation was met
	Detail string        // what was seen, or the first thing that was not as expected
	Took   time.Duration // the whole look

	kind string
}

// Do looks once. It returns when ctx ends, at the latest.
func (c *Check) Do(ctx context.Context) Result {
	begin := time.Now()
	seen, err := c.look(ctx)
	r := Result{URL: c.name, OK: err == nil, Detail: seen, Took: time.Since(begin)}
	if err != nil {
		r.Detail, r.kind = err.Error(), err.Error()
		if u, ok := errors.AsType[*unmet](err); ok {
			r.kind = u.kind
		}
		if l, ok := errors.AsType[*late](err); ok {
			r.Detail, r.kind = fmt.Sprintf("%s within %s", l.what, short(r.Took)), l.what
		}
	}
	r.Detail = line(r.Detail)
	return r
}

// line makes text of any origin one printable line of bounded length.
func line(text string) string {
	if len(text) > detailMax {
		text = text[:detailMax] + "..."
	}
	return secret.Printable(text)
}

// Same says whether two results mean the same to a reader, although an age, a
// count or a duration in them differs.
func (r Result) Same(other Result) bool { return r.OK == other.OK && r.kind == other.kind }

// String is one line, such as "ok tcp://db:5432: connected in 3ms".
func (r Result) String() string {
	if r.OK {
		return fmt.Sprintf("ok %s: %s in %s", r.URL, r.Detail, short(r.Took))
	}
	return fmt.Sprintf("failed %s: %s", r.URL, r.Detail)
}

// MarshalJSON gives the object for programs; took is in seconds.
func (r Result) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		URL    string  `json:"url"`
		OK     bool    `json:"ok"`
		Detail string  `json:"detail"`
		Took   float64 `json:"took_seconds"`
	}{r.URL, r.OK, r.Detail, r.Took.Round(time.Microsecond).Seconds()})
}

// short rounds a duration to what a person wants to know.
func short(d time.Duration) time.Duration {
	for _, unit := range []time.Duration{time.Minute, time.Second, 10 * time.Millisecond, time.Millisecond, 10 * time.Microsecond} {
		if d >= 10*unit {
			return d.Round(unit)
		}
	}
	return d.Round(time.Microsecond)
}
