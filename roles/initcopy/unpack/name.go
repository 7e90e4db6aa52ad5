package unpack

import (
	"fmt"
	"strings"
)

// maxComponent is the length of a file's name that Linux file systems take, in bytes.
const maxComponent = 255

// clean makes the path of an item out of a member's name: without "./", double and closing slashes. It is "." for the
// root. slash tells whether the name says that it is a folder. Names that could mean a place outside of the folder, to
// any program on any system, are refused, and so is ".." where it would stay inside: no honest archiver writes it.
func clean(name string, lim Limits) (path string, slash bool, err error) {
	switch {
	case name == "":
		return "", false, reject("", "has a member without a name", "")
	case strings.IndexByte(name, 0) >= 0:
		return "", false, reject(name, "has a NUL byte in its name", "")
	case name[0] == '/':
		return "", false, reject(name, "has an absolute path", "make the archive again with relative names")
	}
	var parts []string
	for part := range strings.SplitSeq(name, "/") {
		slash = part == "" || part == "."
		switch {
		case slash:
			continue
		case part == "..":
			return "", false, reject(name, `has ".." in its path`, "make the archive again with paths below one folder")
		case len(part) > maxComponent:
			return "", false, reject(name, fmt.Sprintf("has a name of %d bytes; file systems take %d", len(part), maxComponent), "")
		}
		parts = append(parts, part)
		if lim.Depth > 0 && len(parts) > lim.Depth {
			return "", false, over(name, "--max-depth", lim.Depth, "lies too deep")
		}
	}
	if len(parts) == 0 {
		return ".", true, nil
	}
	path = strings.Join(parts, "/")
	if reason := windows(path); reason != "" {
		return "", false, reject(name, reason, "")
	}
	if lim.Name > 0 && len(path) > lim.Name {
		return "", false, over(name, "--max-name", lim.Name, fmt.Sprintf("has a path of %d bytes", len(path)))
	}
	return path, slash, nil
}

// windows finds names that another system would take for a place of its own. A backslash alone is an ordinary
// character here: systemd writes it into the names of units.
func windows(name string) string {
	if len(name) >= 2 && name[1] == ':' && (len(name) == 2 || name[2] == '/' || name[2] == '\\') && letter(name[0]) {
		return "begins with a drive letter"
	}
	if name[0] == '\\' {
		return "begins with a backslash, which is an absolute path elsewhere"
	}
	if strings.IndexByte(name, '\\') < 0 {
		return ""
	}
	for part := range strings.FieldsFuncSeq(name, func(c rune) bool { return c == '/' || c == '\\' }) {
		if part == ".." {
			return `has ".." behind a backslash`
		}
	}
	return ""
}

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// strip takes n components from the front of a clean path; ok is false when nothing is left.
func strip(path string, n int) (rest string, ok bool) {
	for ; n > 0; n-- {
		if path == "." {
			return path, true
		}
		_, after, more := strings.Cut(path, "/")
		if !more {
			return "", false
		}
		path = after
	}
	return path, true
}

// split is a path's folder ("." for none) and its last component.
func split(path string) (dir, base string) {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i], path[i+1:]
	}
	return ".", path
}

// picker asks the filter, once for each folder.
type picker struct {
	filter func(path string, dir bool) bool
	dirs   map[string]bool
}

func newPicker(filter func(string, bool) bool) picker {
	return picker{filter: filter, dirs: map[string]bool{".": true}}
}

func (p *picker) takes(path string, dir bool) bool {
	if p.filter == nil || path == "." {
		return true
	}
	if dir {
		if yes, known := p.dirs[path]; known {
			return yes
		}
	}
	up, _ := split(path)
	yes := p.takes(up, true) && p.filter(path, dir)
	if dir {
		p.dirs[path] = yes
	}
	return yes
}
