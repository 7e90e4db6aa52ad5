package web

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The watcher keeps the deadlines of all connections of a server. Setting a
// deadline on a socket for every step of every request would cost more than
// parsing it; instead each connection publishes what it does and until when in
// one word, and the watcher looks at the words a few times a second. It ends a
// connection by changing the word first: whoever is about to go on sees that,
// because each step replaces the word only if it is still the own one.

type state uint8

const (
	stFresh  state = iota // new, nothing came
	stIdle                // between two exchanges
	stHead                // a head began
	stDial                // waits for a connection to the backend
	stWait                // waits for the answer
	stGive                // writes to the client
	stAnswer              // waits for more of the answer
	stBody                // moves the request's body
	stStream              // another protocol; the engine has no say
	stLinger              // the answer is out, the client still sends
	stDead                // ended by the watcher; the cause is in the word
)

const wordBits = 56

// guard is one activity of a connection. mine belongs to the activity.
type guard struct {
	word atomic.Uint64
	mine uint64
	seen uint64 // the watcher's
}

// set publishes a step that must end before until (ms of the server's clock; 0:
// open). It returns false if the watcher ended the activity.
func (g *guard) set(s state, until int64) bool {
	w := uint64(s)<<wordBits | uint64(until)
	if w == g.mine {
		return true
	}
	if !g.word.CompareAndSwap(g.mine, w) {
		return false
	}
	g.mine = w
	return true
}

// cause returns why the watcher ended the activity.
func (g *guard) cause() (Cause, bool) {
	w := g.word.Load()
	return Cause(w & 0xff), state(w>>wordBits) == stDead
}

func (g *guard) kill(w uint64, c Cause) bool {
	return g.word.CompareAndSwap(w, uint64(stDead)<<wordBits|uint64(c))
}

// watched is a connection or exchange in the watcher's list.
type watched struct {
	main, body guard // body is a second goroutine that moves the request's body
	moved      atomic.Int64
	base       net.Conn // the client's socket; nil: the front has its own
	raw        syscall.RawConn
	stop       func() // ends a front that is no socket
	up         atomic.Pointer[upstream]
	dialing    atomic.Pointer[context.CancelFunc]
	rate       atomic.Int64 // least bytes per second of a body

	index     int   // in the list; the server's
	rateAt    int64 // the watcher's
	rateMoved int64
}

// cut wakes whoever reads or writes for w. It comes after kill.
func (w *watched) cut() {
	past := time.Unix(1, 0)
	if w.base != nil {
		_ = w.base.SetDeadline(past)
	}
	if w.stop != nil {
		w.stop()
	}
	if u := w.up.Load(); u != nil {
		_ = u.SetDeadline(past)
	}
	if cancel := w.dialing.Load(); cancel != nil {
		(*cancel)()
	}
}

// watcher is the list and the clock.
type watcher struct {
	tick  time.Duration
	clock atomic.Int64 // ms since start, as of the last look

	mu      sync.Mutex
	list    []*watched
	running bool
	empty   chan struct{} // closed when the list is empty, if anybody waits
	last    time.Time     // when something was active, of connections that ended
	start   time.Time
	kick    chan struct{}
	ended   sync.WaitGroup
}

const (
	defaultTick = 250 * time.Millisecond
	goneLooks   = 4 // every so many looks clients are asked whether they are still there
	rateWindow  = 10_000
)

func (w *watcher) add(c *watched) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c.index = len(w.list)
	w.list = append(w.list, c)
	if w.running {
		return
	}
	w.running = true
	if w.tick <= 0 {
		w.tick = defaultTick
	}
	if w.start.IsZero() {
		w.start = time.Now()
		w.kick = make(chan struct{}, 1)
	}
	w.clock.Store(time.Since(w.start).Milliseconds())
	w.ended.Go(w.run)
}

func (w *watcher) remove(c *watched) {
	w.mu.Lock()
	defer w.mu.Unlock()
	last := len(w.list) - 1
	moved := w.list[last]
	w.list[c.index], moved.index = moved, c.index
	w.list[last] = nil
	w.list = w.list[:last]
	if state(c.main.seen>>wordBits) > stIdle || state(c.main.mine>>wordBits) > stIdle {
		w.last = time.Now()
	}
	if last == 0 && w.empty != nil {
		close(w.empty)
		w.empty = nil
	}
}

// until returns a time of the clock for set.
func (w *watcher) until(d time.Duration) int64 {
	return w.clock.Load() + d.Milliseconds() + 1
}

// run looks until there is nothing left to look after.
func (w *watcher) run() {
	t := time.NewTicker(w.tick)
	defer t.Stop()
	var v victims
	for look := 1; ; look++ {
		select {
		case <-t.C:
		case <-w.kick:
		}
		now := time.Since(w.start).Milliseconds()
		w.clock.Store(now)
		w.mu.Lock()
		if len(w.list) == 0 {
			w.running = false
			w.mu.Unlock()
			return
		}
		for _, c := range w.list {
			v.look(c, now, look%goneLooks == 0)
		}
		w.mu.Unlock()
		v.end()
	}
}

// victims are connections to be ended or asked, collected under the mutex and
// treated without it.
type victims struct {
	late, ask []*watched
}

func (v *victims) look(c *watched, now int64, ask bool) {
	word := c.main.word.Load()
	until, s := int64(word&(1<<wordBits-1)), state(word>>wordBits)
	if s != stDead && until != 0 && now > until {
		if c.main.kill(word, late(s)) {
			v.late = append(v.late, c)
		}
		return
	}
	if ask {
		if (s == stWait || s == stAnswer || s == stDial) && word == c.main.seen && c.raw != nil {
			v.ask = append(v.ask, c)
		}
		c.main.seen = word
	}
	v.lookBody(c, s, now)
}

// lookBody looks at the body guard: its pace while the body comes, and the time
// for an answer once it is over.
func (v *victims) lookBody(c *watched, main state, now int64) {
	word := c.body.word.Load()
	until := int64(word & (1<<wordBits - 1))
	switch state(word >> wordBits) {
	case stBody:
		late := now > until
		if !late && !slow(c, now) {
			return
		}
		cause := ClientSlow
		if c.pending() { // it sent, and the backend does not take it
			cause = BackendSlow
		}
		if (late || cause == ClientSlow) && c.body.kill(word, cause) {
			v.late = append(v.late, c)
		}
	case stGive:
		if now > until && c.body.kill(word, BackendSlow) {
			v.late = append(v.late, c)
		}
		c.rateAt = 0
	case stWait:
		if now > until && main == stWait && c.body.kill(word, BackendSlow) {
			v.late = append(v.late, c)
		}
		c.rateAt = 0
	default:
		c.rateAt = 0
	}
}

// pending reports whether the client's socket has bytes that nobody read.
func (w *watched) pending() bool {
	if w.raw == nil {
		return false
	}
	quietNow := true
	err := w.raw.Control(func(fd uintptr) {
		var room [1]unix.PollFd
		quietNow = quiet(int(fd), room[:])
	})
	return err == nil && !quietNow
}

// slow tells whether a body came at less than the least rate.
func slow(c *watched, now int64) bool {
	rate := c.rate.Load()
	if rate <= 0 {
		return false
	}
	moved := c.moved.Load()
	if c.rateAt == 0 {
		c.rateAt, c.rateMoved = now, moved
		return false
	}
	if now-c.rateAt < rateWindow {
		return false
	}
	bad := moved-c.rateMoved < rate*(now-c.rateAt)/1000
	c.rateAt, c.rateMoved = now, moved
	return bad
}

func late(s state) Cause {
	switch s {
	case stIdle, stFresh:
		return IdleEnd
	case stWait, stAnswer, stDial:
		return BackendSlow
	}
	return ClientSlow
}

func (v *victims) end() {
	for _, c := range v.late {
		c.cut()
	}
	for _, c := range v.ask {
		lost := false
		err := c.raw.Control(func(fd uintptr) { lost = gone(int(fd)) })
		if err != nil || !lost {
			continue
		}
		word := c.main.word.Load()
		if s := state(word >> wordBits); (s == stWait || s == stAnswer || s == stDial) && c.main.kill(word, ClientGone) {
			c.cut()
		}
	}
	clear(v.late)
	clear(v.ask)
	v.late, v.ask = v.late[:0], v.ask[:0]
}
