package initcopy

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// forget asks the kernel to drop the pages of a synced file, so that the next read comes from the disk. It may refuse.
func forget(f *os.File) { _ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) }

// tick is longer than the clock that the kernel takes change times from stands still: what changes later has another time.
func tick() time.Duration {
	var res unix.Timespec
	if unix.ClockGetres(unix.CLOCK_REALTIME_COARSE, &res) != nil {
		return longestTick
	}
	return min(time.Duration(res.Nano())+time.Millisecond, longestTick)
}
