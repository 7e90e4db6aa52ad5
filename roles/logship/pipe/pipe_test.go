package pipe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/sidecar-kit/sidecar/internal/backoff"
	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/roles/logship/content"
	"github.com/sidecar-kit/sidecar/roles/logship/dead"
	"github.com/sidecar-kit/sidecar/roles/logship/out"
	"github.com/sidecar-kit/sidecar/roles/logship/record"
	"github.com/sidecar-kit/sidecar/roles/logship/source"
	"github.com/sidecar-kit/sidecar/roles/logship/state"
)

// fake is an output that remembers what it was sent. answer says what becomes of a batch.
type fake struct {
	mu      sync.Mutex // guards all below
	answer  func(n int, b *out.Batch) error
	batches []string       // id and body of each request
	stored  map[string]int // texts that were stored, and how often
}

func (f *fake) Append(b *out.Batch, r *record.Record) (int32, error) {
	if bytes.Contains(r.Message, []byte("cannot be encoded")) {
		return 0, errors.New("it cannot be encoded")
	}
	b.Body = append(append(b.Body, r.Message...), 0)
	return 0, nil
}

func (f *fake) Send(_ context.Context, b *out.Batch) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.batches = append(f.batches, b.ID+" "+string(b.Body))
	if f.answer != nil {
		if err := f.answer(len(f.batches), b); err != nil {
			return err
		}
	}
	for _, it := range b.Items {
		if it.Verdict == out.Done {
			f.stored[strings.TrimSuffix(string(b.Body[it.Start:it.End]), "\x00")]++
		}
	}
	return nil
}

func (f *fake) Run(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
func (f *fake) Close() error                  { return nil }

// bed is a folder of logs with an output.
type bed struct {
	t         *testing.T
	logs, dir string
	sink      *fake
	content   content.Config
	limits    out.Limits
	letters   *dead.File
	store     *state.Store
	input     func(*source.Input) // may be nil
}

func newBed(t *testing.T, pairs ...draft.Pair) *bed {
	t.Helper()
	b := &bed{t: t, logs: t.TempDir(), dir: t.TempDir(), sink: &fake{stored: map[string]int{}}, limits: out.Limits{Bytes: 4096, Events: 50, Age: 50 * time.Millisecond}}
	b.letters = dead.New(filepath.Join(b.dir, "dead"), 1<<20)
	var err error
	if b.content, err = content.Parse(draft.Value{Shape: draft.Map, Pairs: pairs}); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bed) write(format string, args ...any) {
	b.t.Helper()
	f, err := os.OpenFile(filepath.Join(b.logs, "app.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(f, format, args...); err != nil {
		b.t.Fatal(err)
	}
	f.Close()
}

// ship starts a pipe and ends it when everything is delivered, or when stop closes: then as a kill does, with nothing written any more.
func (b *bed) ship(stop <-chan struct{}) Stats {
	b.t.Helper()
	store, err := state.Open(b.dir, zerolog.Nop())
	if err != nil {
		b.t.Fatal(err)
	}
	b.store = store
	store.Outputs(map[string][]string{"app": {"es"}})
	in := source.Default()
	in.Name, in.Paths = "app", []string{filepath.Join(b.logs, "*.log")}
	if b.input != nil {
		b.input(&in)
	}
	set, err := source.New(source.Config{Inputs: []source.Input{in}, Store: store, Log: zerolog.Nop(), Poll: 20 * time.Millisecond})
	if err != nil {
		b.t.Fatal(err)
	}
	p := New(Config{
		Output: "es", Sink: b.sink, Store: store, Reader: set.Reader("es", []string{"app"}), Dead: b.letters, Limits: b.limits, InFlight: 2,
		Program: func(string) (*content.Program, error) { return b.content.New(content.Env{}) },
		Timeout: time.Minute, Backoff: backoff.Policy{Min: time.Millisecond, Max: 5 * time.Millisecond}, Log: zerolog.Nop(),
	})
	ctx, cancel := context.WithCancel(b.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = set.Run(ctx) })
	done := make(chan struct{})
	wg.Go(func() {
		defer close(done)
		if err := p.Run(ctx); err != nil {
			b.t.Error(err)
		}
	})
	if stop == nil {
		set.Finish(ctx)
		<-done
	} else {
		<-stop
	}
	cancel()
	wg.Wait()
	if err := store.Close(); err != nil {
		b.t.Error(err)
	}
	return p.Stats()
}

// once wants every text stored as often as said.
func (b *bed) once(want map[string]int) {
	b.t.Helper()
	b.sink.mu.Lock()
	defer b.sink.mu.Unlock()
	if !maps.Equal(b.sink.stored, want) {
		b.t.Errorf("stored %d texts %.300v; want %d %.300v", len(b.sink.stored), b.sink.stored, len(want), want)
	}
}

func numbered(n int) map[string]int {
	m := map[string]int{}
	for i := range n {
		m[fmt.Sprintf("line %d", i)] = 1
	}
	return m
}

func TestEveryLineIsDeliveredOnce(t *testing.T) {
	b := newBed(t)
	for i := range 500 {
		b.write("line %d\n", i)
	}
	st := b.ship(nil)
	b.once(numbered(500))
	if st.Events != 500 || st.Batches < 10 || st.InFlight != 0 {
		t.Errorf("Stats() = %+v; want 500 events in 10 batches or more", st)
	}
	b.write("line 500\n")
	b.ship(nil)
	b.once(numbered(501))
	if p := b.store.Pending("es"); len(p) != 0 {
		t.Errorf("Pending() = %v after the end", p)
	}
}

func TestWhatIsRefusedBecomesADeadLetter(t *testing.T) {
	b := newBed(t, draft.Pair{Key: "decode", Value: draft.Of("", "json")})
	b.write("%s\n", `{"message":"good","n":1}`)
	b.write("%s\n", `{"message":"bad","n":2}`)
	b.write("%s\n", `{"message":"cannot be encoded","n":3}`)
	b.sink.answer = func(_ int, batch *out.Batch) error {
		for i := range batch.Items {
			if it := &batch.Items[i]; string(batch.Body[it.Start:it.End]) == "bad\x00" {
				it.Verdict, it.Reason = out.Reject, "mapper_parsing_exception"
			}
		}
		return nil
	}
	st := b.ship(nil)
	b.once(map[string]int{"good": 1})
	if st.Events != 1 || st.Rejected != 2 {
		t.Errorf("Stats() = %+v; want 1 event and 2 refused", st)
	}
	taken, err := b.letters.Take()
	if err != nil {
		t.Fatal(err)
	}
	reasons := map[string]string{}
	if err := taken.Each(func(l dead.Letter) error { reasons[l.Reason] = string(l.Document); return nil }); err != nil {
		t.Fatal(err)
	}
	if doc := reasons["mapper_parsing_exception"]; !strings.Contains(doc, `"message":"bad"`) || !strings.Contains(doc, `"n":2`) {
		t.Errorf("letters %v; want the document of the bad line", reasons)
	}
	if doc := reasons["it cannot be encoded"]; !strings.Contains(doc, `"n":3`) {
		t.Errorf("letters %v; want the document of the line that cannot be encoded", reasons)
	}
}

func TestFailuresCostNothing(t *testing.T) {
	for name, answer := range map[string]func(n int, b *out.Batch) error{
		"retry": func(n int, _ *out.Batch) error {
			if n%3 != 0 {
				return out.Fail(out.Retry, "503")
			}
			return nil
		},
		"plain error": func(n int, _ *out.Batch) error {
			if n%2 != 0 {
				return errors.New("connection reset")
			}
			return nil
		},
		"pause": func(n int, _ *out.Batch) error {
			if n < 5 {
				return out.Fail(out.Pause, "401")
			}
			return nil
		},
		"too large": func(_ int, b *out.Batch) error {
			if len(b.Items) > 3 {
				return out.Fail(out.TooLarge, "413")
			}
			return nil
		},
		"items": func(n int, b *out.Batch) error {
			for i := range b.Items {
				if (n+i)%3 == 0 {
					b.Items[i].Verdict, b.Items[i].Reason = out.Again, "429"
				}
			}
			return nil
		},
		"slow": func(n int, _ *out.Batch) error {
			if n%2 != 0 {
				return &out.Failure{How: out.Retry, Slow: true, Err: errors.New("429")}
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			b.sink.answer = answer
			for i := range 300 {
				b.write("line %d\n", i)
			}
			st := b.ship(nil)
			b.once(numbered(300))
			if st.Events != 300 || st.Rejected != 0 || st.Retries+st.Again+st.Splits == 0 {
				t.Errorf("Stats() = %+v; want 300 events after some failures", st)
			}
		})
	}
}

func TestOneEventThatIsTooLargeIsADeadLetter(t *testing.T) {
	b := newBed(t)
	b.write("line 0\n%s\nline 1\n", strings.Repeat("x", 2000))
	b.sink.answer = func(_ int, batch *out.Batch) error {
		if len(batch.Body) > 1000 {
			return out.Fail(out.TooLarge, "413")
		}
		return nil
	}
	st := b.ship(nil)
	b.once(numbered(2))
	if st.Rejected != 1 || b.letters.Last() == nil || b.letters.Last().Reason != "413" {
		t.Errorf("Stats() = %+v, last letter %v; want one with 413", st, b.letters.Last())
	}
}

// TestAReplayIsTheSameBatch kills a pipe whose batches were stored and never acknowledged: the next one sends the same bytes under
// the same ids first, whatever was written meanwhile.
func TestAReplayIsTheSameBatch(t *testing.T) {
	for name, pairs := range map[string][]draft.Pair{
		"lines":     nil,
		"multiline": {{Key: "multiline", Value: draft.Of("", "java")}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, pairs...)
			for i := range 130 {
				b.write("line %d\n\tat com.example.Some.method(Some.java:%d)\n", i, i)
			}
			stop := make(chan struct{})
			var end sync.Once
			b.sink.answer = func(n int, _ *out.Batch) error {
				if n >= 2 {
					end.Do(func() { close(stop) })
				}
				return errors.New("the answer was lost")
			}
			b.ship(stop)
			b.sink.mu.Lock()
			first := map[string]bool{}
			for _, batch := range b.sink.batches {
				first[batch] = true
			}
			b.sink.batches, b.sink.answer = nil, nil
			b.sink.mu.Unlock()
			b.write("line 130\n")
			b.ship(nil)
			b.sink.mu.Lock()
			again := slices.Clone(b.sink.batches)
			stored := maps.Clone(b.sink.stored)
			b.sink.mu.Unlock()
			for batch := range first {
				if !slices.Contains(again, batch) {
					t.Errorf("the batch %.60q was not sent again as it was", batch)
				}
			}
			total := 0
			for text, n := range stored {
				total += strings.Count(text, "line ") * n
			}
			if len(first) < 2 || total != 131 {
				t.Errorf("%d batches before the kill, %d lines stored in all; want 2 or more, and 131", len(first), total)
			}
		})
	}
}

func TestAFullStateFolderStopsSendingUntilThereIsRoom(t *testing.T) {
	b := newBed(t)
	b.write("line 0\n")
	calls := 0
	p := New(Config{Output: "es", Store: mustOpen(t, b.dir), Sink: b.sink, Backoff: backoff.Policy{Min: time.Millisecond}, Log: zerolog.Nop()})
	err := p.persist(t.Context(), "no room", func() error {
		if calls++; calls == 3 && !strings.Contains(p.Stats().Problem, "no room: no space") {
			t.Errorf("Problem = %q while nothing goes on; want the reason", p.Stats().Problem)
		}
		if calls < 5 {
			return errors.New("no space left on device")
		}
		return nil
	})
	if p.Stats().Problem != "" {
		t.Errorf("Problem = %q when there is room; want none", p.Stats().Problem)
	}
	if err != nil || calls != 5 {
		t.Errorf("persist() = %v after %d calls; want nil after 5", err, calls)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.persist(ctx, "no room", func() error { return errors.New("no space left on device") }); !errors.Is(err, context.Canceled) {
		t.Errorf("persist() = %v; want the end of the context", err)
	}
}

func mustOpen(t *testing.T, dir string) *state.Store {
	t.Helper()
	s, err := state.Open(dir, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestGateHalvesAndGrows(t *testing.T) {
	g := newGate(8)
	round := func(slow bool) {
		if err := g.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		g.leave(slow, !slow)
	}
	for _, want := range []int{4, 2, 1, 1} {
		round(true)
		if got := g.allowed(); got != want {
			t.Errorf("allowed() = %d; want %d", got, want)
		}
	}
	for range 7 * patience {
		round(false)
	}
	if got := g.allowed(); got != 8 {
		t.Errorf("allowed() = %d after a while of success; want 8", got)
	}
}
