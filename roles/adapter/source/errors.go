package source

import (
	"context"
	"fmt"
	"time"
)

// errTimeout says how long was waited, and what set that.
type errTimeout struct {
	limit time.Duration
	by    string
}

func (e errTimeout) Error() string { return fmt.Sprintf("no answer within %s (%s)", e.limit, e.by) }

// Timeout makes it an error of the network, as those who look for these know it.
func (e errTimeout) Timeout() bool { return true }

// ofSource is what sets the time of a source.
const ofSource = "timeout of the source"

type patienceKey struct{}

// Patience is a context that ends after limit; by is the flag or key that set it, for the error of a source that does not answer by then.
func Patience(ctx context.Context, limit time.Duration, by string) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithValue(ctx, patienceKey{}, errTimeout{limit, by}), limit)
}

// tooLate is the error of who did not get an answer before its context ended.
func tooLate(ctx context.Context) error {
	if e, ok := ctx.Value(patienceKey{}).(errTimeout); ok {
		return e
	}
	return context.Cause(ctx)
}

type panicked struct{ what any }

func (e panicked) Error() string { return fmt.Sprintf("the decoder panicked: %v", e.what) }
