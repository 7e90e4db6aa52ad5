package check

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func spec(name string, do Doer) *Spec {
	return &Spec{Name: name, Every: 10 * time.Second, Timeout: time.Second, MaxAge: 31 * time.Second, Rise: 1, Fall: 1, Groups: []string{"ready"}, Do: do}
}

func run(t *testing.T, b *Board) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); b.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
}

func TestItIsQuickUntilTheFirstSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		var at []time.Duration
		b := New([]*Spec{spec("a", func(context.Context) Result {
			at = append(at, time.Since(begun))
			return Result{OK: time.Since(begun) > 2*time.Second}
		})}, nil, nil)
		run(t, b)
		time.Sleep(time.Minute)
		synctest.Wait()
		quick, slow := 0, 0
		for i, d := range at {
			switch {
			case d <= 2*time.Second:
				quick++
			case i > 0 && at[i-1] > 2*time.Second && d-at[i-1] >= 9*time.Second && d-at[i-1] <= 11*time.Second:
				slow++
			}
		}
		if quick < 5 || slow < 4 {
			t.Errorf("looks at %v; want quick ones until 2s, then one each 10s", at)
		}
		if ok, why := b.States()[0].Well(time.Now()); !ok {
			t.Errorf("Well = false, %s", why)
		}
	})
}

func TestRiseAndFall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outcomes := []bool{true, true, true, false, false, true, false, false, false, true, true}
		n := 0
		s := spec("a", func(context.Context) Result {
			n++
			return Result{OK: outcomes[min(n, len(outcomes))-1]}
		})
		s.Rise, s.Fall = 2, 3
		var turns []bool
		b := New([]*Spec{s}, nil, func(st State, turned bool) {
			if turned {
				turns = append(turns, st.OK)
			}
		})
		run(t, b)
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if got := len(turns); got != 4 || turns[0] || !turns[1] || turns[2] || !turns[3] {
			t.Errorf("turns = %v; want false, true, false, true", turns)
		}
	})
}

func TestLooksOfAFailedCheckAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reasons := []string{"refused", "refused", "denied", "denied", ""}
		n := 0
		s := spec("a", func(context.Context) Result {
			n++
			why := reasons[min(n, len(reasons))-1]
			return Result{OK: why == "", Detail: why}
		})
		var told []string
		b := New([]*Spec{s}, nil, func(st State, turned bool) {
			if turned {
				told = append(told, "turned")
			}
			told = append(told, st.Last.Detail)
		})
		run(t, b)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := strings.Join(told, " "); got != "turned refused refused denied denied turned " {
			t.Errorf("told %q; want each look that failed, and the success", got)
		}
	})
}

func TestALookThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		looks := 0
		b := New([]*Spec{
			spec("stuck", func(context.Context) Result { looks++; <-hang; return Result{OK: true} }),
			spec("fine", func(context.Context) Result { return Result{OK: true, Detail: "fine"} }),
		}, nil, nil)
		run(t, b)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		st := b.States()
		if ok, why := st[0].Well(time.Now()); ok || !strings.Contains(why, "not ended") {
			t.Errorf("stuck: Well = %v, %q; want false, the look before has not ended", ok, why)
		}
		if looks != 1 {
			t.Errorf("%d looks at once; want 1", looks)
		}
		if ok, _ := st[1].Well(time.Now()); !ok {
			t.Error("a check that hangs made another one fail")
		}
		close(hang)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if ok, why := b.States()[0].Well(time.Now()); !ok {
			t.Errorf("after it returned: Well = false, %s", why)
		}
	})
}

func TestOldResultsCountAsFailed(t *testing.T) {
	st := State{Spec: spec("a", nil), OK: true, Known: true, At: time.Now().Add(-time.Minute), Last: Result{OK: true}}
	if ok, why := st.Well(time.Now()); ok || !strings.Contains(why, "max-age is 31s") {
		t.Errorf("Well = %v, %q; want false because of max-age", ok, why)
	}
}

func TestAPanicIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New([]*Spec{spec("a", func(context.Context) Result { panic("oh") })}, nil, nil)
		run(t, b)
		time.Sleep(time.Second)
		synctest.Wait()
		if ok, why := b.States()[0].Well(time.Now()); ok || !strings.Contains(why, "panicked: oh") {
			t.Errorf("Well = %v, %q", ok, why)
		}
	})
}

func TestAReloadKeepsWhatIsTheSame(t *testing.T) {
	same := spec("a", func(context.Context) Result { return Result{OK: true} })
	old := New([]*Spec{same}, nil, nil)
	old.record(0, Result{OK: true, Detail: "kept"}, time.Now(), 0)
	b := New([]*Spec{spec("b", nil), same}, old, nil)
	if st := b.States(); st[0].Known || st[1].Last.Detail != "kept" {
		t.Errorf("states = %+v, %+v; want a new and the old one", st[0], st[1])
	}
}

func TestChangedIsClosedByAChange(t *testing.T) {
	b := New([]*Spec{spec("a", nil)}, nil, nil)
	for _, step := range []struct{ ok, want bool }{{true, true}, {true, false}, {false, true}} {
		changed := b.Changed()
		b.record(0, Result{OK: step.ok}, time.Now(), 0)
		select {
		case <-changed:
			if !step.want {
				t.Error("closed without a change")
			}
		default:
			if step.want {
				t.Error("not closed by a change")
			}
		}
	}
}
