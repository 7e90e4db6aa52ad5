// Package job is what a crontab line or a job of the config file says: when,
// what, and under which rules. It is data with checks; packages beside it read
// it (crontab), decide when (plan), and do it (run).
package job

import (
	"time"

	"github.com/sidecar-kit/sidecar/roles/cron/schedule"
)

// Job is one job as it was written, with every default filled in. There are
// tables of ten thousand: what few jobs have is behind a pointer, and small
// fields stand together.
type Job struct {
	// Name is the key of metrics, journal and API: given by name=, or made
	// from a hash of schedule and command, so that an edited line without a
	// name is another job. It never holds text of the command.
	Name  string
	Where string // "FILE:LINE" for errors and the list

	When    *schedule.Schedule
	Spec    string   // the schedule as it was written
	Command string   // Shell: the text; never a metric label
	Stdin   string   // Shell, Exec: what follows % in a crontab line
	Argv    []string // Exec, Role: the words
	HTTP    *Request // HTTP
	Env     []string // NAME=value in the order of the file, later ones win
	Shell   string   // SHELL= of the file; empty picks one
	Dir     string   // working directory; empty is the program's own
	User    string   // user column or file name in a spool; honoured as root only
	Policy  *Policy  // shared by the jobs that have the same: Set makes a copy before it changes one; nil is the zero Policy to Set and run

	Kind     Kind
	Named    bool // name= was given
	Disabled bool // enabled=false: listed, never due
}

// Kind is how a job is done.
type Kind uint8

// The kinds of job.
const (
	Shell Kind = iota // a command line for a shell
	Exec              // a program and its arguments, no shell
	HTTP              // a request
	Role              // another role of this program, with --once
)

// Request is what an HTTP job sends.
type Request struct {
	Method  string            // GET, or POST with a body
	URL     string            // may hold secrets: print it by secret.URL only
	Headers map[string]string // values may hold secrets
	Body    string
	Expect  []int // statuses that mean success; none is 200-299
}

// Overlap says what happens to a start while an earlier run goes on.
type Overlap uint8

// The overlap policies.
const (
	Forbid  Overlap = iota // skip the new one and count it
	Allow                  // run both
	Replace                // stop the old one, then start
	Queue                  // start when the old one has ended, at most Policy.Queue waiting
)

// Catchup says what happens to starts that were missed.
type Catchup uint8

// The catch-up policies.
const (
	CatchupNone Catchup = iota
	CatchupLast         // the newest missed one
	CatchupAll          // the newest Policy.CatchupMax missed ones, oldest first
)

// Policy is how a job is run.
type Policy struct {
	Timeout     time.Duration // 0 is none
	KillAfter   time.Duration // between TERM and KILL
	Overlap     Overlap
	Catchup     Catchup
	LogOutput   Output
	Stable      bool // Jitter: the same delay each time, from the name and the pod
	Queue       int  // how many may wait with Queue
	Retry       int  // further attempts after a failure
	RetryDelay  time.Duration
	RetryMax    time.Duration // the delay doubles up to this
	RetryOn     []int         // exit codes that are retried; none is every failure
	Success     []int         // exit codes that mean success; none is 0
	Jitter      time.Duration // a start is put off by up to this
	CatchupMax  int
	Deadline    time.Duration // older misses are not caught up; 0 is no limit
	Group       string        // jobs of one group do not run at once
	Weight      int           // what a run takes of --max-running
	Ping        string        // dead-man URL; holds a secret
	MaxLogLines int           // lines of output per run that are logged; 0 is no limit
}

// Output says where the lines of a job go.
type Output uint8

// The outputs.
const (
	OutputLog  Output = iota // a structured log record per line
	OutputRaw                // as they are, to stdout and stderr
	OutputBoth               // both
	OutputNone               // dropped and counted
)

// Defaults are the policy of a job that says nothing.
func Defaults() Policy {
	return Policy{
		KillAfter:  10 * time.Second,
		Queue:      1,
		RetryDelay: 10 * time.Second,
		RetryMax:   5 * time.Minute,
		CatchupMax: 10,
		Weight:     1,
	}
}
