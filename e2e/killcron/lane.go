package main

import (
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// The jobs are due in every second. What they write goes to the end of one file in one write, so that lines stay whole.
const crontab = `#: name=forbid overlap=forbid
* * * * * * echo "$SIDECAR_CRON_JOB $SIDECAR_CRON_SCHEDULED" >> RAN
#: name=allow overlap=allow
* * * * * * echo "$SIDECAR_CRON_JOB $SIDECAR_CRON_SCHEDULED" >> RAN
#: name=slow overlap=forbid catchup=all(100)
* * * * * * sleep 0.3; echo "$SIDECAR_CRON_JOB $SIDECAR_CRON_SCHEDULED" >> RAN
`

func jobs() []string { return []string{"forbid", "allow", "slow"} }

// lane is one crontab with its state folder, and the processes that served it one after the other.
type lane struct {
	o      options
	dir    string
	rng    *rand.Rand
	ledger *ledger
	kills  int
	died   time.Time
	down   [][2]time.Time // without a process
	phases map[string]int
	last   string // how the last process ended
}

func newLane(o options, dir string, n uint64) (*lane, error) {
	l := &lane{o: o, dir: dir, rng: rand.New(rand.NewPCG(o.seed, n)), ledger: newLedger(), phases: map[string]int{}}
	text := strings.ReplaceAll(crontab, "RAN", filepath.Join(dir, "ran"))
	return l, errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "crontab"), []byte(text), 0o644))
}

func (l *lane) start(log *os.File) (*exec.Cmd, error) {
	cmd := exec.Command(l.o.sidecar, "cron", "--seconds", "--admin", "", "--log-level", "warn",
		"--state", filepath.Join(l.dir, "state"), filepath.Join(l.dir, "crontab"))
	cmd.Stdout, cmd.Stderr = log, log // a file: Wait does not wait for jobs that live on
	if err := l.load(); err != nil {
		return nil, err
	}
	if !l.died.IsZero() {
		l.down = append(l.down, [2]time.Time{l.died, time.Now()})
	}
	return cmd, cmd.Start()
}

// load adds ballast to the journal that nobody has open.
func (l *lane) load() error {
	if l.o.ballast == 0 || l.kills == 0 {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(l.dir, "state", "starts"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return err
	}
	var b strings.Builder
	for n := range l.o.ballast {
		text := fmt.Sprintf("e %d ballast-%d\n", time.Now().Unix(), n)
		fmt.Fprintf(&b, "%08x %s", crc32.ChecksumIEEE([]byte(text)), text)
	}
	_, err = f.WriteString(b.String())
	return errors.Join(err, f.Close())
}

// life is how long the next process lives: half of them any time, half until just after the begin of a second.
func (l *lane) life() time.Duration {
	d := time.Duration(l.rng.ExpFloat64() * float64(l.o.mean))
	if l.rng.IntN(2) == 0 {
		return d
	}
	now := time.Now()
	edge := now.Add(d).Truncate(time.Second).Add(time.Second)
	return edge.Add(time.Duration(l.rng.IntN(12_000)) * time.Microsecond).Sub(now)
}

func (l *lane) run(kills int, stop <-chan struct{}) error {
	log, err := os.Create(filepath.Join(l.dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	for l.kills < kills && !closed(stop) {
		cmd, err := l.start(log)
		if err != nil {
			return err
		}
		rest(l.life(), stop)
		if err := cmd.Process.Kill(); err != nil {
			return fmt.Errorf("it did not live until it was killed: %w, %v", err, cmd.Wait())
		}
		_ = cmd.Wait() // it was killed
		if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGKILL {
			return fmt.Errorf("it ended by itself: %s", cmd.ProcessState)
		}
		l.died = time.Now()
		l.kills++
		phase, err := l.ledger.killed(filepath.Join(l.dir, "state", "starts"))
		if err != nil {
			return err
		}
		l.phases[phase]++
		if l.rng.IntN(10) == 0 {
			rest(time.Duration(l.rng.Int64N(int64(l.o.pause))), stop)
		}
	}
	return l.finish(log)
}

// finish lets one more process make up for the last kill, and ends it the soft way.
func (l *lane) finish(log *os.File) error {
	cmd, err := l.start(log)
	if err != nil {
		return err
	}
	time.Sleep(3 * time.Second)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	l.last = "exit 0"
	if err := cmd.Wait(); err != nil {
		l.last = err.Error()
	}
	if _, err := l.ledger.killed(filepath.Join(l.dir, "state", "starts")); err != nil {
		return err
	}
	// Jobs of killed processes may still be writing, the machine may be slow.
	path, size := filepath.Join(l.dir, "ran"), int64(-1)
	for quiet := 0; quiet < 3; quiet++ {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if info.Size() != size {
			quiet, size = 0, info.Size()
		}
		time.Sleep(time.Second)
	}
	return l.ledger.ran(path)
}

func (l *lane) report(r *Result) {
	r.Kills += l.kills
	r.Torn += l.ledger.torn
	for _, d := range l.down {
		r.Down = max(r.Down, d[1].Sub(d[0]).Seconds())
		r.Late += l.ledger.between(d[0], d[1])
	}
	for phase, n := range l.phases {
		r.Phases[phase] += n
	}
	if l.last != "exit 0" {
		r.LastRun = l.last
	}
	for i, job := range jobs() {
		if len(r.Jobs) <= i {
			r.Jobs = append(r.Jobs, Count{Job: job})
		}
		first := l.ledger.count(&r.Jobs[i])
		if r.First == "" && first != "" {
			r.First = l.dir + ": " + first
		}
	}
}

func closed(stop <-chan struct{}) bool {
	select {
	case <-stop:
		return true
	default:
		return false
	}
}

func rest(d time.Duration, stop <-chan struct{}) {
	select {
	case <-time.After(d):
	case <-stop:
	}
}
