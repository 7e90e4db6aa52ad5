package tree

import (
	"bytes"
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"
)

// entry is a name in a folder, within the text that holds the paths of all of them.
type entry struct {
	path string
	kind uint8 // DT_*; DT_UNKNOWN where the file system does not tell
}

// readDir returns the entries of an open folder, unsorted, with their paths.
func (w *walker) readDir(fd int, prefix string) ([]entry, error) {
	w.text, w.ends, w.kinds = w.text[:0], w.ends[:0], w.kinds[:0]
	for {
		n, err := unix.Getdents(fd, w.buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n <= 0 {
			break
		}
		w.parse(w.buf[:n], prefix)
	}
	text, at := string(w.text), 0
	entries := make([]entry, 0, len(w.ends))
	for i, end := range w.ends {
		entries = append(entries, entry{text[at:end], w.kinds[i]})
		at = end
	}
	return entries, nil
}

// parse reads records of linux_dirent64: inode 8, offset 8, length 2, type 1, name with a zero at its end.
func (w *walker) parse(b []byte, prefix string) {
	const head = 19
	for len(b) > head {
		size := int(binary.NativeEndian.Uint16(b[16:]))
		if size <= head || size > len(b) {
			return
		}
		name := b[head:size]
		if end := bytes.IndexByte(name, 0); end >= 0 {
			name = name[:end]
		}
		if s := string(name); s != "." && s != ".." {
			w.text = append(append(w.text, prefix...), name...)
			w.ends = append(w.ends, len(w.text))
			w.kinds = append(w.kinds, b[18])
		}
		b = b[size:]
	}
}
