package run

import (
	"sync"
	"syscall"
	"time"
)

// Variable tells a job the id of its run.
const Variable = "SIDECAR_CRON_RUN"

// mark is the variable by which what belongs to a run is found wherever it went.
// Its value is of this Runner alone: another cron in the same pod, which sees our
// processes, may give the same ids to its runs.
const mark = "SIDECAR_CRON_MARK"

const (
	looks     = 50 * time.Millisecond // between two looks at the process table;
	firstLook = 5 * time.Millisecond  // after the first signal; and not less than
	lookCost  = 4                     // so many times what a look takes
	// killTime is how long the end of what was killed is awaited. Only a
	// process that hangs in the kernel needs longer, perhaps for ever.
	killTime = 5 * time.Second
)

// stopping is a stop under way. Guarded by Run.mu.
type stopping struct {
	grace   time.Duration
	told    time.Time      // when all got TERM; zero before
	settled bool           // the process has ended and its output was read
	known   map[int]uint64 // processes of the run by id, and their start
}

// Stop ends the run: TERM to its process group and to its processes elsewhere,
// and KILL to what is left of them after grace. The run has ended when all are
// gone. Stop does not wait.
func (x *Run) Stop(grace time.Duration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.over {
		return
	}
	x.stopped = true
	x.stop(grace)
}

// expire is the end of the job's timeout. A run whose process has ended by
// itself is not timed out.
func (x *Run) expire() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.over || x.stopped || x.reaped {
		return
	}
	x.timedOut = true
	x.stop(x.killAfter)
}

// stop begins a stop, or shortens the one under way. The caller holds mu.
func (x *Run) stop(grace time.Duration) {
	switch {
	case x.cancel != nil:
		x.cancel()
	case x.stopping == nil:
		x.stopping = &stopping{grace: grace, known: map[int]uint64{}}
		x.r.sweeper.add(x)
	default:
		left := x.stopping.grace
		if !x.stopping.told.IsZero() {
			left -= time.Since(x.stopping.told)
		}
		if grace < left {
			x.stopping.grace -= left - grace
			x.r.sweeper.wake()
		}
	}
}

// signalGroup reaches the group while its leader was not waited for, because
// until then its id can not be another's. The caller holds mu.
func (x *Run) signalGroup(sig syscall.Signal) {
	if !x.reaped {
		_ = syscall.Kill(-x.pid, sig)
	}
}

// settle ends the run whose process has ended, unless a stop still has to look
// for other processes of it.
func (x *Run) settle() {
	x.mu.Lock()
	if x.stopping != nil {
		x.stopping.settled = true
		x.mu.Unlock()
		return
	}
	x.over = true
	x.mu.Unlock()
	x.finish()
}

// step does what is due for a run that is being stopped and says whether the
// stop is complete. settled is how it was before the look at the table, which
// may be older than what the process left.
func (x *Run) step(t *table, settled bool) (complete bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	st := x.stopping
	members := t.members(x)
	blind := t.err != nil && syscall.Kill(-x.pid, 0) == nil // something is there, and no telling what
	if settled && len(members) == 0 && !blind {
		x.over = true
		return true
	}
	// The look comes before the first signal: who left the group without our
	// mark is known by its parent only, and that may not outlive TERM.
	if st.told.IsZero() {
		st.told = time.Now()
		x.signalGroup(syscall.SIGTERM)
		for _, p := range members {
			if p.Group != x.pid || x.reaped {
				tell(p, syscall.SIGTERM)
			}
		}
		if st.grace > 0 {
			return false
		}
	}
	late := time.Since(st.told) - st.grace
	if late >= 0 {
		x.signalGroup(syscall.SIGKILL)
		if blind {
			_ = syscall.Kill(-x.pid, syscall.SIGKILL)
		}
		for _, p := range members {
			tell(p, syscall.SIGKILL)
		}
	}
	x.over = settled && late > killTime
	return x.over
}

// sweeper looks after the runs that are being stopped, all with the same look
// at the process table. It has a goroutine while there are any.
type sweeper struct {
	mu      sync.Mutex
	runs    map[*Run]bool
	waker   chan struct{}
	running bool
}

func (w *sweeper) add(x *Run) {
	w.mu.Lock()
	if w.runs == nil {
		w.runs, w.waker = map[*Run]bool{}, make(chan struct{}, 1)
	}
	w.runs[x] = true
	start := !w.running
	w.running = true
	w.mu.Unlock()
	w.wake()
	if start {
		go w.sweep()
	}
}

// wake asks for a look now.
func (w *sweeper) wake() {
	select {
	case w.waker <- struct{}{}:
	default: // it is on its way
	}
}

// sweep looks until no run is being stopped: at once when there is another one,
// and soon after that, because most end at the first signal.
func (w *sweeper) sweep() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		woken := false
		select {
		case <-timer.C:
		case <-w.waker:
			woken = true
		}
		begin := time.Now()
		if !w.look() {
			return
		}
		pause := max(looks, lookCost*time.Since(begin))
		if woken {
			pause = max(firstLook, lookCost*time.Since(begin))
		}
		timer.Reset(pause)
	}
}

func (w *sweeper) look() (more bool) {
	w.mu.Lock()
	settled := make(map[*Run]bool, len(w.runs))
	for x := range w.runs {
		settled[x] = false
	}
	w.mu.Unlock()
	for x := range settled {
		x.mu.Lock()
		settled[x] = x.stopping.settled
		x.mu.Unlock()
	}
	t := survey()
	var complete []*Run
	for x := range settled {
		if x.step(t, settled[x]) {
			complete = append(complete, x)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, x := range complete {
		delete(w.runs, x)
		x.finish()
	}
	w.running = len(w.runs) > 0
	return w.running
}
