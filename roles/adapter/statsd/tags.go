package statsd

import (
	"strings"
	"unicode/utf8"
)

// nameTags reads the tags in a name, and returns the name without them.
func (p Parser) nameTags(name string, h *Head) string {
	if !p.NoSignalFX {
		open, end := strings.IndexByte(name, '['), strings.IndexByte(name, ']')
		switch {
		case open >= 0 && end > open:
			tags(name[open+1:end], '=', h)
			if open == 0 {
				return name[end+1:]
			}
			if end == len(name)-1 {
				return name[:open]
			}
			return name[:open] + name[end+1:]
		case open >= 0 || end >= 0:
			h.BadTags++
			return name
		}
	}
	for i := range len(name) {
		if name[i] == '#' && !p.NoLibrato || name[i] == ',' && !p.NoInfluxDB {
			tags(name[i+1:], '=', h)
			return name[:i]
		}
	}
	return name
}

// tags reads name:value,name:value. A comma at the end is nothing.
func tags(text string, between byte, h *Head) {
	for text != "" {
		var tag string
		tag, text, _ = strings.Cut(text, ",")
		if between == ':' {
			tag = strings.TrimPrefix(tag, "#")
		}
		i := strings.IndexByte(tag, between)
		if i <= 0 || i == len(tag)-1 {
			h.BadTags++
			continue
		}
		h.set(Escape(tag[:i]), tag[i+1:])
	}
}

func (h *Head) set(name, value string) {
	for i := range h.Tags {
		if h.Tags[i].Name == name {
			h.Tags[i].Value = value
			return
		}
	}
	h.Tags = append(h.Tags, tag(name, value))
}

// Escape makes a name of letters, digits and underscores. Other characters become an underscore, several dashes only one; a digit in front gets one before it.
func Escape(name string) string {
	if name == "" {
		return ""
	}
	good := name[0] < '0' || name[0] > '9'
	for i := 0; good && i < len(name); i++ {
		good = plain(name[i])
	}
	if good {
		return name
	}
	dst := make([]byte, 0, len(name)+1)
	if name[0] >= '0' && name[0] <= '9' {
		dst = append(dst, '_')
	}
	dash := false
	for i := 0; i < len(name); {
		c := name[i]
		if plain(c) {
			dst, dash = append(dst, c), false
			i++
			continue
		}
		_, size := utf8.DecodeRuneInString(name[i:])
		if c != '-' || !dash {
			dst = append(dst, '_')
		}
		dash = c == '-'
		i += size
	}
	return string(dst)
}

func plain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}
