package adapter

import (
	"time"

	"github.com/sidecar-kit/sidecar/roles/adapter/check"
)

func ofChecks(name, help string, read func(st *check.State) float64) figure {
	return metric(name, help, func(w *works, put putter) {
		for _, st := range w.board.States() {
			put(read(st), st.Spec.Name, st.Spec.Kind)
		}
	}, "check", "kind")
}

func checkFigures() []figure {
	return []figure{
		ofChecks("check_ok", "1 while a check counts as well.", func(st *check.State) float64 { ok, _ := st.Well(time.Now()); return number(ok) }),
		ofChecks("check_looks_total", "Times a check looked.", func(st *check.State) float64 { return float64(st.Looks) }),
		ofChecks("check_failures_total", "Of these, those that failed.", func(st *check.State) float64 { return float64(st.Failed) }),
		ofChecks("check_seconds", "How long the last look took.", func(st *check.State) float64 { return st.Took.Seconds() }),
		ofChecks("check_age_seconds", "Time since the end of the last look.", func(st *check.State) float64 {
			if !st.Known {
				return 0
			}
			return time.Since(st.At).Seconds()
		}),
	}
}
