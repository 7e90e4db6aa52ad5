package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"
)

// zoneFile is a time zone of our own, in the format of tzdata (TZif, version 2): one
// change of the offset, at an instant of our choice. Any program that reads zones lives
// through that night without a clock being set.
func zoneFile(change time.Time, before, after time.Duration) []byte {
	var f bytes.Buffer
	// Readers of today skip the first block, whose times have 32 bits.
	zoneBlock(&f, change, before, after, 4)
	zoneBlock(&f, change, before, after, 8)
	// The rule for all times after the last change; its sign is that of POSIX.
	sign, d := "-", after
	if after < 0 {
		sign, d = "", -after
	}
	fmt.Fprintf(&f, "\n<AFT>%s%d:%02d:%02d\n", sign, int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60)
	return f.Bytes()
}

func zoneBlock(f *bytes.Buffer, change time.Time, before, after time.Duration, size int) {
	const names = "BEF\x00AFT\x00"
	put := func(v any) { _ = binary.Write(f, binary.BigEndian, v) } // a Buffer takes everything
	f.WriteString("TZif2")
	f.Write(make([]byte, 15))
	for _, n := range []int{0, 0, 0, 1, 2, len(names)} { // UT, standard and leap indicators; changes, types, bytes of names
		put(uint32(n))
	}
	if size == 4 {
		put(int32(change.Unix()))
	} else {
		put(change.Unix())
	}
	put(uint8(1)) // the type from the change on
	for i, offset := range []time.Duration{before, after} {
		put(int32(offset / time.Second))
		put(uint8(0)) // no daylight saving time: programs that ask for it see a plain change
		put(uint8(4 * i))
	}
	f.WriteString(names)
}

// offsetFor is the offset, of up to a day, at which a clock shows civil at an instant. Which
// side of Greenwich it is on matters: libraries resolve a time in a gap by a guess that is
// right on one side only.
func offsetFor(at time.Time, civil time.Duration, west bool) time.Duration {
	const day = 24 * time.Hour
	d := (civil - at.Sub(at.Truncate(day)) + day) % day
	if west {
		d -= day
	}
	return d
}
