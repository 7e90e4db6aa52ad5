package proxy

import "testing"

func TestMemoryIsGivenBackWhenWorkIsOver(t *testing.T) {
	const mb = 1 << 20
	for _, c := range []struct {
		what string
		h    heap
		want bool
	}{
		{"work goes on", heap{rested: 2, before: 5, cycles: 6, live: 50 * mb, held: 100 * mb}, false},
		{"work is over", heap{rested: 2, before: 6, cycles: 6, live: 50 * mb, held: 100 * mb}, true},
		{"nothing was done since", heap{rested: 6, before: 6, cycles: 6, live: 50 * mb, held: 100 * mb}, false},
		{"a quarter is not worth it", heap{rested: 2, before: 6, cycles: 6, live: 50 * mb, held: 62 * mb}, false},
		{"little is not worth it", heap{rested: 2, before: 6, cycles: 6, live: 1 * mb, held: 4 * mb}, false},
	} {
		if got := c.h.slack(); got != c.want {
			t.Errorf("%s: slack() = %v; want %v", c.what, got, c.want)
		}
	}
	var h heap
	h.read()
	if h.held == 0 {
		t.Error("read() finds no heap")
	}
}
