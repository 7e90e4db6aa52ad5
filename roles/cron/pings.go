package cron

import (
	"github.com/sidecar-kit/sidecar/roles/cron/dispatch"
	"github.com/sidecar-kit/sidecar/roles/cron/ping"
)

// tellDeadMan makes a ping of the start or the end of a run.
func tellDeadMan(p *ping.Pinger) func(dispatch.Event) {
	return func(ev dispatch.Event) {
		m := ping.Message{Job: ev.Job.Name, Run: ev.Run, Target: ev.Job.Policy.Ping, Event: ping.Start}
		if !ev.Started {
			m.Event, m.Body = ping.Success, ev.Result.Tail
			if !ev.OK {
				m.Event, m.Code = ping.Fail, ev.Result.Code
			}
		}
		p.Send(m)
	}
}
