package logship

import (
	"testing"
	"time"

	"github.com/sidecar-kit/sidecar/roles/logship/source"
)

func TestTheAgeOfWhatIsUnreadDoesNotShrinkWhileTheFileGrows(t *testing.T) {
	t.Parallel()
	var a ages
	start := time.Unix(1000, 0)
	look := func(second int, size, read int64) {
		at := start.Add(time.Duration(second) * time.Second)
		p := source.Progress{Output: "es", Read: read}
		if read < size {
			p.Oldest = at // it grew just now
		}
		a.note(at, []source.FileStatus{{Gen: 7, Size: size, Outputs: []source.Progress{p}}})
	}
	for s := range 1000 {
		look(s, int64(100*(s+1)), 50)
	}
	if got := a.since(7, 50); !got.Equal(start) {
		t.Errorf("since(50) = %s; want %s, when it was seen first", got, start)
	}
	if n := len(a.marks[7]); n > marksKept {
		t.Errorf("%d marks are kept; want at most %d", n, marksKept)
	}
	look(1000, 100_000, 60_000)
	if got, low, high := a.since(7, 60_000), start.Add(600*time.Second), start.Add(700*time.Second); got.Before(low) || got.After(high) {
		t.Errorf("since(60000) = %s; want %s to %s", got, low, high)
	}
	if got := a.since(7, 100_000); !got.IsZero() {
		t.Errorf("since(100000) = %s; want none: it is the end of the file", got)
	}
	look(1001, 100_000, 100_000)
	if len(a.marks) != 0 {
		t.Errorf("%d files have marks when everything is read; want none", len(a.marks))
	}
}
