package source

import (
	"cmp"
	"maps"
	"time"

	"github.com/sidecar-kit/sidecar/internal/order"
)

// Stats are counters since the start, and a few numbers of now.
type Stats struct {
	Bytes, Lines         int64 // read by all outputs
	Generations          int64
	Refused              int64 // compressed files with a content that is too large for them
	Renames, Truncations int64
	Copies               int64            // files that were found to be copies of others
	CopiesUsed           int64            // of truncated files, read to their end
	CopiesLost           int64            // truncated files of which no copy was found
	NULs                 int64            // bytes
	LongLines, Lossy     int64            // lines
	Gaps                 map[string]int64 // bytes by reason
	Opened, Closed       int64            // handles
	Open, Files          int              // now
	Pipes                int
	Errors               map[string]int64 // by kind
	Spooled              int64            // files that were copied into the spool
	SpoolBytes           int64            // now: copies, and what pipes said and is not delivered
	HeldBytes            int64            // now: sizes of removed files that pins or open files keep for outputs that lack them
	Dropped              map[string]int64 // bytes that were given up by reason: pin-max, spool-max
}

// Stats returns the numbers of now.
func (s *Set) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Gaps, st.Errors, st.Dropped = maps.Clone(st.Gaps), maps.Clone(st.Errors), maps.Clone(st.Dropped)
	st.SpoolBytes, st.HeldBytes = s.spooled(), s.held
	st.Open, st.Files, st.Pipes = s.handles, len(s.gens), len(s.pipes)
	return st
}

// Progress is how far an output is in a file.
type Progress struct {
	Output string
	Read   int64     // bytes
	Done   int64     // bytes: delivered; only in what is not over, else Size
	Oldest time.Time // at the latest since then something is unread; zero: nothing is
}

// FileStatus is one generation.
type FileStatus struct {
	Path, Now  string // where it was found, and where it is; empty: only a pin or an open handle has it
	Input      string
	Gen        uint64
	Size       int64 // bytes on disk
	Grown      time.Time
	Over       bool
	Seeking    bool // a copy is looked for
	Compressed string
	Pinned     bool
	Spooled    bool // it is read from its copy in the spool
	Open       bool
	Err        string
	Outputs    []Progress
}

// Files lists the generations, by path and age.
func (s *Set) Files() []FileStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]FileStatus, 0, len(s.gens))
	for _, g := range s.gens {
		f := FileStatus{
			Path: g.Path, Now: g.Now, Input: g.Input, Gen: g.ID, Size: g.size, Grown: g.grown, Over: g.Over, Seeking: g.seeking(),
			Compressed: g.Compact, Pinned: g.pinned, Spooled: g.spooled, Open: g.h != nil, Err: g.Lost,
		}
		if g.err != nil {
			f.Err = g.err.Error()
		}
		for _, r := range s.readers {
			if r.wants(g) {
				f.Outputs = append(f.Outputs, s.progress(r, g))
			}
		}
		list = append(list, f)
	}
	order.Sort(list, func(a, b FileStatus) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), a.Grown.Compare(b.Grown), cmp.Compare(a.Gen, b.Gen))
	})
	return list
}

func (s *Set) progress(r *Reader, g *gen) Progress {
	c := r.cursor(g)
	p := Progress{Output: r.output, Read: c.pos.Off, Done: s.store.Low(g.ID)}
	if !c.last && c.pos.Off+c.held < g.size && g.Compact == "" {
		p.Oldest = g.grown
	}
	return p
}
