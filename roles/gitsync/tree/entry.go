// Package tree turns a commit's tree into files of a folder: it decodes trees, refuses hostile ones, works out what
// differs, and writes, links or removes just that.
//
// It promises that nothing is written outside the folder it was given, whatever a tree holds or somebody else puts
// into the folder meanwhile, and that files come before symbolic links. It does not make anything visible to readers:
// that is for internal/publish.
package tree

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/go-git/go-git/v5/plumbing"
)

// Hash names a git object.
type Hash = plumbing.Hash

// Mode is a tree entry's mode as git writes it.
type Mode uint32

// The modes git writes today. The group-writable file is a relic of its first months and means File.
const (
	Dir       Mode = 0o040000
	File      Mode = 0o100644
	fileRelic Mode = 0o100664
	Exec      Mode = 0o100755
	Symlink   Mode = 0o120000
	Submodule Mode = 0o160000
)

// ErrRefused means that a tree holds an entry that is not written anywhere: a name that leaves the folder, poses as
// git's own, or stands there twice.
var ErrRefused = errors.New("refused tree")

const (
	maxName  = 255
	maxPath  = 4095
	maxDepth = 256
)

// Entry is one line of a tree object.
type Entry struct {
	Name string
	Mode Mode
	Hash Hash
}

// Parse decodes a tree object and checks every entry, so that whoever gets the result may trust its names. The
// errors are ErrRefused.
func Parse(data []byte) ([]Entry, error) {
	n := bytes.Count(data, []byte{0})
	entries := make([]Entry, 0, min(n, len(data)/(6+20)))
	seen := make(map[string]bool, cap(entries))
	for len(data) > 0 {
		e, rest, err := parseEntry(data)
		if err != nil {
			return nil, err
		}
		if why := badName(e.Name); why != "" {
			return nil, fmt.Errorf("%w: entry %.300q %s", ErrRefused, e.Name, why)
		}
		if seen[e.Name] {
			return nil, fmt.Errorf("%w: entry %q stands there twice", ErrRefused, e.Name)
		}
		if e.Mode == Symlink && isDotGitmodules(e.Name) {
			return nil, fmt.Errorf("%w: %q is a symbolic link", ErrRefused, e.Name)
		}
		seen[e.Name] = true
		entries = append(entries, e)
		data = rest
	}
	return entries, nil
}

func parseEntry(data []byte) (Entry, []byte, error) {
	var e Entry
	sp := bytes.IndexByte(data[:min(len(data), 8)], ' ')
	if sp <= 0 {
		return e, nil, fmt.Errorf("%w: entry without a mode", ErrRefused)
	}
	for _, c := range data[:sp] {
		if c < '0' || c > '7' {
			return e, nil, fmt.Errorf("%w: entry with the mode %q", ErrRefused, data[:sp])
		}
		e.Mode = e.Mode<<3 | Mode(c-'0')
	}
	data = data[sp+1:]
	end := bytes.IndexByte(data, 0)
	if end < 0 || len(data) < end+1+20 {
		return e, nil, fmt.Errorf("%w: entry is cut", ErrRefused)
	}
	e.Name = string(data[:end])
	copy(e.Hash[:], data[end+1:])
	switch e.Mode {
	case fileRelic:
		e.Mode = File
	case Dir, File, Exec, Symlink, Submodule:
	default:
		return e, nil, fmt.Errorf("%w: entry %.300q has the mode %o", ErrRefused, e.Name, e.Mode)
	}
	return e, data[end+1+20:], nil
}

// badName says what is wrong with a name, or nothing. Control characters and backslashes are allowed: they are plain
// bytes to the file systems this runs on, and real sites hold such files ("Icon\r").
func badName(name string) string {
	switch {
	case name == "":
		return "has no name"
	case name == "." || name == "..":
		return "would leave its folder"
	case strings.Contains(name, "/"):
		return "holds a slash"
	case len(name) > maxName:
		return fmt.Sprintf("is longer than %d bytes", maxName)
	case isDotGit(name):
		return "poses as a repository's own folder"
	}
	return ""
}

// isDotGit tells whether some file system would take name for ".git": by case, by NTFS's short name, trailing dots,
// spaces and streams, or by the code points that HFS+ leaves out.
func isDotGit(name string) bool {
	if name[0] != '.' && name[0] != 'g' && name[0] != 'G' && name[0] < utf8.RuneSelf {
		return false
	}
	plain := fold(name)
	return plain == ".git" || plain == "git~1"
}

func isDotGitmodules(name string) bool {
	plain := fold(name)
	return plain == ".gitmodules" || strings.HasPrefix(plain, "gitmod~")
}

func fold(name string) string {
	name, _, _ = strings.Cut(name, ":")
	name = strings.Map(func(r rune) rune {
		switch {
		case r >= 0x200c && r <= 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x206a && r <= 0x206f, r == 0xfeff:
			return -1
		}
		return r
	}, name)
	return strings.ToLower(strings.TrimRight(name, ". "))
}
