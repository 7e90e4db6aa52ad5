package proto

import (
	"bytes"
	"testing"
)

func TestWhatIsWrittenIsRead(t *testing.T) {
	var msg []byte
	msg = Uint(msg, 1, 1<<63)
	msg = Bytes(msg, 2, "text")
	msg = Fixed64(msg, 300, 7)
	msg = Bytes(msg, 15, make([]byte, 200))
	if n := SizeBytes(200); n != 203 || SizeUint(0) != 1 || SizeUint(128) != 2 {
		t.Errorf("SizeBytes(200) = %d; want 203", n)
	}
	seen := map[int]uint64{}
	err := Each(msg, func(field int, number uint64, value []byte) error {
		seen[field] = number + uint64(len(value))
		return nil
	})
	if err != nil || seen[1] != 1<<63 || seen[2] != 4 || seen[300] != 7 || seen[15] != 200 {
		t.Errorf("Each = %v, %v; want four fields", seen, err)
	}
}

// FuzzEach reads anything: fields never reach beyond the message, and a message that was read to its end can be cut into its fields.
func FuzzEach(f *testing.F) {
	f.Add(Bytes(Uint(nil, 1, 5), 2, "x"))
	f.Add([]byte{0x0d, 1, 2, 3, 4, 0x09, 1, 2, 3, 4, 5, 6, 7, 8})
	f.Fuzz(func(t *testing.T, data []byte) {
		total := 0
		err := Each(data, func(_ int, _ uint64, value []byte) error {
			total += len(value) + 1
			if len(value) > 0 && !bytes.Contains(data, value) {
				t.Errorf("a value is not of the message")
			}
			return nil
		})
		if err == nil && total > len(data) {
			t.Errorf("%d bytes of fields in %d", total, len(data))
		}
	})
}
