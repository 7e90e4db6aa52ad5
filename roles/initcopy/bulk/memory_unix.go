//go:build unix

package bulk

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// mapMemory is page-aligned memory that is zero and costs nothing until it is touched.
func mapMemory(size int) ([]byte, error) {
	mem, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes for buffers: %w", size, err)
	}
	return mem, nil
}

func unmapMemory(mem []byte) error { return unix.Munmap(mem) }
