package ident

import (
	"slices"
	"strings"
)

// Live returns the names that a file may have had before it was rotated to name: app.log for app.log.1, app.log-20260101.gz and
// app-2026-01-01.log. Names are without folders; there are at most a few, none if name does not look like that of a rotated file.
func Live(name string) []string {
	const most = 16 // a name made of dots and digits alone could have had thousands
	packed := false
	if len(name) > 255 {
		return nil
	}
	for _, ext := range endings() {
		if s, ok := strings.CutSuffix(name, ext); ok {
			name, packed = s, true
		}
	}
	var live []string
	if packed && name != "" {
		live = append(live, name)
	}
	for i := len(name) - 1; i > 0 && len(live) < most; i-- {
		if !strings.ContainsRune(".-_", rune(name[i])) {
			continue
		}
		if tag := name[i+1:]; isTag(tag) {
			live = append(live, name[:i]) // app.log.1, app.log-20260101
		}
		for dot := i + 1; dot < len(name) && len(live) < most; dot++ {
			if name[dot] == '.' && isTag(name[i+1:dot]) {
				live = append(live, name[:i]+name[dot:]) // app-2026-01-01.log, app.1.log
			}
		}
	}
	return live
}

func endings() []string { return []string{".gz", ".zst", ".zstd"} }

// Packed says whether name is that of a compressed file.
func Packed(name string) bool {
	return slices.ContainsFunc(endings(), func(ext string) bool { return strings.HasSuffix(name, ext) })
}

// Rotated says whether name is one that a file called live may get when it is rotated.
func Rotated(live, name string) bool {
	for _, l := range Live(name) {
		if l == live {
			return true
		}
	}
	return false
}

// isTag says whether a part of a name is what rotators add: numbers, dates, times, and a few words.
func isTag(s string) bool {
	switch strings.ToLower(s) {
	case "":
		return false
	case "old", "bak", "backup", "prev", "previous", "orig", "copy", "save", "rotated":
		return true
	}
	digits := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			digits++
		case c == '-' || c == '_' || c == '.' || c == ':' || c == 'T' || c == 'Z' || c == '+':
		default:
			return false
		}
	}
	return digits > 0 && s[0] != '.' && s[len(s)-1] != '.'
}
