package state

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// lazily is how long what nobody waits for may stay in memory only: an acknowledgement that a kill forgets is asked for again.
const lazily = 100 * time.Millisecond

// gapsKept is how many gaps are remembered one by one; all are counted.
const gapsKept = 100

// cursor is how far an output has come in a generation.
type cursor struct {
	at    Pos
	check uint64
	open  []span // of batches under way, in the order of Begin
}

type span struct {
	seq  uint64
	from int64
}

// sink is what is known of an output.
type sink struct {
	cursors map[uint64]*cursor
	open    map[uint64]Manifest
	last    uint64 // sequence number
}

// Gap is a part of a generation that an output never gets, because it could not be kept.
type Gap struct {
	Gen      uint64
	Output   string // empty: all
	Path     string
	From, To int64
	Reason   string
	At       int64 // nanoseconds since 1970
}

// Store is the journal and what it says. All methods may be called by several goroutines.
type Store struct {
	dir  string
	log  zerolog.Logger
	lock *os.File

	mu      sync.Mutex // guards everything below but file, size and floor, which belong to whoever is busy
	gens    map[uint64]*Gen
	sinks   map[string]*sink
	readers map[string][]string // outputs by input
	gaps    []Gap
	lost    map[string]int64 // bytes of gaps by reason
	pending []byte
	said    uint64        // records since the start
	durable uint64        // of them on disk
	busy    chan struct{} // closed when the writer is done; nil: nobody writes
	later   *time.Timer

	file  *os.File
	mine  os.FileInfo // of file, to see whether it still has its name
	size  int64       // of the good part of file
	floor int64       // what size would be after a snapshot, about
	torn  bool        // bytes behind size that could not be cut

	syncs, failures, bytes atomic.Int64
	failed                 atomic.Pointer[string]
}

// Open reads the journal of a folder, which is made if needed, and locks it against another process.
func Open(dir string, log zerolog.Logger) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := lockFile(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, err
	}
	s := &Store{
		dir: dir, log: log, lock: lock, gens: map[uint64]*Gen{}, sinks: map[string]*sink{}, readers: map[string][]string{}, lost: map[string]int64{},
	}
	if err := s.load(); err != nil {
		lock.Close()
		return nil, err
	}
	return s, nil
}

// Close writes what is left and lets go of the folder.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.later != nil {
		s.later.Stop()
	}
	s.mu.Unlock()
	err := s.Sync(context.Background())
	if e := s.file.Close(); err == nil {
		err = e
	}
	s.lock.Close()
	return err
}

// Outputs says which outputs read an input. What an output that is not named has read counts no more.
func (s *Store) Outputs(readers map[string][]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readers = maps.Clone(readers)
}

// Gens lists the generations, by id.
func (s *Store) Gens() []Gen {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Gen, 0, len(s.gens))
	for _, id := range slices.Sorted(maps.Keys(s.gens)) {
		list = append(list, *s.gens[id])
	}
	return list
}

// Gen returns one generation.
func (s *Store) Gen(id uint64) (Gen, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, ok := s.gens[id]
	if !ok {
		return Gen{}, false
	}
	return *g, true
}

// PutGen adds a generation or changes what is known of it.
func (s *Store) PutGen(g Gen) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.gens[g.ID]; ok && *old == g {
		return
	}
	s.say(appendGen(nil, g))
}

// DropGen forgets a generation, and how far anyone was in it.
func (s *Store) DropGen(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.gens[id]; ok {
		s.say(appendDrop(nil, id))
	}
}

// At returns up to where an output has batches of a generation, and the Check of that place. Reading goes on there.
func (s *Store) At(output string, gen uint64) (at Pos, check uint64, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.cursor(output, gen); c != nil {
		return c.at, c.check, true
	}
	return Pos{}, 0, false
}

func (s *Store) cursor(output string, gen uint64) *cursor {
	if k := s.sinks[output]; k != nil {
		return k.cursors[gen]
	}
	return nil
}

// LowOf returns the offset below which an output is done with a generation.
func (s *Store) LowOf(output string, gen uint64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.low(output, gen)
}

func (s *Store) low(output string, gen uint64) int64 {
	c := s.cursor(output, gen)
	if c == nil {
		return 0
	}
	low := c.at.Off
	for _, sp := range c.open {
		low = min(low, sp.from)
	}
	return low
}

// Low returns the offset below which every output that reads the generation's input is done with it.
func (s *Store) Low(gen uint64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.gens[gen]
	if g == nil {
		return 0
	}
	low := int64(1<<63 - 1)
	for _, output := range s.readers[g.Input] {
		low = min(low, s.low(output, gen))
	}
	return low
}

// Next returns the sequence number for the next manifest of an output.
func (s *Store) Next(output string) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sink(output).last + 1
}

// Begin says what a batch is made of. It is to be sent when Sync has returned nil. Sequence numbers rise.
func (s *Store) Begin(m Manifest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.say(appendManifest(nil, m))
}

// Done says that all of a batch is delivered, or a dead letter on disk. It becomes durable with the next Sync, or by itself soon.
func (s *Store) Done(output string, seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.say(appendDone(nil, output, seq))
	if s.later == nil {
		s.later = time.AfterFunc(lazily, func() { _ = s.Sync(context.Background()) }) // counted, and tried again with the next
		return
	}
	s.later.Reset(lazily)
}

// Pending lists the batches of an output that were begun and are not done, in their order.
func (s *Store) Pending(output string) []Manifest {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.sinks[output]
	if k == nil {
		return nil
	}
	var list []Manifest
	for _, seq := range slices.Sorted(maps.Keys(k.open)) {
		list = append(list, k.open[seq])
	}
	return list
}

// Waiting is when the oldest batch of an output that is not done was read, for each generation that such batches have bytes of.
// Nanoseconds since 1970.
func (s *Store) Waiting(output string) map[uint64]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.sinks[output]
	if k == nil || len(k.open) == 0 {
		return nil
	}
	oldest := map[uint64]int64{}
	for _, m := range k.open {
		for _, r := range m.Ranges {
			if at, ok := oldest[r.Gen]; !ok || m.Read < at {
				oldest[r.Gen] = m.Read
			}
		}
	}
	return oldest
}

// Lost records a gap.
func (s *Store) Lost(g Gap) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.say(appendGap(nil, g))
}

// Gaps returns the last gaps, and the bytes of all by reason.
func (s *Store) Gaps() ([]Gap, map[string]int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.gaps), maps.Clone(s.lost)
}

// Stats are numbers for /metrics.
type Stats struct {
	Syncs, Failures, Bytes int64
	Problem                string // of the last write; empty: it worked
}

// Stats returns the numbers of now.
func (s *Store) Stats() Stats {
	st := Stats{Syncs: s.syncs.Load(), Failures: s.failures.Load(), Bytes: s.bytes.Load()}
	if p := s.failed.Load(); p != nil {
		st.Problem = *p
	}
	return st
}

func (s *Store) sink(name string) *sink {
	k := s.sinks[name]
	if k == nil {
		k = &sink{cursors: map[uint64]*cursor{}, open: map[uint64]Manifest{}}
		s.sinks[name] = k
	}
	return k
}

// say applies a record and puts it in front of the journal.
func (s *Store) say(payload []byte) {
	if err := s.apply(payload); err != nil {
		panic(fmt.Sprintf("state: own record: %v", err))
	}
	s.pending = appendFrame(s.pending, payload)
	s.said++
}

func (s *Store) begin(m Manifest) {
	k := s.sink(m.Output)
	k.last = max(k.last, m.Seq)
	k.open[m.Seq] = m
	for _, r := range m.Ranges {
		c := k.cursors[r.Gen]
		if c == nil {
			c = &cursor{}
			k.cursors[r.Gen] = c
		}
		c.at, c.check = r.To, r.Check
		if n := len(c.open); n == 0 || c.open[n-1].seq != m.Seq {
			c.open = append(c.open, span{seq: m.Seq, from: r.From.Off})
		}
	}
}

func (s *Store) done(output string, seq uint64) {
	k := s.sink(output)
	m, ok := k.open[seq]
	if !ok {
		return
	}
	delete(k.open, seq)
	for _, r := range m.Ranges {
		if c := k.cursors[r.Gen]; c != nil {
			c.open = slices.DeleteFunc(c.open, func(sp span) bool { return sp.seq == seq })
			k.forget(r.Gen, s.gens[r.Gen] != nil)
		}
	}
}

func (s *Store) drop(id uint64) {
	delete(s.gens, id)
	for _, k := range s.sinks {
		k.forget(id, false)
	}
}

// forget drops the cursor of a generation that is not known any more, once no batch needs it.
func (k *sink) forget(gen uint64, known bool) {
	if c := k.cursors[gen]; c != nil && !known && len(c.open) == 0 {
		delete(k.cursors, gen)
	}
}
