package elastic

import (
	"fmt"
	"strings"

	"github.com/sidecar-kit/sidecar/roles/logship/out/pattern"
)

const nameMax = 255

// parseIndex reads the name of an index or data stream, or a pattern for one.
func parseIndex(text string) (*pattern.Pattern, error) {
	p, err := pattern.Parse(text, cleanName)
	if err != nil {
		return nil, fmt.Errorf("index %w", err)
	}
	bare := p.Fixed("x")
	switch {
	case text == "":
		return nil, fmt.Errorf("no index\nhint: elasticsearch://HOST:9200/INDEX, such as /logs-app-default for a data stream or /app-%%{+yyyy.MM.dd}")
	case bare != strings.ToLower(bare):
		return nil, fmt.Errorf("index %q has capital letters, which no index may have", text)
	case strings.ContainsAny(bare, "\\/*?\"<>| ,#:\x00"):
		return nil, fmt.Errorf("index %q has one of \\ / * ? \" < > | , # : or a space, which no index may have", text)
	case strings.HasPrefix(text, "-") || strings.HasPrefix(text, "_") || strings.HasPrefix(text, "+") || strings.HasPrefix(text, "."):
		return nil, fmt.Errorf("index %q begins with %q, which belongs to the server", text, text[:1])
	case strings.Contains(bare, "..") || len(bare) > nameMax:
		return nil, fmt.Errorf("index %q is no name: it has .. in it or more than %d bytes", text, nameMax)
	}
	return p, nil
}

// cleanName appends a value from an event, which may be anything, as a part of a name.
func cleanName(dst, value []byte) []byte {
	for _, c := range value[:min(len(value), 100)] {
		switch {
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_':
		case c == '.' && (len(dst) == 0 || dst[len(dst)-1] != '.'):
		default:
			c = '_'
		}
		dst = append(dst, c)
	}
	return dst
}

// finishName repairs what is wrong only at the beginning or the end of a name; begin is where it begins in dst.
func finishName(dst []byte, begin int) []byte {
	if len(dst) > begin+nameMax {
		dst = dst[:begin+nameMax]
	}
	if len(dst) > begin && strings.IndexByte("-_+.", dst[begin]) >= 0 {
		dst[begin] = 'x'
	}
	return dst
}
