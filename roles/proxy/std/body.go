package std

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// input is the request's body under the route's limits.
type input struct {
	x    *exchange
	body io.ReadCloser

	mu      sync.Mutex
	control *http.ResponseController // nil when the exchange is over: the transport may read for longer, and net/http takes no deadline then
}

func (i *input) Read(p []byte) (int, error) {
	i.deadline(time.Now().Add(or(i.x.route.Limits.Progress, time.Minute)))
	n, err := i.body.Read(p)
	if total := i.x.in.Add(int64(n)); i.x.route.Limits.MaxBody > 0 && total > i.x.route.Limits.MaxBody {
		return 0, errTooLarge
	}
	if err != nil {
		i.deadline(time.Time{})
		if err != io.EOF {
			err = fmt.Errorf("%w: %w", errClient, err)
		}
	}
	return n, err
}

func (i *input) deadline(t time.Time) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.control != nil {
		_ = i.control.SetReadDeadline(t)
	}
}

// end is called before the handler returns.
func (i *input) end() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.control = nil
}

func (i *input) Close() error { return i.body.Close() }
