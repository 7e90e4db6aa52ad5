package meter

import (
	"bytes"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// runtimeSource tells of the Go runtime and the process, under the names that dashboards know.
type runtimeSource struct {
	descs map[string]*Desc
	order []*Desc
	start float64
}

// Runtime returns the source of go_* and process_* metrics.
func Runtime() Source {
	s := &runtimeSource{descs: map[string]*Desc{}, start: startTime()}
	add := func(kind Kind, name, help string, labels ...string) {
		d := &Desc{Name: name, Help: help, Kind: kind, Labels: labels}
		s.descs[name], s.order = d, append(s.order, d)
	}
	add(GaugeKind, "go_info", "The version of Go.", "version")
	add(GaugeKind, "go_goroutines", "Goroutines.")
	add(GaugeKind, "go_threads", "Threads of the system that were made.")
	add(GaugeKind, "go_sched_gomaxprocs_threads", "GOMAXPROCS.")
	add(SummaryKind, "go_gc_duration_seconds", "Pauses of garbage collections.")
	add(GaugeKind, "go_memstats_alloc_bytes", "Bytes of objects in use.")
	add(CounterKind, "go_memstats_alloc_bytes_total", "Bytes of objects that were allocated.")
	add(CounterKind, "go_memstats_mallocs_total", "Objects that were allocated.")
	add(CounterKind, "go_memstats_frees_total", "Objects that were freed.")
	add(GaugeKind, "go_memstats_heap_alloc_bytes", "Bytes of objects in use.")
	add(GaugeKind, "go_memstats_heap_inuse_bytes", "Bytes of spans in use.")
	add(GaugeKind, "go_memstats_heap_idle_bytes", "Bytes of spans not in use.")
	add(GaugeKind, "go_memstats_heap_released_bytes", "Bytes that were given back to the system.")
	add(GaugeKind, "go_memstats_heap_sys_bytes", "Bytes of the heap that were obtained from the system.")
	add(GaugeKind, "go_memstats_heap_objects", "Objects in use.")
	add(GaugeKind, "go_memstats_stack_inuse_bytes", "Bytes of stacks.")
	add(GaugeKind, "go_memstats_next_gc_bytes", "Size of the heap at which the next collection takes place.")
	add(GaugeKind, "go_memstats_last_gc_time_seconds", "Time of the last collection, in seconds since 1970.")
	add(GaugeKind, "go_memstats_sys_bytes", "Bytes that were obtained from the system.")
	add(CounterKind, "process_cpu_seconds_total", "User and system time.")
	add(GaugeKind, "process_start_time_seconds", "Start of the process, in seconds since 1970.")
	add(GaugeKind, "process_resident_memory_bytes", "Resident memory.")
	add(GaugeKind, "process_virtual_memory_bytes", "Virtual memory.")
	add(GaugeKind, "process_open_fds", "Open descriptors.")
	add(GaugeKind, "process_max_fds", "Limit of open descriptors.")
	return s
}

// Describe implements Source.
func (s *runtimeSource) Describe() []*Desc { return s.order }

// Collect implements Source.
func (s *runtimeSource) Collect(put func(Sample)) {
	value := func(name string, v float64, labels ...string) {
		put(Sample{Desc: s.descs[name], Values: labels, Value: v})
	}
	threads, _ := runtime.ThreadCreateProfile(nil)
	value("go_info", 1, runtime.Version())
	value("go_goroutines", float64(runtime.NumGoroutine()))
	value("go_threads", float64(threads))
	value("go_sched_gomaxprocs_threads", float64(runtime.GOMAXPROCS(0)))
	s.memory(value)
	gc := debug.GCStats{PauseQuantiles: make([]time.Duration, 5)}
	debug.ReadGCStats(&gc)
	pauses := Sample{Desc: s.descs["go_gc_duration_seconds"]}
	for i, q := range []string{"0", "0.25", "0.5", "0.75", "1"} {
		pauses.extra, pauses.Value = `quantile="`+q+`"`, gc.PauseQuantiles[i].Seconds()
		put(pauses)
	}
	put(Sample{Desc: pauses.Desc, suffix: "_sum", Value: gc.PauseTotal.Seconds()})
	put(Sample{Desc: pauses.Desc, suffix: "_count", Value: float64(gc.NumGC)})
	s.process(value)
}

func (s *runtimeSource) memory(value func(string, float64, ...string)) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	for name, v := range map[string]uint64{
		"alloc_bytes": m.Alloc, "alloc_bytes_total": m.TotalAlloc, "mallocs_total": m.Mallocs, "frees_total": m.Frees, "heap_alloc_bytes": m.HeapAlloc,
		"heap_inuse_bytes": m.HeapInuse, "heap_idle_bytes": m.HeapIdle, "heap_released_bytes": m.HeapReleased, "heap_sys_bytes": m.HeapSys,
		"heap_objects": m.HeapObjects, "stack_inuse_bytes": m.StackInuse, "next_gc_bytes": m.NextGC, "sys_bytes": m.Sys,
	} {
		value("go_memstats_"+name, float64(v))
	}
	value("go_memstats_last_gc_time_seconds", float64(m.LastGC)/1e9)
}

func (s *runtimeSource) process(value func(string, float64, ...string)) {
	var usage unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &usage) == nil {
		value("process_cpu_seconds_total", float64(usage.Utime.Nano()+usage.Stime.Nano())/1e9)
	}
	value("process_start_time_seconds", s.start)
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil {
		value("process_max_fds", float64(limit.Cur))
	}
	if open, err := os.ReadDir("/proc/self/fd"); err == nil {
		value("process_open_fds", float64(len(open)-1)) // one is for reading the folder
	}
	if stat := fields("/proc/self/statm"); len(stat) > 1 {
		value("process_virtual_memory_bytes", stat[0]*float64(os.Getpagesize()))
		value("process_resident_memory_bytes", stat[1]*float64(os.Getpagesize()))
	}
}

// fields reads a file of numbers.
func fields(path string) (all []float64) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	for _, word := range bytes.Fields(text) {
		v, _ := strconv.ParseFloat(string(word), 64)
		all = append(all, v)
	}
	return all
}

// startTime is when the process began: now is close enough, because it is asked for at the start.
func startTime() float64 { return float64(time.Now().UnixMilli()) / 1000 }
