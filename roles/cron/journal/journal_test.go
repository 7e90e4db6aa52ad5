package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

func at(sec int64) time.Time { return time.Unix(1800000000+sec, 0) }

func open(t *testing.T, dir string) *Journal {
	t.Helper()
	j, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func write(t *testing.T, j *Journal, records ...Record) {
	t.Helper()
	if err := j.Write(true, records...); err != nil {
		t.Fatal(err)
	}
}

func TestStateSurvivesAReopen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	j := open(t, dir)
	write(t, j, Record{Start, "a", at(1)}, Record{Start, "b c", at(1)}, Record{End, "a", at(1)}, Record{Start, "a", at(2)}, Record{Skip, "a", at(3)})
	write(t, j, Record{Suspend, "d", at(9)}, Record{Suspend, "b c", at(2)}, Record{Resume, "b c", at(4)})
	want := map[string]State{
		"a":   {Last: at(3), Open: []time.Time{at(2)}},
		"b c": {Last: at(1), Open: []time.Time{at(1)}},
		"d":   {Suspended: true},
		"no":  {},
	}
	for round := range 3 {
		for name, w := range want {
			got := j.State(name)
			if !got.Last.Equal(w.Last) || len(got.Open) != len(w.Open) || got.Suspended != w.Suspended {
				t.Errorf("round %d: State(%q) = %+v; want %+v", round, name, got, w)
			}
		}
		if round == 1 {
			if err := j.Compact(nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		j = open(t, dir)
		if j.Bad != 0 {
			t.Errorf("round %d: %d bad lines; want 0", round, j.Bad)
		}
	}
	j.Close()
}

// TestEveryCutIsSurvived cuts the file at each byte, as a crash would.
func TestEveryCutIsSurvived(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	var ends []int64
	for i := range 5 {
		write(t, j, Record{Start, "job", at(int64(i))})
		ends = append(ends, j.size)
	}
	j.Close()
	whole, err := os.ReadFile(filepath.Join(dir, fileName))
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(whole) + 1 {
		cutDir := t.TempDir()
		if err := os.WriteFile(filepath.Join(cutDir, fileName), whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		j := open(t, cutDir)
		n := 0
		for n < len(ends) && ends[n] <= int64(cut) {
			n++
		}
		want := State{}
		if n > 0 {
			want.Last = at(int64(n - 1))
		}
		if got := j.State("job"); !got.Last.Equal(want.Last) {
			t.Errorf("cut at %d: Last = %v; want %v", cut, got.Last, want.Last)
		}
		write(t, j, Record{Start, "job", at(100)})
		j.Close()
		again := open(t, cutDir)
		if got := again.State("job").Last; !got.Equal(at(100)) || again.Bad != 0 {
			t.Errorf("cut at %d, then written: Last = %v, %d bad; want %v, 0", cut, got, again.Bad, at(100))
		}
		again.Close()
	}
}

func TestDamageInTheMiddleCostsOneRecord(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	write(t, j, Record{Start, "a", at(1)})
	middle := j.size
	write(t, j, Record{Start, "b", at(2)})
	write(t, j, Record{Start, "c", at(3)})
	j.Close()
	f, err := os.OpenFile(filepath.Join(dir, fileName), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("\x00"), middle+3); err != nil {
		t.Fatal(err)
	}
	f.Close()
	j = open(t, dir)
	defer j.Close()
	if a, b, c := j.State("a").Last, j.State("b").Last, j.State("c").Last; a.IsZero() || !b.IsZero() || c.IsZero() || j.Bad != 1 {
		t.Errorf("a %v, b %v, c %v, %d bad; want a and c known, 1 bad", a, b, c, j.Bad)
	}
}

func TestTheFolderIsLocked(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	if _, err := Open(dir); !errors.Is(err, ErrLocked) {
		t.Errorf("a second Open = %v; want ErrLocked", err)
	}
	j.Close()
	open(t, dir).Close()
}

// TestARemovedFolderIsMadeAgain: a journal without a name is of no use to the next process.
func TestARemovedFolderIsMadeAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	j := open(t, dir)
	write := func(job string, sec int64) {
		t.Helper()
		if err := j.Write(true, Record{Start, job, time.Unix(sec, 0)}); err != nil {
			t.Fatal(err)
		}
	}
	write("a", 1)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	write("b", 2)
	if _, err := Open(dir); !errors.Is(err, ErrLocked) {
		t.Errorf("Open of the new folder = %v; want ErrLocked", err)
	}
	j.Close()
	j = open(t, dir)
	defer j.Close()
	if a, b := j.State("a").Last, j.State("b").Last; a.Unix() != 1 || b.Unix() != 2 {
		t.Errorf("a %v, b %v; want both known", a, b)
	}
}

func TestTheFileStaysSmall(t *testing.T) {
	j := open(t, t.TempDir())
	defer j.Close()
	records := make([]Record, 0, 2000)
	for i := range 60 {
		records = records[:0]
		for k := range 1000 {
			records = append(records, Record{Start, fmt.Sprint("job-", k%10), at(int64(i*1000 + k))}, Record{End, fmt.Sprint("job-", k%10), at(int64(i*1000 + k))})
		}
		if err := j.Write(false, records...); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(filepath.Join(j.dir, fileName))
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > 2*compactAt || info.Size() != j.size {
		t.Errorf("after 120,000 records the file has %d bytes, noted %d; want at most %d and equal", info.Size(), j.size, 2*compactAt)
	}
	if got := j.State("job-9").Last; !got.Equal(at(59999)) {
		t.Errorf("Last of job-9 = %v; want %v", got, at(59999))
	}
	if err := j.Compact(func(name string) bool { return name == "job-1" }); err != nil {
		t.Fatal(err)
	}
	if len(j.states) != 1 {
		t.Errorf("%d jobs after Compact; want 1", len(j.states))
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("00000000 s 1800000000 job\n"))
	f.Add([]byte("x"))
	f.Fuzz(func(t *testing.T, line []byte) {
		r, ok := parse(line)
		if !ok {
			return
		}
		if again, ok := parse(line); !ok || !reflect.DeepEqual(r, again) || r.Job == "" {
			t.Errorf("parse(%q) = %+v", line, r)
		}
	})
}

// TestTheFileStaysSmallWhenProcessesDieYoung: each of them writes less than would make the file double.
func TestTheFileStaysSmallWhenProcessesDieYoung(t *testing.T) {
	dir := t.TempDir()
	var size int64
	for life := range int64(30) {
		j := open(t, dir)
		var records []Record
		for n := range int64(1000) {
			at := time.Unix(life*1000+n, 0)
			records = append(records, Record{Start, "a-job-that-has-a-rather-long-name-because-it-matters", at}, Record{End, "a-job-that-has-a-rather-long-name-because-it-matters", at})
		}
		if err := j.Write(false, records...); err != nil {
			t.Fatal(err)
		}
		size = max(size, j.size)
		j.file.Close() // no Close: it dies
		j.lock.Close()
	}
	if size > compactAt+compactAt/2 {
		t.Errorf("the file grew to %d bytes; want not much more than %d", size, compactAt)
	}
	j := open(t, dir)
	defer j.Close()
	if got := j.State("a-job-that-has-a-rather-long-name-because-it-matters"); got.Last.Unix() != 29_999 || len(got.Open) != 0 {
		t.Errorf("state = %+v; want the last start, ended", got)
	}
}
