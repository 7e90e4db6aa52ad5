package tree

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/sidecar-kit/sidecar/roles/initcopy/item"
)

const (
	// chunkItems and chunkBytes end the piece of work that a worker takes: large enough that taking costs nothing, small
	// enough that all workers end at the same time.
	chunkItems = 100
	chunkBytes = 8 << 20
)

// span is a range of items.
type span struct{ start, end int }

// parallel is how many goroutines work, and lets the runtime run them well: with no processor to spare, its monitor takes
// the processor away from each system call of more than 20 microseconds and wakes a thread for it, which cost a third more
// time and three times the context switches with 20,000 small files. One that is idle keeps it from that. restore puts
// the setting back; it is the process's, so that of two copies at once the last to end decides.
func parallel(workers int) (n int, restore func()) {
	before := runtime.GOMAXPROCS(0)
	if workers <= 0 {
		workers = min(4, before)
	}
	if before > workers+1 {
		return workers, func() {}
	}
	runtime.GOMAXPROCS(workers + 2)
	return workers, func() { runtime.GOMAXPROCS(before) }
}

// inChunks runs work in several goroutines, which take pieces of items until there are none. The first error ends all.
func inChunks(ctx context.Context, items []item.Item, workers int, work func(ctx context.Context, next func() (span, bool)) error) error {
	chunks := chunksOf(items)
	workers, restore := parallel(workers)
	defer restore()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var taken atomic.Int64
	next := func() (span, bool) {
		n := int(taken.Add(1)) - 1
		if n >= len(chunks) || ctx.Err() != nil {
			return span{}, false
		}
		return chunks[n], true
	}
	var wg sync.WaitGroup
	for range min(workers, len(chunks)) {
		wg.Go(func() {
			if err := work(ctx, next); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

func chunksOf(items []item.Item) []span {
	var chunks []span
	start, count, bytes := 0, 0, int64(0)
	for i := range items {
		count++
		bytes += items[i].Size
		if count >= chunkItems || bytes >= chunkBytes {
			chunks = append(chunks, span{start, i + 1})
			start, count, bytes = i+1, 0, 0
		}
	}
	if count > 0 {
		chunks = append(chunks, span{start, len(items)})
	}
	return chunks
}
