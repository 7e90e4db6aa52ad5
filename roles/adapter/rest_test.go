package adapter

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestRestBetweenScrapes: memory is given back once after each time in which pages were asked for, and never while one is made.
func TestRestBetweenScrapes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rests atomic.Int32
		r := newResting(func() { rests.Add(1) })
		defer r.timer.Stop()
		slow := r.after(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(2 * restAfter) }))
		h := r.after(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		ask := func(h http.Handler) {
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
		}
		want := func(n int32, when string) {
			t.Helper()
			synctest.Wait()
			if got := rests.Load(); got != n {
				t.Errorf("%d rests %s; want %d", got, when, n)
			}
		}
		time.Sleep(time.Hour)
		want(0, "before the first scrape")
		for range 10 {
			ask(h)
			time.Sleep(restAfter - time.Millisecond)
		}
		want(0, "between scrapes that come one after the other")
		time.Sleep(time.Hour)
		want(1, "after them")
		ask(slow)
		want(1, "while a page is made")
		time.Sleep(time.Hour)
		want(2, "after it")
	})
}
