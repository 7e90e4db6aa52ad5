package main

import (
	"syscall"
)

// walk opens the tree once and reads all of its files relative to that handle. It says
// which commit it saw, how many files, and whether they agreed.
func walk(link string) (number string, files int, same bool) {
	root, err := syscall.Open(link, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return "", 0, true
	}
	defer syscall.Close(root)
	same = true
	visit(root, func(content string) {
		files++
		if number == "" {
			number = content
		}
		if content != number {
			same = false
		}
	})
	return number, files, same
}

func visit(dir int, see func(content string)) {
	for _, name := range entries(dir) {
		if name == ".git" {
			continue
		}
		fd, err := syscall.Openat(dir, name, syscall.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0)
		if err != nil {
			continue // counted as incomplete
		}
		buf := make([]byte, 64)
		switch n, err := syscall.Read(fd, buf); err {
		case syscall.EISDIR:
			visit(fd, see)
		case nil:
			see(string(buf[:n]))
		}
		syscall.Close(fd)
	}
}

func entries(dir int) []string {
	var names []string
	buf := make([]byte, 8192)
	for {
		n, err := syscall.ReadDirent(dir, buf)
		if err != nil || n <= 0 {
			return names
		}
		_, _, names = syscall.ParseDirent(buf[:n], -1, names)
	}
}
