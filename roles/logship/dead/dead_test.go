package dead

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func letter(i int) Letter {
	return Letter{
		Time: time.Unix(1700000000, 0).UTC(), Output: "es", Reason: "mapper_parsing_exception", Input: "app", Path: "/logs/app.log",
		Gen: 7, Offset: int64(i), Size: 10, Stamp: 5, Document: []byte(fmt.Sprintf(`{"message":"line %d"}`, i)),
	}
}

func offsets(t *testing.T, f *File) (list []int64, taken *Taken) {
	t.Helper()
	taken, err := f.Take()
	if err != nil {
		t.Fatal(err)
	}
	err = taken.Each(func(l Letter) error {
		want := letter(int(l.Offset))
		if string(l.Document) != string(want.Document) || l.Reason != want.Reason || l.Stamp != want.Stamp || !l.Time.Equal(want.Time) {
			t.Errorf("letter %+v; want %+v", l, want)
		}
		list = append(list, l.Offset)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list, taken
}

func TestLettersAreKeptUntilAReplayIsOver(t *testing.T) {
	f := New(filepath.Join(t.TempDir(), "state", "dead.ndjson"), 1<<20)
	if err := f.Append(letter(1), letter(2)); err != nil {
		t.Fatal(err)
	}
	if got, _ := offsets(t, f); !slices.Equal(got, []int64{1, 2}) {
		t.Errorf("letters %v; want 1, 2", got)
	}
	if err := f.Append(letter(3)); err != nil { // the first replay was killed
		t.Fatal(err)
	}
	got, taken := offsets(t, f)
	if !slices.Equal(got, []int64{1, 2, 3}) {
		t.Errorf("letters after an interrupted replay %v; want 1, 2, 3", got)
	}
	if err := taken.Remove(); err != nil {
		t.Fatal(err)
	}
	if got, _ := offsets(t, f); len(got) != 0 {
		t.Errorf("letters after a replay %v; want none", got)
	}
	if f.Written() != 3 || f.Last() == nil || f.Last().Offset != 3 {
		t.Errorf("Written() = %d, Last() = %v; want 3", f.Written(), f.Last())
	}
}

func TestHalfALineIsCut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dead.ndjson")
	f := New(path, 1<<20)
	if err := f.Append(letter(1)); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(data) {
		if err := os.WriteFile(path, append(slices.Clone(data), data[:cut]...), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := f.Append(letter(2)); err != nil {
			t.Fatal(err)
		}
		got, taken := offsets(t, f)
		if !slices.Equal(got, []int64{1, 2}) {
			t.Fatalf("a kill after %d bytes leaves letters %v; want 1, 2", cut, got)
		}
		if err := taken.Remove(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheBoundDropsTheOldestAndCounts(t *testing.T) {
	dir := t.TempDir()
	f := New(filepath.Join(dir, "dead.ndjson"), 8<<10)
	for i := range 200 {
		if err := f.Append(letter(i)); err != nil {
			t.Fatal(err)
		}
		var size int64
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			info, err := e.Info()
			if err != nil {
				t.Fatal(err)
			}
			size += info.Size()
		}
		if size > 8<<10 {
			t.Fatalf("%d bytes after %d letters; want at most %d", size, i+1, 8<<10)
		}
	}
	got, _ := offsets(t, f)
	if len(got) == 0 || got[len(got)-1] != 199 || int64(len(got))+f.Dropped() != 200 {
		t.Errorf("%d letters up to %v, %d dropped; want 200 in sum, up to 199", len(got), got[len(got)-1], f.Dropped())
	}
}

func TestAReplayBesideAppendsLosesNothing(t *testing.T) {
	f := New(filepath.Join(t.TempDir(), "dead.ndjson"), 1<<20)
	var wg sync.WaitGroup
	wg.Go(func() {
		other := New(f.Path(), 1<<20) // as another process has it
		for i := range 300 {
			if err := other.Append(letter(i)); err != nil {
				t.Error(err)
			}
		}
	})
	seen := map[int64]int{}
	take := func() {
		got, taken := offsets(t, f)
		for _, o := range got {
			seen[o]++
		}
		if err := taken.Remove(); err != nil {
			t.Error(err)
		}
	}
	for range 20 {
		take()
	}
	wg.Wait()
	take()
	for i := range int64(300) {
		if seen[i] != 1 {
			t.Errorf("letter %d was seen %d times; want once", i, seen[i])
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("{\"generation\":7,\"offset\":1}\n{}\nx\n")
	f.Fuzz(func(t *testing.T, text string) {
		var bad []error
		good := 0
		if err := Read(strings.NewReader(text), "f", &bad, func(Letter) error { good++; return nil }); err != nil {
			t.Fatal(err)
		}
		if lines := strings.Count(text, "\n"); good+len(bad) != lines {
			t.Errorf("%d letters and %d complaints of %d lines", good, len(bad), lines)
		}
	})
}
