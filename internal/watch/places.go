package watch

import (
	"os"
	"path/filepath"
	"strings"
)

// everything says that any name in a folder counts.
const everything = "*/"

// maxLinks is where the system gives up, too.
const maxLinks = 40

// names are those that count in a folder; the value is false where it is nice to have only, and the folder may be closed to us.
type names map[string]bool

func (n names) needed() bool {
	for _, needed := range n {
		if needed {
			return true
		}
	}
	return false
}

// places says which folders are watched for the paths, and which names in them count. A file is watched through its folder, because a
// rename puts another file in its place; every link on the way has a folder that counts, and so has the folder above the last one, where
// that may be removed and made again.
func places(paths []string) map[string]names {
	found := map[string]names{}
	for _, path := range paths {
		end := trace(found, path)
		info, err := os.Stat(end)
		if err != nil || !info.IsDir() {
			continue
		}
		add(found, end, everything, true)
		inside, err := entries(end)
		if err != nil {
			continue
		}
		for _, name := range inside {
			full := filepath.Join(end, name)
			if info, err := os.Lstat(full); err == nil && info.Mode()&os.ModeSymlink != 0 {
				trace(found, full)
			}
		}
	}
	return found
}

func add(found map[string]names, dir, name string, needed bool) {
	if found[dir] == nil {
		found[dir] = names{}
	}
	found[dir][name] = found[dir][name] || needed
}

// trace follows a path part by part and returns where it ends without links. Where a part does not exist, its folder counts: there it will appear.
func trace(found map[string]names, path string) string {
	path, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	links := 0
	at, rest := "/", parts(path)
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case ".":
			continue
		case "..":
			at = filepath.Dir(at)
			continue
		}
		full := filepath.Join(at, name)
		info, err := os.Lstat(full)
		if err != nil {
			add(found, at, name, true)
			return full
		}
		if info.Mode()&os.ModeSymlink == 0 {
			if len(rest) <= 1 { // the file, and the folder that it is in
				add(found, at, name, len(rest) == 0)
			}
			at = full
			continue
		}
		add(found, at, name, true)
		target, err := os.Readlink(full)
		if links++; err != nil || links > maxLinks {
			return full
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		rest = append(parts(target), rest...)
	}
	return at
}

func parts(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}
