// Package view answers scrapes: it collects from its sources what has come in time, merges and rewrites it, and writes it in the
// format that is wanted. Requests that come while an answer is made get the same one.
//
// It promises that an answer is valid whatever the sources did, and that each source's state is in it, or in the status. It knows no
// format: it is given functions.
package view

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sidecar-kit/sidecar/internal/gz"
	"github.com/sidecar-kit/sidecar/roles/adapter/model"
	"github.com/sidecar-kit/sidecar/roles/adapter/source"
)

// Input is a source as a view sees it.
type Input struct {
	Name  string
	Fetch func(ctx context.Context) source.Result
}

// Named is a page and whose it is.
type Named struct {
	Source string
	Page   *model.Page
}

// Encoder writes a page. Key tells encoders of a view apart.
type Encoder struct {
	Key, ContentType string
	Encode           func(p *model.Page) (Body, error)
}

// Body is a page that was written.
type Body struct {
	Pieces [][]byte // one after the other; they may be parts of what sources said, and are not changed
	Status int      // of HTTP; 0: 200, or 503 when no source has a page
	Drops  model.Drops
}

// Options say what a view is. Merge gets pages that others have, too, and returns one whose Families are its own; samples are always shared.
type Options struct {
	Path    string
	Inputs  []Input
	Merge   func(pages []Named) (model.Page, model.Drops, error)
	Apply   func(page *model.Page) (model.Drops, error) // nil: nothing
	Choose  func(accept string) Encoder
	Meta    bool          // families about the sources are part of the page
	Timeout time.Duration // of a request whose header says nothing
	Offset  time.Duration // taken off what the header says, so that the answer arrives in time
	Headers map[string]string
	Methods []string
}

// Stats counts what a view did.
type Stats struct {
	Requests, Joined, Partial, Failed uint64 // requests; those that got the answer of another; answers that lack a source; answers without any page or with an error
	Bytes                             uint64
	Series                            int // of the last answer
	Drops                             model.Drops
	Took                              time.Duration // of the last answer
	Err                               error         // of the last answer: what it lacks
}

// View is an endpoint.
type View struct {
	opts Options

	mu      sync.Mutex
	flights map[string]*flight
	stats   Stats
}

type flight struct {
	done   chan struct{}
	answer answer
}

type answer struct {
	status int
	kind   string
	pieces [][]byte
	size   int
	zipped bool
}

// New makes a view.
func New(o Options) *View { return &View{opts: o, flights: map[string]*flight{}} }

// Path is the path of its address.
func (v *View) Path() string { return v.opts.Path }

// Stats returns what was counted so far.
func (v *View) Stats() Stats {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.stats
}

// ServeHTTP implements http.Handler.
func (v *View) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !slices.Contains(v.opts.Methods, r.Method) {
		w.Header().Set("Allow", strings.Join(v.opts.Methods, ", "))
		http.Error(w, "method not allowed: want "+strings.Join(v.opts.Methods, ", "), http.StatusMethodNotAllowed)
		return
	}
	limit, by := v.patience(r)
	ctx, cancel := source.Patience(r.Context(), limit, by)
	defer cancel()
	a := v.ask(ctx, v.opts.Choose(strings.Join(r.Header.Values("Accept"), ",")), acceptsGzip(r))
	h := w.Header()
	for name, value := range v.opts.Headers {
		h.Set(name, value)
	}
	h.Set("Content-Type", a.kind)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Add("Vary", "Accept")
	h.Add("Vary", "Accept-Encoding")
	if a.zipped {
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Content-Length", strconv.Itoa(a.size))
	w.WriteHeader(a.status)
	if r.Method != http.MethodHead {
		writePieces(w, a.pieces)
	}
}

const ofView = "--timeout, or timeout of the view"

// patience is how long a request may take, and what says so: the scraper, less what the way back takes.
func (v *View) patience(r *http.Request) (limit time.Duration, by string) {
	text := r.Header.Get("X-Prometheus-Scrape-Timeout-Seconds")
	seconds, err := strconv.ParseFloat(text, 64)
	if text == "" || err != nil || !(seconds > 0) || seconds > 3600 {
		return v.opts.Timeout, ofView
	}
	limit = time.Duration(seconds * float64(time.Second))
	offset := v.opts.Offset
	if offset*2 > limit {
		offset = limit / 10
	}
	if limit -= offset; limit < v.opts.Timeout {
		return limit, "what the scraper waits, less --timeout-offset"
	}
	return v.opts.Timeout, ofView
}

func acceptsGzip(r *http.Request) bool {
	for _, part := range strings.Split(strings.Join(r.Header.Values("Accept-Encoding"), ","), ",") {
		coding, rest, _ := strings.Cut(part, ";")
		if c := strings.ToLower(strings.TrimSpace(coding)); c != "gzip" && c != "*" {
			continue
		}
		q, has := strings.CutPrefix(strings.ReplaceAll(rest, " ", ""), "q=")
		weight, err := strconv.ParseFloat(q, 64)
		return !has || err == nil && weight > 0
	}
	return false
}

// ask returns an answer that began to be made after the request came, or is being made right now for requests with at most the same patience.
func (v *View) ask(ctx context.Context, e Encoder, zip bool) answer {
	key := e.Key + strconv.FormatBool(zip)
	v.mu.Lock()
	v.stats.Requests++
	f := v.flights[key]
	if f != nil {
		v.stats.Joined++
		v.mu.Unlock()
		select {
		case <-f.done:
			return f.answer
		case <-ctx.Done():
			// The other request has more time than this one: answer with what is there.
			return v.make(ctx, e, zip)
		}
	}
	f = &flight{done: make(chan struct{})}
	v.flights[key] = f
	v.mu.Unlock()
	defer close(f.done)
	// A scraper that goes away does not take the answer from those who joined it.
	end, _ := ctx.Deadline()
	keep, cancel := context.WithDeadline(context.WithoutCancel(ctx), end)
	defer cancel()
	f.answer = v.make(keep, e, zip)
	v.mu.Lock()
	delete(v.flights, key)
	v.mu.Unlock()
	return f.answer
}

// make collects and writes.
func (v *View) make(ctx context.Context, e Encoder, zip bool) answer {
	begun := time.Now()
	results := v.collect(ctx)
	page, drops, err := v.page(results)
	a := answer{status: http.StatusOK, kind: e.ContentType}
	missing, complaint := lacks(results)
	if err == nil {
		var b Body
		b, err = e.Encode(&page)
		drops.Add(b.Drops)
		a.pieces = b.Pieces
		switch {
		case b.Status != 0:
			a.status = b.Status
		case len(results) > 0 && missing == len(results):
			a.status = http.StatusServiceUnavailable
		}
	}
	if err != nil {
		a = answer{status: http.StatusInternalServerError, kind: "text/plain; charset=utf-8", pieces: [][]byte{[]byte("cannot make this page: " + err.Error() + "\n")}}
	}
	series := page.Len()
	a.measure()
	if zip && a.size >= 1024 {
		if packed, failed := gz.Append(nil, bytes.Join(a.pieces, nil)); failed == nil {
			a.pieces, a.zipped = [][]byte{packed}, true
			a.measure()
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	s := &v.stats
	if err != nil || len(results) > 0 && missing == len(results) {
		s.Failed++
	} else if missing > 0 {
		s.Partial++
	}
	s.Series, s.Took, s.Err = series, time.Since(begun), errors.Join(complaint, err)
	s.Bytes += uint64(a.size) //nolint:gosec // a length
	s.Drops.Add(drops)
	return a
}

func (v *View) collect(ctx context.Context) []source.Result {
	results := make([]source.Result, len(v.opts.Inputs))
	if len(results) == 1 {
		results[0] = v.opts.Inputs[0].Fetch(ctx)
		return results
	}
	var all sync.WaitGroup
	for i, in := range v.opts.Inputs {
		all.Go(func() { results[i] = in.Fetch(ctx) })
	}
	all.Wait()
	return results
}

func lacks(results []source.Result) (missing int, err error) {
	for _, r := range results {
		if r.Page == nil {
			missing++
		}
		err = errors.Join(err, r.Err)
	}
	return missing, err
}

// Page collects and merges, for push views and checks.
func (v *View) Page(ctx context.Context) (model.Page, error) {
	results := v.collect(ctx)
	page, drops, err := v.page(results)
	_, complaint := lacks(results)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.stats.Drops.Add(drops)
	return page, errors.Join(err, complaint)
}

func (v *View) page(results []source.Result) (model.Page, model.Drops, error) {
	var pages []Named
	for i, r := range results {
		if r.Page == nil {
			continue
		}
		pages = append(pages, Named{Source: v.opts.Inputs[i].Name, Page: r.Page})
	}
	page, drops, err := v.opts.Merge(pages)
	if err == nil && v.opts.Apply != nil {
		var more model.Drops
		more, err = v.opts.Apply(&page)
		drops.Add(more)
	}
	if err == nil && v.opts.Meta {
		v.about(&page, results)
	}
	return page, drops, err
}

const (
	upName  = "sidecar_adapter_source_up"
	ageName = "sidecar_adapter_source_age_seconds"
)

// IsMeta is whether a family of that name is about the sources.
func IsMeta(name string) bool { return name == upName || name == ageName }

// about adds what is known of the sources.
func (v *View) about(page *model.Page, results []source.Result) {
	up := model.Family{Name: upName, Help: "1 when the source gave this answer, 0 when it gave none or the answer is an old one.", Type: model.Gauge}
	age := model.Family{Name: ageName, Help: "Time since the source was asked for what is in this answer.", Type: model.Gauge}
	for i, r := range results {
		labels := []model.Label{{Name: "source", Value: v.opts.Inputs[i].Name}}
		value := 0.0
		if r.Err == nil {
			value = 1
		}
		up.Samples = append(up.Samples, model.Sample{Labels: labels, Value: value})
		if r.Page != nil {
			age.Samples = append(age.Samples, model.Sample{Labels: labels, Value: math.Round(time.Since(r.At).Seconds()*1000) / 1000})
		}
	}
	page.Families = slices.DeleteFunc(page.Families, func(f model.Family) bool { return IsMeta(f.Name) }) // who gives those is another adapter
	page.Families = append(page.Families, up)
	if len(age.Samples) > 0 {
		page.Families = append(page.Families, age)
	}
}

// Describe is the view in a line, for status pages.
func (v *View) Describe() string {
	var names []string
	for _, in := range v.opts.Inputs {
		names = append(names, in.Name)
	}
	extra := slices.Sorted(maps.Keys(v.opts.Headers))
	if len(extra) == 0 {
		return fmt.Sprintf("%s from %s", v.opts.Path, strings.Join(names, ", "))
	}
	return fmt.Sprintf("%s from %s with %s", v.opts.Path, strings.Join(names, ", "), strings.Join(extra, ", "))
}
