package pipe

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/sidecar-kit/sidecar/internal/draft"
	"github.com/sidecar-kit/sidecar/roles/logship/out"
	"github.com/sidecar-kit/sidecar/roles/logship/source"
)

// TestTheRestOfACutLineIsNotSentAfterAKill: each event is a batch, so that batches end within lines, and the kill comes after the n-th.
func TestTheRestOfACutLineIsNotSentAfterAKill(t *testing.T) {
	for _, multi := range []bool{false, true} {
		for kill := 1; kill <= 5; kill++ {
			var pairs []draft.Pair
			if multi {
				pairs = append(pairs, draft.Pair{Key: "multiline", Value: draft.Of("", "java")})
			}
			b := newBed(t, pairs...)
			b.limits.Events = 1
			b.input = func(in *source.Input) { in.MaxLine, in.LongLines = 64, "cut" }
			long := strings.Repeat("0123456789", 20)
			b.write("first\n%s\nbetween\na%s\nb%s\nlast\n", long, long, long)
			stop := make(chan struct{})
			b.sink.answer = func(n int, _ *out.Batch) error {
				if n == kill {
					close(stop)
				}
				if n >= kill {
					return out.Fail(out.Retry, "it is gone")
				}
				return nil
			}
			b.ship(stop)
			b.sink.answer = nil
			b.ship(nil)
			got := slices.Sorted(maps.Keys(b.sink.stored))
			want := []string{long[:64], "a" + long[:63], "b" + long[:63], "between", "first", "last"}
			if !slices.Equal(got, want) {
				t.Errorf("multiline %v, kill at batch %d: stored %q; want %q", multi, kill, got, want)
			}
			for text, n := range b.sink.stored {
				if n != 1 {
					t.Errorf("multiline %v, kill at batch %d: %q is stored %d times; want once", multi, kill, text, n)
				}
			}
		}
	}
}
