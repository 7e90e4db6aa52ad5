package jsonexporter

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/sidecar-kit/sidecar/internal/draft"
)

// renderer is the template of a body.
type renderer struct{ t *template.Template }

// mostBody bounds the body of a request.
const mostBody = 1 << 20

func (m *Module) parseBody(v draft.Value) error {
	var at draft.Value
	err := v.Each([]string{"content", "templatize"}, func(key string, v draft.Value) error {
		if key == "content" {
			at = v
			return v.Word(&m.Body)
		}
		return v.Bool(&m.Templated)
	})
	if m.Body != "" {
		m.Method = "POST"
	}
	if err != nil || !m.Templated {
		return err
	}
	t, err := template.New("body").Funcs(functions()).Option("missingkey=zero").Parse(m.Body)
	if err != nil {
		return at.Errorf("%s\nhint: of Sprig's functions there are those that need neither the environment nor chance", strings.TrimPrefix(err.Error(), "template: "))
	}
	m.render = &renderer{t}
	return nil
}

// Render is the body for a request whose query is values.
func (h *HTTP) Render(values url.Values) (string, error) {
	if h.render == nil {
		return h.Body, nil
	}
	var b limited
	if err := h.render.t.Execute(&b, values); err != nil {
		return "", fmt.Errorf("body: %w", err)
	}
	return string(b.text), nil
}

type limited struct{ text []byte }

func (l *limited) Write(b []byte) (int, error) {
	if len(l.text)+len(b) > mostBody {
		return 0, fmt.Errorf("the body has more than %d bytes", mostBody)
	}
	l.text = append(l.text, b...)
	return len(b), nil
}

// functions are those of Sprig that bodies of requests need, in its order of arguments.
func functions() template.FuncMap {
	return template.FuncMap{
		"upper": strings.ToUpper, "lower": strings.ToLower, "trim": strings.TrimSpace,
		"trimAll":    func(cut, s string) string { return strings.Trim(s, cut) },
		"trimPrefix": func(cut, s string) string { return strings.TrimPrefix(s, cut) },
		"trimSuffix": func(cut, s string) string { return strings.TrimSuffix(s, cut) },
		"replace":    func(old, with, s string) string { return strings.ReplaceAll(s, old, with) },
		"repeat": func(n int, s string) (string, error) {
			if n < 0 || n*len(s) > mostBody {
				return "", errors.New("too many repeats")
			}
			return strings.Repeat(s, n), nil
		},
		"trunc":     trunc,
		"contains":  func(sub, s string) bool { return strings.Contains(s, sub) },
		"hasPrefix": func(sub, s string) bool { return strings.HasPrefix(s, sub) },
		"hasSuffix": func(sub, s string) bool { return strings.HasSuffix(s, sub) },
		"quote":     func(v any) string { return strconv.Quote(text(v)) },
		"squote":    func(v any) string { return "'" + text(v) + "'" },
		"toString":  text,
		"b64enc":    func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
		"b64dec": func(s string) (string, error) {
			b, err := base64.StdEncoding.DecodeString(s)
			return string(b), err
		},
		"toJson": func(v any) (string, error) {
			b, err := json.Marshal(v)
			return string(b), err
		},
		"first":     func(list []string) string { return pick(list, 0) },
		"last":      func(list []string) string { return pick(list, len(list)-1) },
		"join":      func(sep string, list []string) string { return strings.Join(list, sep) },
		"list":      func(list ...string) []string { return list },
		"splitList": func(sep, s string) []string { return strings.Split(s, sep) },
		"default": func(instead, v any) any {
			if list, is := v.([]string); v == nil || v == "" || v == 0 || v == false || is && len(list) == 0 {
				return instead
			}
			return v
		},
		"int": func(v any) int { return int(number64(v)) }, "int64": func(v any) int64 { return int64(number64(v)) }, "float64": number64,
		"add": func(list ...any) int64 { return fold(list, func(a, b int64) int64 { return a + b }) },
		"sub": func(a, b any) int64 { return int64(number64(a)) - int64(number64(b)) },
		"mul": func(list ...any) int64 { return fold(list, func(a, b int64) int64 { return a * b }) },
		"now": time.Now, "unixEpoch": func(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) },
		"date":     func(layout string, t time.Time) string { return t.Format(layout) },
		"duration": func(v any) string { return (time.Duration(number64(v)) * time.Second).String() },
	}
}

func trunc(n int, s string) string {
	switch {
	case n >= 0 && n < len(s):
		return s[:n]
	case n < 0 && len(s)+n > 0:
		return s[len(s)+n:]
	}
	return s
}

func pick(list []string, i int) string {
	if i < 0 || i >= len(list) {
		return ""
	}
	return list[i]
}

func text(v any) string { return fmt.Sprint(v) }

func number64(v any) float64 {
	f, _ := strconv.ParseFloat(text(v), 64)
	return f
}

func fold(list []any, f func(a, b int64) int64) int64 {
	if len(list) == 0 {
		return 0
	}
	total := int64(number64(list[0]))
	for _, v := range list[1:] {
		total = f(total, int64(number64(v)))
	}
	return total
}
