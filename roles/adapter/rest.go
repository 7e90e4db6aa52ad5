package adapter

import (
	"net/http"
	"time"
)

// restAfter is how long no page has to have been asked for until memory is given back. Scrapers come every 15 seconds and more: what a scrape
// needs is needed again later, and by then others may have had it.
const restAfter = 5 * time.Second

// resting gives memory back when pages were asked for, and then none for some time. Requests for health do not count, they come all the time.
type resting struct{ timer *time.Timer }

func newResting(rest func()) *resting {
	r := &resting{time.AfterFunc(restAfter, rest)}
	r.timer.Stop()
	return r
}

// after is h, and a rest some time later.
func (r *resting) after(h http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		r.timer.Stop()
		defer r.timer.Reset(restAfter)
		h.ServeHTTP(rw, req)
	})
}
