//go:build unix && !linux

package stream

import "golang.org/x/sys/unix"

func readNow(fd int, p []byte) (int, error) { return unix.Read(fd, p) }
