// Package run does one job: a shell command, a program, another role of this
// program, or a request. It promises that
//
//   - a run ends when its process ends, also while a child of it in the
//     background keeps the output open;
//   - a stop or a timeout reaches everything the job started: its process group,
//     and what left the group;
//   - output is logged line by line and none is lost: a slow reader of the log
//     slows the jobs down;
//   - a waiting process costs no goroutine and no thread on Linux.
//
// When to start, retry or skip is decided elsewhere. Used by cron.
package run

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/roles/cron/job"
)

// Defaults of Options.
const (
	defaultMaxLine = 64 << 10
	maxLate        = 256 // pipes that background children keep open
)

// lateGrace is how long output is awaited after the process has ended while
// another one holds its pipe open. What the job itself wrote is read by then;
// this is for a last word of a pipeline.
const lateGrace = 500 * time.Millisecond

// Options are what all runs share.
type Options struct {
	Log     zerolog.Logger
	Stdout  io.Writer // raw output; nil drops it
	Stderr  io.Writer
	Env     []string // the base environment, see Clean
	RoleEnv []string // for role jobs, which are set up by SIDECAR_* variables; nil is Env
	MaxLine int      // longer lines are cut into marked pieces; 0 is 64 KiB
	Tail    int      // bytes of output kept in the Result
	Self    string   // this program, for role jobs and the embedded shell

	// NoNewPrivs keeps this process and all it starts from gaining privileges
	// by setuid programs. It can not be taken back.
	NoNewPrivs bool
}

// Task is a job that is due.
type Task struct {
	Job       *job.Job
	ID        string // of this run: a field of its log records, and SIDECAR_CRON_RUN
	Scheduled time.Time
	Attempt   int
	Env       []string // added last
}

// Result is how a run ended.
type Result struct {
	Code       int            // exit code; -1 when a signal ended it; 0 or 1 for a request
	Signal     syscall.Signal // 0 when it exited
	TimedOut   bool           // the timeout of the job stopped it
	Stopped    bool           // Stop was called before it ended
	Err        error          // why a request failed, or that a status was lost
	Started    time.Time
	Took       time.Duration
	CPU        time.Duration // user and system, with the children it waited for
	MaxRSS     int64         // bytes, of the largest process
	Tail       []byte        // the end of its output
	Lines      int64         // lines it wrote until it ended
	Cut        int64         // lines longer than MaxLine
	Dropped    int64         // lines and pieces not logged: more than max-log-lines
	HTTPStatus int
}

// StartError is why a job did not start, with the code a shell would give.
type StartError struct {
	Code int // 127: there is no such program; 126: it can not be executed; 125: another reason
	Err  error
}

func (e *StartError) Error() string { return e.Err.Error() }
func (e *StartError) Unwrap() error { return e.Err }

// ErrClosed means that the Runner was closed.
var ErrClosed = errors.New("the runner is closed")

// Runner starts runs.
type Runner struct {
	o       Options
	null    *os.File
	shell   string // of jobs that name none
	engine  engine
	client  *requests
	sweeper sweeper
	token   string // random
	starts  atomic.Uint64
	ends    ends

	// out guards the output of all runs, and is held while a line is written:
	// lines of two runs never mix, and a slow reader is felt by all.
	out  sync.Mutex
	late []*stream // open after their run, oldest first
	raw  [2][]byte // whole lines on their way to Stdout and Stderr

	mu     sync.Mutex
	runs   map[*Run]bool
	closed bool
	idle   chan struct{} // closed when closed and no run is left
}

// New makes a Runner. It fails where the system refuses what it needs.
func New(o Options) (*Runner, error) {
	if o.MaxLine <= 0 {
		o.MaxLine = defaultMaxLine
	}
	if o.RoleEnv == nil {
		o.RoleEnv = o.Env
	}
	if o.NoNewPrivs {
		if err := noNewPrivs(); err != nil {
			return nil, fmt.Errorf("no new privileges: %w", err)
		}
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, fmt.Errorf("input of jobs: %w", err)
	}
	r := &Runner{o: o, null: null, shell: pickShell(o.Env), token: rand.Text(), client: newRequests(), runs: map[*Run]bool{}, idle: make(chan struct{})}
	if err := r.engine.open(r); err != nil {
		_ = null.Close()
		return nil, fmt.Errorf("wait for processes: %w", err)
	}
	return r, nil
}

// Start starts a run and returns; done is called once, from another goroutine,
// when it has ended. That may be before Start returns. After an error, done is
// not called. Results are handed over one after another: a done that waits
// makes others wait.
func (r *Runner) Start(t Task, done func(Result)) (*Run, error) {
	if t.Job.Policy == nil {
		j := *t.Job
		j.Policy = &job.Policy{}
		t.Job = &j
	}
	x := &Run{r: r, task: t, done: done, started: time.Now(), killAfter: t.Job.Policy.KillAfter}
	x.mark = r.token + "." + strconv.FormatUint(r.starts.Add(1), 10)
	if err := r.enter(x); err != nil {
		return nil, err
	}
	var err error
	if t.Job.Kind == job.HTTP {
		err = x.request()
	} else {
		err = x.begin()
	}
	if err != nil {
		r.leave(x)
		return nil, err
	}
	return x, nil
}

// enter counts a run in before it starts, so that Close can not miss it.
func (r *Runner) enter(x *Run) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return &StartError{125, ErrClosed}
	}
	r.runs[x] = true
	return nil
}

func (r *Runner) leave(x *Run) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.runs, x)
	if r.closed && len(r.runs) == 0 {
		close(r.idle)
	}
}

// Close lets no run start any more and waits for those there are. When ctx ends
// first it kills them, and says so. A second call does nothing.
func (r *Runner) Close(ctx context.Context) error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil
	}
	r.closed = true
	if len(r.runs) == 0 {
		close(r.idle)
	}
	r.mu.Unlock()
	var err error
	select {
	case <-r.idle:
	case <-ctx.Done():
		err = fmt.Errorf("close with runs under way, now killed: %w", ctx.Err())
		r.killAll()
	}
	r.out.Lock()
	for len(r.late) > 0 {
		r.late[0].close() // takes itself off the list
	}
	r.out.Unlock()
	r.engine.close()
	r.client.close()
	return errors.Join(err, r.null.Close())
}

func (r *Runner) killAll() {
	r.mu.Lock()
	left := make([]*Run, 0, len(r.runs))
	for x := range r.runs {
		left = append(left, x)
	}
	r.mu.Unlock()
	for _, x := range left {
		x.Stop(0)
	}
	// What was killed ends at once; only a process that hangs in the kernel does not.
	timer := time.NewTimer(lateGrace)
	defer timer.Stop()
	select {
	case <-r.idle:
	case <-timer.C:
	}
}

// ends hands over results, in the order in which runs ended. It has a goroutine
// while there are any; one for each would cost more than many a job.
type ends struct {
	mu    sync.Mutex
	queue []end
	busy  bool
}

type end struct {
	x   *Run
	res Result
}

func (e *ends) add(one end) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.queue = append(e.queue, one)
	if !e.busy {
		e.busy = true
		go e.hand()
	}
}

func (e *ends) hand() {
	var batch []end
	for {
		e.mu.Lock()
		batch, e.queue = e.queue, batch[:0]
		e.busy = len(batch) > 0
		e.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		for i := range batch {
			batch[i].x.done(batch[i].res)
			batch[i].x.r.leave(batch[i].x)
			batch[i] = end{}
		}
	}
}
