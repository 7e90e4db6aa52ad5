package state

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"
)

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.lock.Close() })
	return s
}

// kill is the end of a process that writes nothing more.
func (s *Store) kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.later != nil {
		s.later.Stop()
	}
	s.lock.Close()
	s.file.Close()
}

func syncs(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func manifest(seq uint64, ranges ...Range) Manifest {
	return Manifest{Output: "es", Seq: seq, Read: 1700000000, Events: 3, Ranges: ranges}
}

func span1(gen uint64, from, to int64) Range {
	return Range{Gen: gen, From: Pos{Off: from}, To: Pos{Off: to}, Check: uint64(to) * 7}
}

// known is everything that a store says, for comparisons.
func known(s *Store) string { return string(s.snapshot()) }

func TestWhatIsSyncedSurvivesAKill(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	g := Gen{
		ID: 7, Input: "app", Path: "/logs/a.log", Now: "/logs/a.log.1", Compact: "gzip", Size: 90, Over: true, Made: 5,
		Ident: Identity{Dev: 1, Ino: 2, Born: 3, HeadLen: 64, Head: 1 << 63},
	}
	s.Outputs(map[string][]string{"app": {"es"}})
	s.PutGen(g)
	s.PutGen(Gen{ID: 8, Input: "app"})
	s.DropGen(8)
	s.Begin(manifest(1, span1(7, 0, 10), Range{Gen: 7, From: Pos{Off: 10}, To: Pos{Off: 20, Mid: true}, Check: 9, Skip: true}))
	s.Begin(manifest(2, span1(7, 20, 30)))
	s.Done("es", 2)
	s.Lost(Gap{Gen: 7, Output: "es", Path: "/logs/a.log", From: 30, To: 40, Reason: "rotated-away", At: 1})
	syncs(t, s)
	want := known(s)
	s.Begin(manifest(3, span1(7, 40, 50)))
	s.kill()

	s = open(t, dir)
	s.Outputs(map[string][]string{"app": {"es"}})
	if got := known(s); got != want {
		t.Errorf("after a kill the store says\n%q; want\n%q", got, want)
	}
	if got, ok := s.Gen(7); !ok || got != g {
		t.Errorf("Gen(7) = %+v, %v; want %+v", got, ok, g)
	}
	if at, check, ok := s.At("es", 7); !ok || at != (Pos{Off: 30}) || check != 210 {
		t.Errorf("At(es, 7) = %v, %d, %v; want 30, 210", at, check, ok)
	}
	if low := s.Low(7); low != 0 {
		t.Errorf("Low(7) = %d with batch 1 under way; want 0", low)
	}
	if p := s.Pending("es"); len(p) != 1 || p[0].Seq != 1 || len(p[0].Ranges) != 2 || !p[0].Ranges[1].Skip || !p[0].Ranges[1].To.Mid {
		t.Errorf("Pending(es) = %+v; want batch 1 with both ranges", p)
	}
	if n := s.Next("es"); n != 3 {
		t.Errorf("Next(es) = %d; want 3", n)
	}
	s.Done("es", 1)
	if low := s.Low(7); low != 30 {
		t.Errorf("Low(7) = %d with nothing under way; want 30", low)
	}
	if gaps, lost := s.Gaps(); len(gaps) != 1 || lost["rotated-away"] != 10 {
		t.Errorf("Gaps() = %v, %v; want one of 10 bytes", gaps, lost)
	}
}

func TestTheSlowestOutputCounts(t *testing.T) {
	s := open(t, t.TempDir())
	s.Outputs(map[string][]string{"app": {"es", "loki"}})
	s.PutGen(Gen{ID: 7, Input: "app"})
	s.Begin(manifest(1, span1(7, 0, 10)))
	s.Done("es", 1)
	if low := s.Low(7); low != 0 {
		t.Errorf("Low(7) = %d before the second output began; want 0", low)
	}
	s.Begin(Manifest{Output: "loki", Seq: 1, Ranges: []Range{span1(7, 0, 4)}})
	s.Done("loki", 1)
	if low := s.Low(7); low != 4 {
		t.Errorf("Low(7) = %d; want 4", low)
	}
	s.Outputs(map[string][]string{"app": {"es"}})
	if low := s.Low(7); low != 10 {
		t.Errorf("Low(7) = %d without the second output; want 10", low)
	}
}

// scribble says random things, which all kinds of records are among.
func scribble(r *rand.Rand, s *Store, seq *uint64) {
	gen := uint64(1 + r.IntN(4))
	switch r.IntN(6) {
	case 0:
		s.PutGen(Gen{ID: gen, Input: "app", Path: fmt.Sprint("/logs/", r.IntN(100)), Size: r.Int64N(1000)})
	case 1:
		s.DropGen(gen)
	case 2, 3:
		*seq++
		s.Begin(manifest(*seq, span1(gen, r.Int64N(1000), 1000+r.Int64N(1000))))
	case 4:
		s.Done("es", uint64(r.IntN(int(*seq)+1)))
	case 5:
		s.Lost(Gap{Gen: gen, From: 1, To: 1 + r.Int64N(9), Reason: "full"})
	}
}

// TestEveryCutIsSurvived cuts a journal at every byte: what was whole before the cut is known, and the store works.
func TestEveryCutIsSurvived(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	r := rand.New(rand.NewPCG(1, 2))
	var seq uint64
	said := map[int64]string{s.size: known(s)} // by the length of the journal
	for range 60 {
		scribble(r, s, &seq)
		syncs(t, s)
		said[s.size] = known(s)
	}
	s.kill()
	data, err := os.ReadFile(s.path())
	if err != nil {
		t.Fatal(err)
	}
	last := ""
	for cut := range len(data) + 1 {
		if text, whole := said[int64(cut)]; whole {
			last = text
		}
		at := filepath.Join(dir, "cut")
		if err := errors.Join(os.RemoveAll(at), os.Mkdir(at, 0o700), os.WriteFile(filepath.Join(at, "journal"), data[:cut], 0o600)); err != nil {
			t.Fatal(err)
		}
		c := open(t, at)
		want := last
		if cut < len(magic) {
			want = magic
		}
		if got := known(c); got != want {
			t.Fatalf("cut at %d of %d, the store says %q; want %q", cut, len(data), got, want)
		}
		c.PutGen(Gen{ID: 99})
		if cut%50 == 0 {
			syncs(t, c)
		}
		want = known(c)
		c.kill()
		if cut%50 == 0 {
			c = open(t, at)
			if got := known(c); got != want {
				t.Fatalf("cut at %d and written to, the store says\n%x; want\n%x", cut, got, want)
			}
			c.kill()
		}
	}
}

func TestDamageIsKeptAside(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for i := range uint64(20) {
		s.PutGen(Gen{ID: i + 1, Path: "/logs/some.log"})
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(s.path())
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(s.path(), data, 0o600); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	s, err = Open(dir, zerolog.New(&log))
	if err != nil {
		t.Fatal(err)
	}
	defer s.kill()
	if n := len(s.Gens()); n == 0 || n >= 20 {
		t.Errorf("%d generations are known; want those before the damage", n)
	}
	kept, err := os.ReadFile(filepath.Join(dir, "journal.damaged"))
	if err != nil || string(kept) != string(data) || !strings.Contains(log.String(), "damaged") {
		t.Errorf("the damaged journal: %v, log %s; want a copy of it and a word about it", err, log.String())
	}
}

func TestAnotherFileIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	text := "this is not a journal of anything we know"
	if err := os.WriteFile(filepath.Join(dir, "journal"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, zerolog.Nop()); err == nil || !strings.Contains(err.Error(), "no journal of logship") {
		t.Errorf("Open of a foreign file = %v; want a refusal", err)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "journal")); err != nil || string(data) != text {
		t.Errorf("the foreign file is now %q, %v", data, err)
	}
}

func TestTheFolderIsLocked(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if _, err := Open(dir, zerolog.Nop()); !errors.Is(err, ErrLocked) {
		t.Errorf("second Open = %v; want %v", err, ErrLocked)
	}
	s.kill()
	open(t, dir)
}

func TestTheJournalStaysSmall(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	s.PutGen(Gen{ID: 1, Input: "app"})
	var ranges []Range
	for i := range int64(2000) {
		ranges = append(ranges, span1(uint64(i+1), i, i+1))
	}
	for seq := range uint64(400) {
		s.Begin(manifest(seq+1, ranges...))
		s.Done("es", seq+1)
		syncs(t, s)
		if s.size > compactAt+1<<20 {
			t.Fatalf("the journal has %d bytes after %d batches; want at most %d", s.size, seq+1, compactAt+1<<20)
		}
	}
	want := known(s)
	s.kill()
	if got := known(open(t, dir)); got != want {
		t.Errorf("after compactions the store says %d bytes of other things", len(got))
	}
}

// TestAFullDiskCostsNothing: what could not be written is written when there is room.
func TestAFullDiskCostsNothing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	s.PutGen(Gen{ID: 1})
	syncs(t, s)
	good := s.file
	if err := os.Mkdir(s.path()+".new", 0o700); err != nil { // nor is there room for a snapshot
		t.Fatal(err)
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no /dev/full: ", err)
	}
	s.file = full // every write: no space left on device
	s.PutGen(Gen{ID: 2})
	for i := range 3 {
		err := s.Sync(t.Context())
		if err == nil || !strings.Contains(err.Error(), dir) || i == 0 && !strings.Contains(err.Error(), "no space left") {
			t.Fatalf("Sync on a full disk = %v; want no space left and the folder", err)
		}
	}
	if st := s.Stats(); st.Failures != 3 || st.Problem == "" {
		t.Errorf("Stats() = %+v; want 3 failures and what it is", st)
	}
	s.PutGen(Gen{ID: 3})
	full.Close()
	s.file = good
	if err := os.Remove(s.path() + ".new"); err != nil {
		t.Fatal(err)
	}
	syncs(t, s)
	if st := s.Stats(); st.Problem != "" {
		t.Errorf("Stats() = %+v when there is room; want no problem", st)
	}
	want := known(s)
	s.kill()
	if got := known(open(t, dir)); got != want {
		t.Errorf("the store says %q; want %q", got, want)
	}
}

func TestSyncsShareWrites(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	var wg sync.WaitGroup
	for i := range uint64(8) {
		wg.Go(func() {
			for j := range uint64(50) {
				s.PutGen(Gen{ID: 1 + i*50 + j})
				if err := s.Sync(context.Background()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	s.kill()
	if n := len(open(t, dir).Gens()); n != 400 {
		t.Errorf("%d generations survived; want 400", n)
	}
}

func TestDoneBecomesDurableByItself(t *testing.T) {
	s := open(t, t.TempDir())
	s.Begin(manifest(1, span1(1, 0, 1)))
	syncs(t, s)
	before := s.Stats().Syncs
	s.Done("es", 1)
	for s.Stats().Syncs == before {
		select {
		case <-t.Context().Done():
			t.Fatal("never")
		default:
		}
	}
	s.kill()
	if p := open(t, s.dir).Pending("es"); len(p) != 0 {
		t.Errorf("Pending(es) = %v after a while; want nothing", p)
	}
}

// FuzzReplay: any bytes are read without harm; what was read survives being written again.
func FuzzReplay(f *testing.F) {
	dir := f.TempDir()
	s, err := Open(dir, zerolog.Nop())
	if err != nil {
		f.Fatal(err)
	}
	r := rand.New(rand.NewPCG(3, 4))
	var seq uint64
	for range 30 {
		scribble(r, s, &seq)
	}
	f.Add(s.pending)
	s.Close()
	f.Add([]byte{})
	fresh := func() *Store {
		return &Store{gens: map[uint64]*Gen{}, sinks: map[string]*sink{}, lost: map[string]int64{}}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		a := fresh()
		n := a.replay(data)
		if n > len(data) {
			t.Fatalf("replay of %d bytes = %d", len(data), n)
		}
		b := fresh()
		whole := a.snapshot()[len(magic):]
		if m := b.replay(whole); m != len(whole) {
			t.Fatalf("an own snapshot was read up to %d of %d", m, len(whole))
		}
		if !reflect.DeepEqual(a.snapshot(), b.snapshot()) {
			t.Errorf("snapshot %q became %q", a.snapshot(), b.snapshot())
		}
	})
}
