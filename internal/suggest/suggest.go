// Package suggest finds the word that was meant when a person mistypes one. It
// compares with the few words a flag, a scheme or a file may hold; it is no search.
// Used by host and probe.
package suggest

import "slices"

// Closest returns the candidate that differs from word by the fewest edits, or
// "" when none is near enough to be what was meant.
func Closest(word string, candidates []string) string {
	best, limit := "", max(1, len(word)/3)
	for _, c := range slices.Sorted(slices.Values(candidates)) {
		if d := distance(word, c); d <= limit {
			best, limit = c, d-1
		}
	}
	return best
}

// DidYouMean is the tail of an error about an unknown word.
func DidYouMean(prefix, word string, candidates []string) string {
	if c := Closest(word, candidates); c != "" {
		return ", did you mean " + prefix + c + "?"
	}
	return ""
}

// distance counts insertions, deletions, substitutions and swaps of neighbours.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64 // nobody means a word of that length; bounds the work
	}
	var before, last []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, last, row = last, row, make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
