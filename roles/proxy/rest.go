package proxy

import (
	"context"
	"runtime"
	gauges "runtime/metrics"
	"time"

	"github.com/sidecar-kit/sidecar/internal/memory"
)

const (
	restFirst = time.Second     // after the start
	restEvery = 3 * time.Second // how often rest looks, and how long the collector has to have had nothing to do
	restLeast = 4 << 20         // bytes that are worth a collection
)

// rest gives memory back when work is over: people look at what a pod is said to use. After many handshakes a good part of the heap
// is garbage that the next collection would find, but without work there is none: exchanges make no garbage.
func (p *Proxy) rest(ctx context.Context) {
	tick := time.NewTimer(restFirst)
	defer tick.Stop()
	var h heap
	for first := true; ; first = false {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if h.read(); first || h.slack() {
			runtime.GC() // of two collections each halves the stacks that are too large
			memory.Rest()
			h.read()
			h.rested = h.cycles
		}
		tick.Reset(restEvery)
	}
}

// heap is what is known of the collector.
type heap struct {
	rested         uint64 // collections until the last rest
	before, cycles uint64 // collections until the look before, and until now
	live, held     uint64 // bytes in use after the last collection, and those obtained and not given back
}

// slack tells that there were collections since the last rest but not since the look before, and that there is much to be had.
func (h *heap) slack() bool {
	return h.cycles != h.rested && h.cycles == h.before && h.held > h.live+max(restLeast, h.live/4)
}

func (h *heap) read() {
	s := []gauges.Sample{
		{Name: "/gc/cycles/total:gc-cycles"}, {Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
	}
	gauges.Read(s)
	h.before, h.cycles = h.cycles, s[0].Value.Uint64()
	h.live = s[1].Value.Uint64()
	h.held = s[2].Value.Uint64() + s[3].Value.Uint64() + s[4].Value.Uint64()
}
