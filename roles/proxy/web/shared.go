package web

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/sidecar-kit/sidecar/roles/proxy/wire"
)

// What follows is for the other engine, package std, which serves the same routes.

// Take takes a token of addr. It returns 0, or after which time there is one.
func (r *Rate) Take(addr netip.Addr, at time.Time) time.Duration { return r.take(addr, at) }

// Enter counts an exchange. It returns false when there are as many as may be;
// Leave is called in both cases.
func (r *Route) Enter() bool {
	n := r.active.Add(1)
	return r.Limits.MaxRequests <= 0 || n <= r.Limits.MaxRequests
}

// Leave ends what Enter began.
func (r *Route) Leave() { r.active.Add(-1) }

// Location returns where a route with Redirect leads to, and the status; "" if
// the request does not say its host.
func (r *Route) Location(req *wire.Request) (location string, status int) {
	status = r.RedirectCode
	if status == 0 {
		status = http.StatusPermanentRedirect
	}
	base := []byte(r.Redirect)
	if r.Redirect == "https" {
		if len(req.Host) == 0 {
			return "", http.StatusBadRequest
		}
		base = canonical([]byte("https://"), req.Host)
	}
	if req.Target[0] == '/' {
		base = append(base, req.Target...)
	}
	return string(base), status
}
