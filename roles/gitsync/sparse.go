package gitsync

import (
	"errors"
	"io"
	"os"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/gitignore"
)

// maxSparse bounds a file of patterns, in bytes.
const maxSparse = 1 << 20

// readSparse reads patterns in gitignore syntax and returns which files they want: the last pattern that matches a
// path or a folder it lies in decides.
func readSparse(name string) (func(path string, dir bool) bool, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSparse+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxSparse {
		return nil, errors.New("is longer than 1 MiB")
	}
	var patterns []gitignore.Pattern
	for line := range strings.Lines(string(data)) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		patterns = append(patterns, gitignore.ParsePattern(line, nil))
	}
	if len(patterns) == 0 {
		return nil, errors.New("holds no pattern: nothing would be published")
	}
	m := gitignore.NewMatcher(patterns)
	return func(path string, dir bool) bool {
		// A folder has to be looked into whatever its own name says: what is wanted may lie deeper.
		return dir || m.Match(strings.Split(path, "/"), false)
	}, nil
}
