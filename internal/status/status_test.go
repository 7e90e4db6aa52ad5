package status

import (
	"slices"
	"strconv"
	"testing"
)

func TestFactsKeepTheOrderOfFirstUse(t *testing.T) {
	var b Board
	b.Fact("commit", "1")
	b.Fact("ref", "main")
	b.Fact("commit", "2")
	want := []Fact{{"commit", "2"}, {"ref", "main"}}
	if got := b.Snapshot().Facts; !slices.Equal(got, want) {
		t.Errorf("Facts = %v; want %v", got, want)
	}
}

func TestSeriesKeepsTheLast120Points(t *testing.T) {
	var b Board
	for i := range 200 {
		b.Series("poll", "ms").Add(float64(i), i == 199)
	}
	got := b.Snapshot().Series[0]
	if len(got.Points) != 120 || got.Points[0].Value != 80 || got.Points[119] != (Point{199, true}) {
		t.Errorf("Series = %d points, first %v, last %v; want 120, 80, 199 failed",
			len(got.Points), got.Points[0], got.Points[len(got.Points)-1])
	}
}

func TestEventsAreTheLast20NewestFirst(t *testing.T) {
	var b Board
	for i := range 25 {
		b.Event("info", strconv.Itoa(i))
	}
	got := b.Snapshot().Events
	if len(got) != 20 || got[0].Text != "24" || got[19].Text != "5" {
		t.Errorf("Events = %v; want 24 down to 5", got)
	}
}

func TestNilBoardTakesEverything(t *testing.T) {
	var b *Board
	b.Fact("a", "b")
	b.Series("a", "b").Add(1, false)
	b.Event("info", "a")
	if s := b.Snapshot(); s.Facts != nil || s.Series != nil || s.Events != nil {
		t.Errorf("Snapshot() of nil = %v; want nothing", s)
	}
}

func TestSnapshotIsACopy(t *testing.T) {
	var b Board
	b.Series("poll", "ms").Add(1, false)
	snap := b.Snapshot()
	snap.Series[0].Points[0].Value = 9
	if got := b.Snapshot().Series[0].Points[0].Value; got != 1 {
		t.Errorf("point after a change of the copy = %v; want 1", got)
	}
}

func TestLiveFactsAreOfTheMoment(t *testing.T) {
	var b Board
	n := 0
	b.Fact("first", "x")
	b.Live(func() []Fact {
		b.Event("info", "looked at") // it may use the board
		n++
		return []Fact{{"looks", strconv.Itoa(n)}}
	})
	b.Snapshot()
	if got := b.Snapshot().Facts; len(got) != 2 || got[1] != (Fact{"looks", "2"}) {
		t.Errorf("facts = %v; want the first, and 2 looks", got)
	}
}
