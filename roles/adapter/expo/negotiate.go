package expo

import (
	"strconv"
	"strings"

	"github.com/sidecar-kit/sidecar/roles/adapter/model"
)

// The content types that are written.
const (
	textType = "text/plain; version=0.0.4; charset=utf-8"
	openType = "application/openmetrics-text; version="
	quoting  = "escaping=allow-utf-8"
)

// Negotiate finds what an Accept header prefers of text 0.0.4 and 1.0.0 and OpenMetrics 0.0.1 and 1.0.0, and the content type to answer with. It is text where the header
// is empty or names neither, as with Prometheus' own library; equal preferences go by their order. Names are escaped by underscores unless the
// header asks for escaping=allow-utf-8; see Quotes.
func Negotiate(accept string) (model.Dialect, string) {
	return negotiate(accept, true, true)
}

// ContentType is the content type for who gets a dialect whatever the Accept header prefers: what that says of the dialect's version and of names holds.
func ContentType(accept string, d model.Dialect) string {
	got, contentType := negotiate(accept, d == model.Text, d == model.OpenMetrics)
	if got != d {
		return openType + "1.0.0; charset=utf-8; escaping=underscores"
	}
	return contentType
}

func negotiate(accept string, text, open bool) (model.Dialect, string) {
	best, d, contentType := 0.0, model.Text, textType+"; escaping=underscores"
	for part := range strings.SplitSeq(accept, ",") {
		kind, rest, _ := strings.Cut(part, ";")
		q, version, escaping := params(rest)
		if q <= best {
			continue
		}
		kind = strings.ToLower(strings.TrimSpace(kind))
		switch {
		case open && kind == "application/openmetrics-text" && (version == "" || version == "0.0.1" || version == "1.0.0"):
			if version == "" {
				version = "0.0.1"
			}
			best, d, contentType = q, model.OpenMetrics, openType+version+"; charset=utf-8; escaping="+escaping
		case text && kind == "text/plain" && version == "1.0.0": // 0.0.4, and names may be quoted
			best, d, contentType = q, model.Text, "text/plain; version=1.0.0; charset=utf-8; escaping="+escaping
		case text && (kind == "text/plain" || kind == "text/*" || kind == "*/*") && (version == "" || version == "0.0.4"):
			best, d, contentType = q, model.Text, textType+"; escaping="+escaping
		}
	}
	return d, contentType
}

// params reads the parameters of a part of an Accept header. A weight that is none is 0.
func params(s string) (q float64, version, escaping string) {
	q, escaping = 1, "underscores"
	for p := range strings.SplitSeq(s, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		value = strings.Trim(strings.TrimSpace(value), `"`)
		switch strings.ToLower(strings.TrimSpace(key)) {
		case "q":
			w, err := strconv.ParseFloat(value, 64)
			if err != nil || !(w >= 0 && w <= 1) {
				w = 0
			}
			q = w
		case "version":
			version = value
		case "escaping":
			if value == "allow-utf-8" {
				escaping = value
			}
		}
	}
	return q, version, escaping
}

// Quotes reports whether a content type of Negotiate promises names in UTF-8, which Writer.Quote has to give then.
func Quotes(contentType string) bool { return strings.HasSuffix(contentType, quoting) }
