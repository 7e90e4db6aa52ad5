// Package bulk moves the content of large files and leaves next to nothing in the page cache.
//
// A container with a memory limit of 16 MiB is charged for every page that it reads or writes through the cache, and the
// kernel kills it when pages that wait for the disk fill the limit. So content goes around the cache (O_DIRECT) where
// the file system can do that, and otherwise through it in windows that are written out and dropped while the next is
// filled. Reading, digest and writing run side by side on a few buffers that are used again and again.
//
// It promises that the bytes are handed to the kernel, in order, and that errors of earlier writes are not lost. It does
// not make content durable: sync the file or its file system afterwards. It knows nothing of names, modes and owners. For
// files of a few hundred kilobytes one read and one write are faster.
//
// Used by the packages below initcopy that copy trees, unpack archives and download.
package bulk

const (
	// bufSize is what one system call moves. Larger ones gain nothing; smaller ones make O_DIRECT wait for the disk more
	// often: 512 KiB cost a tenth more time, 128 KiB half as much again.
	bufSize = 1 << 20
	// buffers are in flight at once: one is filled, one digested, one written. A fourth gained nothing.
	buffers = 3
	// window is how much content may wait for the disk where the cache has to be used.
	window = 4 << 20
	// align is what O_DIRECT wants of offsets, lengths and addresses; no disk wants more.
	align = 4096
)

// ring is a fixed number of aligned buffers outside of the Go heap, so that neither the collector nor GOGC counts them.
type ring struct {
	mem  []byte
	free chan []byte
}

func newRing() (*ring, error) {
	mem, err := mapMemory(buffers * bufSize)
	if err != nil {
		return nil, err
	}
	r := &ring{mem: mem, free: make(chan []byte, buffers)}
	for i := range buffers {
		r.free <- mem[i*bufSize : (i+1)*bufSize : (i+1)*bufSize]
	}
	return r, nil
}

// close gives the memory back. No buffer may be in use.
func (r *ring) close() error {
	if r == nil || r.mem == nil {
		return nil
	}
	mem := r.mem
	r.mem = nil
	return unmapMemory(mem)
}
