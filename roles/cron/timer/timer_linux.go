package timer

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// fd is a timerfd. A goroutine reads it through the runtime's poller, which
// costs nothing while nothing happens.
type fd struct {
	file  *os.File
	watch watch
	c     chan struct{}
	ended chan struct{}
}

// New returns the best Timer there is.
func New() Timer {
	n, err := unix.TimerfdCreate(unix.CLOCK_REALTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return Portable() // a sandbox without timerfd
	}
	t := &fd{file: os.NewFile(uintptr(n), "timerfd"), c: make(chan struct{}, 1), ended: make(chan struct{})}
	t.watch = watch{wall: time.Now().Round(0), elapsed: sinceBoot()}
	t.Set(time.Time{})
	go t.read()
	return t
}

// sinceBoot counts through a suspend, unlike the monotonic clock.
func sinceBoot() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

func (t *fd) read() {
	defer close(t.ended)
	buf := make([]byte, 8)
	for {
		_, err := t.file.Read(buf)
		if err != nil && !errors.Is(err, unix.ECANCELED) {
			return // closed
		}
		select {
		case t.c <- struct{}{}:
		default:
		}
	}
}

// farAway arms the timer when there is nothing to wait for: only an armed one
// is cancelled when the clock is set.
const farAway = 100 * 365 * 24 * time.Hour

func (t *fd) Set(at time.Time) {
	if at.IsZero() {
		at = time.Now().Add(farAway)
	}
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(max(1, at.UnixNano()))}
	flags := unix.TFD_TIMER_ABSTIME | unix.TFD_TIMER_CANCEL_ON_SET
	conn, err := t.file.SyscallConn()
	if err == nil {
		var serr error
		err = conn.Control(func(n uintptr) { serr = unix.TimerfdSettime(int(n), flags, &spec, nil) })
		err = errors.Join(err, serr)
	}
	if err != nil { // cannot be on a descriptor of ours; look at once rather than never
		select {
		case t.c <- struct{}{}:
		default:
		}
	}
}

func (t *fd) C() <-chan struct{} { return t.c }

func (t *fd) Look() (time.Time, time.Duration) {
	now := time.Now()
	return now, t.watch.look(now, sinceBoot())
}

func (t *fd) Close() error {
	err := t.file.Close()
	<-t.ended
	return err
}
