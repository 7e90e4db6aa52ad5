//go:build !linux

package ident

import (
	"io/fs"
	"os"
	"syscall"
)

// Lstat looks at a name, and at the link itself when it is one.
func Lstat(path string) (Stat, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return Stat{}, err
	}
	return fromInfo(info), nil
}

// Fstat looks at an open file.
func Fstat(f *os.File) (Stat, error) {
	info, err := f.Stat()
	if err != nil {
		return Stat{}, err
	}
	return fromInfo(info), nil
}

// fromInfo knows no birth time: only the inode and the content tell files apart here.
func fromInfo(info fs.FileInfo) Stat {
	s := Stat{Size: info.Size(), Mtime: info.ModTime().UnixNano(), Mode: info.Mode()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		s.Key = Key{Dev: uint64(sys.Dev), Ino: uint64(sys.Ino)}
		s.Links = uint64(sys.Nlink)
	}
	return s
}
