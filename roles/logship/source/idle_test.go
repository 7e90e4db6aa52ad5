package source

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// BenchmarkIdle says what 2,000 files cost that nobody writes to: processor time in a second, in thousandths of it.
func BenchmarkIdle(b *testing.B) {
	if b.N > 1 {
		return
	}
	dir := b.TempDir()
	for i := range 2000 {
		if err := os.WriteFile(fmt.Sprintf("%s/%d.log", dir, i), []byte(strings.Repeat("a line\n", 20)), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	set, r, stop := open(b, dir)
	defer stop()
	ctx := b.Context()
	for n := 0; n < 2000*20; {
		block, err := r.Next(ctx)
		if err != nil {
			b.Fatal(err)
		}
		n += len(block.Lines)
		block.Release()
	}
	go func() {
		for {
			if _, err := r.Next(ctx); err != nil {
				return
			}
		}
	}()
	time.Sleep(2 * time.Second)
	var before, after syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	const span = 10 * time.Second
	time.Sleep(span)
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	used := time.Duration(after.Utime.Nano()+after.Stime.Nano()-before.Utime.Nano()-before.Stime.Nano()) * time.Nanosecond
	b.ReportMetric(float64(used)/float64(span)*1000, "‰cpu")
	b.ReportMetric(float64(after.Maxrss)/1024, "MiB")
	b.ReportMetric(float64(set.Stats().Open), "open")
}
