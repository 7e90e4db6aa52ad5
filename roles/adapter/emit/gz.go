package emit

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/klauspost/compress/flate"
)

// pack compresses by gzip, with the level that links no writer besides the one that the program has.
func pack(src []byte) ([]byte, error) {
	w := writer{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255}
	if err := flate.StatelessDeflate(&w, src, true, nil); err != nil {
		return nil, err
	}
	w = binary.LittleEndian.AppendUint32(w, crc32.ChecksumIEEE(src))
	return binary.LittleEndian.AppendUint32(w, uint32(len(src))), nil //nolint:gosec // the format has it modulo 2^32
}

type writer []byte

func (w *writer) Write(p []byte) (int, error) {
	*w = append(*w, p...)
	return len(p), nil
}
