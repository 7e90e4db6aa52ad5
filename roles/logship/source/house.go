package source

import (
	"io/fs"
	"slices"

	"github.com/sidecar-kit/sidecar/roles/logship/source/ident"
)

// Folders are those in which the files of the input are looked for, before the first wildcard.
func (in *Input) Folders() (dirs []string) {
	for _, p := range in.Paths {
		if dir, _ := base(p); !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// Matches says whether a path is one of the input's.
func (in *Input) Matches(path string) bool { return in.matches(path) }

// Is says whether info, of a file that is looked at now, is the file that a generation was seen in last.
func (s *Set) Is(gen uint64, info fs.FileInfo) bool {
	key, ok := ident.Of(info)
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.gens[gen]
	return ok && g != nil && g.Ident.Dev == key.Dev && g.Ident.Ino == key.Ino
}
