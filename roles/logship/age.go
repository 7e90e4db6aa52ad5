package logship

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/sidecar-kit/sidecar/internal/memory"
	"github.com/sidecar-kit/sidecar/roles/logship/source"
)

// marksKept bounds what is remembered of a file that grows while nobody takes it.
const marksKept = 64

// ages remembers how large files were when, while some output has not read them: when a file grew last says nothing of the age of what
// is unread in it. The zero value is ready.
type ages struct {
	mu    sync.Mutex // guards marks
	marks map[uint64][]mark
}

type mark struct {
	at   time.Time
	size int64
}

// note takes the sizes of now. Files that every output has read cost nothing.
func (a *ages) note(now time.Time, files []source.FileStatus) {
	a.mu.Lock()
	defer a.mu.Unlock()
	old := a.marks
	a.marks = nil
	for i := range files {
		f := &files[i]
		low, behind := f.Size, false
		for _, p := range f.Outputs {
			if !p.Oldest.IsZero() {
				low, behind = min(low, p.Read), true
			}
		}
		if !behind {
			continue
		}
		if a.marks == nil {
			a.marks = map[uint64][]mark{}
		}
		a.marks[f.Gen] = grown(old[f.Gen], low, mark{now, f.Size})
	}
}

// grown adds a mark and forgets those that everybody is beyond.
func grown(marks []mark, low int64, m mark) []mark {
	for len(marks) > 0 && marks[0].size <= low {
		marks = marks[1:]
	}
	if n := len(marks); n > 0 && marks[n-1].size >= m.size {
		return marks
	}
	if len(marks) >= marksKept { // the one that says least goes: its neighbours are closest
		least := 1
		for i := 1; i+1 < len(marks); i++ {
			if marks[i+1].at.Sub(marks[i-1].at) < marks[least+1].at.Sub(marks[least-1].at) {
				least = i
			}
		}
		marks = slices.Delete(marks, least, least+1)
	}
	return append(marks, m)
}

// since is when the byte at read was there at the latest; the zero time when it is younger than the last look.
func (a *ages) since(gen uint64, read int64) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, m := range a.marks[gen] {
		if m.size > read {
			return m.at
		}
	}
	return time.Time{}
}

// since is when an output began to lack what it lacks of a file: what is under way counts from its reading, what is unread from when it
// was seen in the file. The zero time: it lacks nothing but a line that has no end yet.
func (w *works) since(f *source.FileStatus, p source.Progress, waiting map[uint64]int64) time.Time {
	if read, ok := waiting[f.Gen]; ok {
		return time.Unix(0, read) // older than all that is unread
	}
	if p.Oldest.IsZero() {
		return time.Time{}
	}
	if at := w.ages.since(f.Gen, p.Read); !at.IsZero() {
		return at
	}
	return p.Oldest
}

// rest gives memory back when nothing was delivered for a while, and keeps the sparkline of the status page.
func (l *Logship) rest(ctx context.Context, w *works) {
	events, lag := l.env.Status.Series("delivered", "events/s"), l.env.Status.Series("behind", "bytes")
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	var last, left int64
	idle := 0
	for {
		var at time.Time
		select {
		case <-ctx.Done():
			return
		case at = <-tick.C:
		}
		var now int64
		failed, busy := false, false
		for _, ln := range w.lanes {
			st := ln.pipe.Stats()
			now += st.Events
			failed = failed || st.Problem != ""
			busy = busy || st.InFlight > 0
		}
		events.Add(float64(now-last)/5, failed)
		if idle++; now != last {
			idle = 0
		}
		if idle < 2 || failed || busy { // of thousands of files that nobody writes to it need not be asked again and again
			w.ages.note(at, w.set.Files())
			left = w.backlog()
		}
		lag.Add(float64(left), failed)
		if last = now; idle == 2 {
			memory.Rest()
		}
	}
}
