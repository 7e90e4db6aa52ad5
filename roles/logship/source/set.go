package source

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/roles/logship/source/engine"
	"github.com/sidecar-kit/sidecar/roles/logship/source/follow"
	"github.com/sidecar-kit/sidecar/roles/logship/source/ident"
	"github.com/sidecar-kit/sidecar/roles/logship/state"
)

// Store is what is known after a kill; state.Store is one.
type Store interface {
	Gens() []state.Gen
	PutGen(state.Gen)
	DropGen(id uint64)
	At(output string, gen uint64) (at state.Pos, check uint64, known bool)
	Low(gen uint64) int64
	Lost(state.Gap)
	Sync(context.Context) error
}

// Pins keep removed files alive; hold.Pins does.
type Pins interface {
	Pin(folder string, f *os.File, gen uint64) error
	Unpin(folder string, gen uint64) error
	List(folder string) ([]uint64, error)
	Open(folder string, gen uint64) (*os.File, error)
}

// Copies keep what cannot be pinned; hold.Spool does. Offsets are those of the generation.
type Copies interface {
	Append(gen uint64, offset int64, data []byte) error
	Sync(gen uint64) error
	Part(gen uint64) (base, end int64, ok bool)
	Open(gen uint64) (Copy, error)
	Remove(gen uint64) error
	Gens() []uint64
	Used() int64
}

// Copy reads what is kept of a generation.
type Copy = interface {
	io.ReaderAt
	io.Closer
}

// PinFolder is the folder of pins, in which no logs are looked for.
const PinFolder = ".sidecar-logship"

// Config is what a Set needs.
type Config struct {
	Inputs  []Input
	Store   Store
	Pins    Pins // nil: none; removed files live as long as they are open
	Log     zerolog.Logger
	MaxOpen int           // files; 0: half of what the system allows, at most 4,096
	Poll    time.Duration // how often folders are looked at beside what inotify tells; 0: a second
	Spool   string        // folder for what pipes say; empty: pipes are refused
	Never   []string      // folders that nothing is read from: state, secrets

	Copies    Copies          // nil: what cannot be pinned and has no name any more lives as long as it is open
	SpoolMax  int64           // bytes of copies and of what pipes said and is not delivered; 0: no bound
	SpoolDrop string          // when that is full: empty (nothing is dropped), or DropOldest
	PinMax    int64           // bytes of files without a name that are kept for outputs that lack them; 0: no bound
	PinDrop   string          // when there are more: empty (nothing is dropped), DropOldest or DropNewest
	Punched   map[string]bool // inputs of whose files the front is given back when every output has it
}

// Set is all files of all inputs.
type Set struct {
	conf   Config
	store  Store
	pins   Pins
	copies Copies
	log    zerolog.Logger
	mem    engine.Buffers
	pool   sync.Pool
	ready  chan struct{} // closed when everything was looked at once
	nudge  chan struct{} // a reader found something that Run has to look at
	watch  *follow.Watcher

	mu       sync.Mutex // guards everything below
	gens     map[uint64]*gen
	byKey    map[ident.Key]*gen
	byPath   map[string][]*gen // by Gen.Path
	family   map[string][]*gen // by Gen.Path, and the paths that a rotated file of that name may have had before
	folders  map[string]*folder
	roots    map[string]*os.Root
	told     map[string]bool // paths and folders that were complained about
	readers  []*Reader
	suspects []suspect
	toPin    []*gen // once they are durable
	pipes    map[string]*pipe
	handles  int
	started  bool
	closing  bool // Run ends
	finished bool // what is there now is the end
	ended    bool // and was looked at
	swept    int
	held     int64 // bytes that only pins and open files keep, as of the last tick
	crowded  bool  // it was said that more files are open than may be
	overfull bool  // it was said that pins keep more than they may
	scratch  [ident.HeadMax]byte
	stats    Stats
}

// New checks the configuration. Nothing is read before Run.
func New(conf Config) (*Set, error) {
	if conf.Poll <= 0 {
		conf.Poll = time.Second
	}
	if conf.MaxOpen <= 0 {
		conf.MaxOpen = 4096
	}
	conf.MaxOpen = min(conf.MaxOpen, maxOpen())
	return &Set{
		conf: conf, store: conf.Store, pins: conf.Pins, copies: conf.Copies, log: conf.Log,
		ready: make(chan struct{}), nudge: make(chan struct{}, 1),
		gens: map[uint64]*gen{}, byKey: map[ident.Key]*gen{}, byPath: map[string][]*gen{}, family: map[string][]*gen{},
		folders: map[string]*folder{},
		roots:   map[string]*os.Root{}, told: map[string]bool{}, pipes: map[string]*pipe{},
		stats: Stats{Gaps: map[string]int64{}, Errors: map[string]int64{}, Dropped: map[string]int64{}},
	}, nil
}

// Run finds files, follows them through rotations and lets go of them, until ctx ends.
func (s *Set) Run(ctx context.Context) error {
	watch, err := follow.New()
	if err != nil {
		s.log.Warn().AnErr("err", err).Msg("folders cannot be watched, looking at them each second")
	}
	var hints <-chan struct{}
	if err == nil {
		hints = watch.Ready()
		defer watch.Close()
	}
	s.mu.Lock()
	if err == nil {
		s.watch = watch
	}
	s.start(ctx)
	s.pinAll(ctx)
	s.mu.Unlock()
	defer s.close()
	tick := time.NewTicker(s.conf.Poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hints:
			s.hints(ctx, watch.Take())
		case <-s.nudge:
			s.mu.Lock()
			s.checkSuspects()
			s.pinAll(ctx)
			s.preserve(ctx)
			s.mu.Unlock()
		case <-tick.C:
			s.mu.Lock()
			s.tick(ctx)
			s.pinAll(ctx)
			s.preserve(ctx)
			s.mu.Unlock()
		}
	}
}

// start takes up what the store knows and looks at everything for the first time.
func (s *Set) start(ctx context.Context) {
	if s.started {
		return
	}
	for _, sg := range s.store.Gens() {
		s.resume(sg)
	}
	s.findPinned()
	s.findSpooled()
	s.findCopies()
	s.walk(ctx)
	s.started = true
	for _, g := range s.gens {
		if !g.found {
			s.vanished(g)
		}
	}
	s.settle()
	close(s.ready)
}

// resume takes up a generation that was known before the start.
func (s *Set) resume(sg state.Gen) {
	in := s.inputNamed(sg.Input)
	if in == nil {
		return // of no input any more: it stays in the store for the day that it comes back
	}
	g := &gen{Gen: sg, calm: -1, durable: true, stored: !sg.Unsure, grown: time.Now(), limit: -1, loose: true}
	g.Now, g.Unsure = "", false
	g.folder = s.folder(filepath.Dir(sg.Path))
	s.complete(g, in)
	if g.Over {
		g.limit = g.Size
	}
	if g.Over && g.Compact == "" {
		g.size = g.Size
	}
	s.add(g)
}

// add takes a generation into the indices.
func (s *Set) add(g *gen) {
	s.gens[g.ID] = g
	s.byPath[g.Path] = append(s.byPath[g.Path], g)
	for _, path := range g.relatives() {
		s.family[path] = append(s.family[path], g)
	}
	switch o := s.byKey[g.key()]; {
	case o == nil && g.Lost == "" || g.found:
		s.byKey[g.key()] = g
	case o != nil && !o.found && g.Lost == "" && g.Made > o.Made: // the older one was truncated
		s.byKey[g.key()] = g
	}
}

// relatives are its path and those that it may have had before.
func (g *gen) relatives() []string {
	paths := []string{g.Path}
	for _, live := range ident.Live(g.base()) {
		paths = append(paths, filepath.Join(filepath.Dir(g.Path), live))
	}
	return paths
}

func (g *gen) key() ident.Key { return ident.Key{Dev: g.Ident.Dev, Ino: g.Ident.Ino} }

func (s *Set) inputNamed(name string) *Input {
	for i := range s.conf.Inputs {
		if s.conf.Inputs[i].Name == name {
			return &s.conf.Inputs[i]
		}
	}
	return nil
}

func (s *Set) newID() uint64 {
	for {
		var b [8]byte
		_, _ = rand.Read(b[:]) // never fails
		if id := binary.LittleEndian.Uint64(b[:]); id != 0 && s.gens[id] == nil {
			return id
		}
	}
}

// close ends what Run has open. Readers that still read keep their files.
func (s *Set) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range slices.Collect(maps.Values(s.pipes)) {
		p.close()
	}
	s.pinLast()
	s.preserve(context.Background()) // of what has no name this process has the last handle
	for _, g := range s.gens {
		s.shut(g)
	}
	for _, r := range s.roots {
		r.Close()
	}
	s.watch = nil
	clear(s.roots)
}

// hints looks at what the system says has changed.
func (s *Set) hints(ctx context.Context, list []follow.Names) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range list {
		f := s.folders[n.Folder]
		if f == nil {
			continue
		}
		if n.All {
			f.mtime = 0
			s.walk(ctx)
			continue
		}
		for _, name := range n.Names {
			s.look(f, name)
		}
	}
	s.settle()
}

// nudgeRun asks Run to look at what readers found.
func (s *Set) nudgeRun() {
	select {
	case s.nudge <- struct{}{}:
	default:
	}
}
