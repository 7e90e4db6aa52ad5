package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sidecar-kit/sidecar/roles/cron/schedule"
	"github.com/sidecar-kit/sidecar/roles/cron/schedule/oracle"
)

// Of makes a job of a line; an error says that it never comes.
func Of(l oracle.Line, zone *time.Location, dst schedule.DST, list []oracle.Moment, p Policy) (Job, error) {
	s, err := schedule.Parse(l.Text(), schedule.Options{Zone: zone, DST: dst})
	if err != nil {
		return Job{}, err
	}
	text := fmt.Sprintf("%q in %s, dst %s", l.Text(), zone, dst)
	return Job{Text: text, Schedule: s, Fixed: l.Fixed(), Instants: List(l.Instants(list, dst)), Policy: p}, nil
}

// EverySecond makes jobs that run once in a few seconds, wild-card ones and fixed ones.
func EverySecond(r *rand.Rand, n int) ([]Job, error) {
	var jobs []Job
	for i := range n {
		step := []int{1, 2, 3, 5, 10, 15, 30}[r.IntN(7)]
		text, fixed := fmt.Sprintf("@every %ds", step), false
		if i%2 == 0 {
			text, fixed = fmt.Sprintf("0-59/%d 0-59 0-23 * * *", step), true
		}
		s, err := schedule.Parse(text, schedule.Options{Zone: time.UTC, Seconds: true})
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, Job{Text: fmt.Sprintf("%q", text), Schedule: s, Fixed: fixed, Instants: Seconds(step), Policy: RandomPolicy(r)})
	}
	return jobs, nil
}
