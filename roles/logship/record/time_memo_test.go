package record

import (
	"math/rand/v2"
	"testing"
)

func TestTheMemoOfTimeNeverShows(t *testing.T) {
	const second, base = int64(1795291817), int64(1795291817932759840)
	var m memo
	for range 20_000 {
		ns := base
		switch rand.IntN(5) {
		case 0: // the same again
		case 1:
			ns = second*1e9 + rand.Int64N(1000)*1e6
		case 2:
			ns = (second + rand.Int64N(2)) * 1e9
		case 3:
			ns += rand.Int64N(3) - 1
		case 4:
			ns = rand.Int64N(4e9) - 2e9
		}
		if got, want := string(m.appendTime([]byte("x"), ns)), string(AppendTime([]byte("x"), ns)); got != want {
			t.Fatalf("appendTime(%d) = %s; want %s", ns, got, want)
		}
	}
}
