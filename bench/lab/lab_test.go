package lab

import (
	"math"
	"os"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	MeterMain()
	os.Exit(m.Run())
}

func TestQuantileTakesTheNearestRank(t *testing.T) {
	for _, c := range []struct {
		values []float64
		q      float64
		want   float64
	}{
		{[]float64{3, 1, 2}, 0.5, 2},
		{[]float64{4, 1, 2, 3}, 0.5, 2.5},
		{[]float64{5, 1, 2, 3, 4}, 0.99, 5},
		{[]float64{5, 1, 2, 3, 4}, 1, 5},
		{[]float64{7}, 0.99, 7},
	} {
		if got := Quantile(c.values, c.q); got != c.want {
			t.Errorf("Quantile(%v, %v) = %v; want %v", c.values, c.q, got, c.want)
		}
	}
	if got := Quantile(nil, 0.5); !math.IsNaN(got) {
		t.Errorf("Quantile(nil) = %v; want NaN", got)
	}
}

func TestPairsAlternateAndDropTheWarmUp(t *testing.T) {
	var order strings.Builder
	run := func(name string, v float64) func() (Sample, error) {
		return func() (Sample, error) {
			order.WriteString(name)
			return Sample{"x": v}, nil
		}
	}
	pairs, err := Pairs(3, run("a", 1), run("b", 4))
	if err != nil {
		t.Fatal(err)
	}
	if order.String() != "abbaabba" {
		t.Errorf("order %s; want abbaabba", order.String())
	}
	a, b, ratio := Compare(pairs, "x")
	if len(pairs) != 3 || a != 1 || b != 4 || ratio != 0.25 {
		t.Errorf("%d pairs: %v %v %v; want 3: 1 4 0.25", len(pairs), a, b, ratio)
	}
}

func TestCompareTakesTheMedianOfRatiosNotTheRatioOfMedians(t *testing.T) {
	pairs := []Pair{
		{Sample{"x": 1}, Sample{"x": 10}},
		{Sample{"x": 8}, Sample{"x": 10}},
		{Sample{"x": 9}, Sample{"x": 100}},
	}
	if _, _, ratio := Compare(pairs, "x"); ratio != 0.1 {
		t.Errorf("ratio %v; want 0.1", ratio)
	}
}

func TestMeasureSeesTheCostOfGrandchildren(t *testing.T) {
	u, err := Measure(t.TempDir(), "sh", "-c", `sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done'; true`)
	if err != nil {
		t.Fatal(err)
	}
	if u.CPU < 20*time.Millisecond || u.Wall < u.CPU/2 {
		t.Errorf("cpu %v wall %v; want the loop of the inner shell to be seen", u.CPU, u.Wall)
	}
}

func TestMeasureIsNotFooledByTheBenchmarksOwnMemory(t *testing.T) {
	ballast := make([]byte, 200<<20)
	for i := 0; i < len(ballast); i += 4096 {
		ballast[i] = 1
	}
	u, err := Measure(t.TempDir(), "true")
	if err != nil {
		t.Fatal(err)
	}
	if u.PeakRSS > 40<<20 {
		t.Errorf("peak RSS of true = %d; the parent's memory leaked into it", u.PeakRSS)
	}
	ballast[0] = 2
}

func TestMeasureReportsTheOutputOfAFailure(t *testing.T) {
	_, err := Measure(t.TempDir(), "sh", "-c", "echo no such thing >&2; exit 3")
	if err == nil || !strings.Contains(err.Error(), "exit 3") || !strings.Contains(err.Error(), "no such thing") {
		t.Errorf("err = %v; want the code and the output", err)
	}
}
