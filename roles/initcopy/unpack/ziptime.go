package unpack

import "time"

// dosTime reads the time that every member of a zip has, in nanoseconds since 1970. It is a local time without a zone;
// UTC is as good a guess as any, and the only one that gives the same on every machine.
func dosTime(date, clock uint16) int64 {
	t := time.Date(int(date>>9)+1980, time.Month(max(date>>5&15, 1)), int(max(date&31, 1)),
		int(clock>>11), int(clock>>5&63), int(clock&31)*2, 0, time.UTC)
	return t.UnixNano()
}

// ntfsTime counts 100 ns since 1601.
func ntfsTime(t uint64) time.Time {
	const epoch = 11644473600 // seconds from 1601 to 1970
	return time.Unix(int64(t/1e7)-epoch, int64(t%1e7)*100)
}
