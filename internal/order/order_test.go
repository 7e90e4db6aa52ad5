package order

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

type row struct {
	key  int
	name string
}

func byKey(a, b row) int { return cmp.Compare(a.key, b.key) }

func TestSortIsThatOfTheLibrary(t *testing.T) {
	for n := range 200 {
		list := make([]row, n)
		for i := range list {
			list[i] = row{rand.IntN(1 + n/3), string(rune('a' + i%26))}
		}
		want := slices.Clone(list)
		slices.SortStableFunc(want, byKey)
		given := slices.Clone(list)
		if Sort(list, byKey); !slices.Equal(list, want) {
			t.Fatalf("Sort(%v) = %v; want %v", given, list, want)
		}
	}
}

func BenchmarkSort(b *testing.B) {
	list := make([]row, 1000)
	for b.Loop() {
		for i := range list {
			list[i].key = i * 7919 % 1000
		}
		Sort(list, byKey)
	}
}

func BenchmarkSlices(b *testing.B) {
	list := make([]row, 1000)
	for b.Loop() {
		for i := range list {
			list[i].key = i * 7919 % 1000
		}
		slices.SortStableFunc(list, byKey)
	}
}
