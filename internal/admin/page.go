package admin

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/sidecar-kit/sidecar/internal/health"
	"github.com/sidecar-kit/sidecar/internal/status"
)

var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string
)

// page is the compiled status page. Its values are text or stand in quoted
// attributes, and each of them goes through html: html/template, which would
// find that out by itself, is 190 KB. It is made at the first visit: most
// processes never have one, and the template costs memory.
type page struct {
	tmpl   *template.Template
	policy string
}

func newPage() (*page, error) {
	tmpl, err := template.New("page").Parse(pageHTML)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(pageCSS))
	return &page{tmpl: tmpl, policy: "default-src 'none'; style-src 'sha256-" +
		base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}, nil
}

// view is what the page shows.
type view struct {
	Role, Version, State string
	CSS                  string
	Uptime               time.Duration
	Ready                health.Report
	Lines                []health.Line
	Facts                []status.Fact
	Charts               []chart
	Events               []status.Event
}

// chart is a series ready to be drawn in a box of 240 by 40.
type chart struct {
	Name                   string
	Last, Median, Min, Max string
	Count, Failures        int
	Line                   string
	Marks                  []string
}

func (s *Server) serveStatus(w http.ResponseWriter, _ *http.Request) {
	p, err := s.page()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	snap := s.opts.Status.Snapshot()
	ready := s.opts.Health.Ready()
	v := view{
		Role: s.opts.Role, Version: s.opts.Version, State: "ready", CSS: pageCSS,
		Uptime: time.Since(s.begin).Truncate(time.Second), Ready: ready,
		Lines: append(ready.Lines, s.opts.Health.Live().Lines...),
		Facts: snap.Facts, Events: snap.Events,
	}
	if !ready.OK {
		v.State = "not ready"
	}
	for _, h := range snap.Series {
		if len(h.Points) > 0 {
			v.Charts = append(v.Charts, draw(h))
		}
	}
	var b bytes.Buffer
	if err := p.tmpl.Execute(&b, v); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header.Set("Content-Security-Policy", p.policy)
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cache-Control", "no-store")
	_, _ = w.Write(b.Bytes())
}

const (
	chartWidth  = 240.0
	chartHeight = 40.0
	chartMargin = 2.0
)

// draw scales a series from zero to its maximum; the newest point is at the right.
func draw(h status.History) chart {
	var values []float64
	for _, p := range h.Points {
		if !math.IsNaN(p.Value) && !math.IsInf(p.Value, 0) {
			values = append(values, p.Value)
		}
	}
	c := chart{Name: h.Name, Count: len(h.Points)}
	if len(values) == 0 {
		values = []float64{0}
	}
	last := values[len(values)-1]
	slices.Sort(values)
	top, bottom := max(values[len(values)-1], 0), min(values[0], 0)
	c.Last, c.Min, c.Max = amount(last, h.Unit), amount(values[0], h.Unit), amount(values[len(values)-1], h.Unit)
	c.Median = amount((values[(len(values)-1)/2]+values[len(values)/2])/2, h.Unit)
	span := max(top-bottom, math.SmallestNonzeroFloat64)
	step := chartWidth / float64(max(len(h.Points)-1, 1))
	var line []string
	for i, p := range h.Points {
		x := coordinate(float64(i) * step)
		if p.Failed {
			c.Failures++
			c.Marks = append(c.Marks, x)
		}
		if math.IsNaN(p.Value) || math.IsInf(p.Value, 0) {
			continue
		}
		y := chartHeight - chartMargin - (p.Value-bottom)/span*(chartHeight-2*chartMargin)
		line = append(line, x+","+coordinate(y))
	}
	if len(h.Points) == 1 && len(line) == 1 {
		_, y, _ := strings.Cut(line[0], ",")
		line = append(line, coordinate(chartWidth)+","+y) // a point alone would not show
	}
	c.Line = strings.Join(line, " ")
	return c
}

func coordinate(f float64) string { return strconv.FormatFloat(f, 'f', 1, 64) }

func amount(f float64, unit string) string {
	return strings.TrimSpace(fmt.Sprintf("%.4g %s", f, unit))
}
