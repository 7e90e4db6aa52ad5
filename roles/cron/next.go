package cron

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sidecar-kit/sidecar/internal/exit"
	"github.com/sidecar-kit/sidecar/internal/order"
	"github.com/sidecar-kit/sidecar/roles/cron/crontab"
	"github.com/sidecar-kit/sidecar/roles/cron/job"
	"github.com/sidecar-kit/sidecar/roles/cron/shell"
)

// start is one start in the future.
type start struct {
	Job   string    `json:"job,omitempty"`
	UTC   time.Time `json:"utc"`
	Local string    `json:"local"`
	Note  string    `json:"note,omitempty"`
}

// upcoming are the next n starts of a job, without jitter.
func upcoming(j *job.Job, from time.Time, n int) []start {
	list := []start{}
	for at := j.When.Next(from); !at.IsZero() && len(list) < n; at = j.When.Next(at) {
		list = append(list, start{UTC: at.UTC(), Local: at.In(j.When.Zone()).Format("Mon 2006-01-02 15:04:05 -0700 MST"), Note: j.When.Note(at)})
	}
	return list
}

// preview is what the commands test and next know.
type preview struct {
	cfg  Config
	n    int
	job  string
	from string
	json bool
}

func (p *preview) read(args []string) ([]*job.Job, []crontab.Problem, error) {
	p.cfg.Crontabs = args
	jobs, warnings, err := p.cfg.load()
	if err != nil {
		return nil, warnings, &exit.Error{Code: exit.Usage, Err: err}
	}
	return jobs, warnings, nil
}

// test reads crontabs and tells what is wrong, and what may not be meant.
func (p *preview) test(_ context.Context, out io.Writer, args []string) error {
	jobs, warnings, err := p.read(args)
	for _, w := range warnings {
		if _, werr := fmt.Fprintf(out, "%s (warning)\n", w.String()); werr != nil {
			return werr
		}
	}
	if err != nil {
		return err
	}
	more, err := unreadable(out, jobs)
	if err != nil {
		return err
	}
	if len(jobs) == 0 {
		more++
		fmt.Fprintln(out, "there are no jobs (warning)")
	}
	now := p.cfg.now()
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "JOB\tWHERE\tSCHEDULE\tNEXT")
	for _, j := range jobs {
		next := "never by itself"
		if list := upcoming(j, now, 1); len(list) > 0 {
			next = list[0].Local
		}
		if j.When.Reboot() {
			next = "at the start"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", j.Name, j.Where, j.Spec, next)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "ok: %d jobs, %d warnings\n", len(jobs), len(warnings)+more)
	return err
}

// mostListed bounds what is sorted in memory, per job.
const mostListed = 10_000

// unreadable warns of commands that a POSIX shell cannot read, before it has to.
func unreadable(out io.Writer, jobs []*job.Job) (n int, err error) {
	for _, j := range jobs {
		if j.Kind != job.Shell || j.Shell != "" && !slices.Contains([]string{"sh", "dash", "ash", "embedded"}, path.Base(j.Shell)) {
			continue
		}
		if problem := shell.Check(j.Command); problem != nil {
			n++
			if _, err := fmt.Fprintf(out, "%s: the command is no text for a shell: %v (warning)\n", j.Where, problem); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// next prints the next starts of all jobs in their order, or of one.
func (p *preview) next(_ context.Context, out io.Writer, args []string) error {
	from := p.cfg.now()
	if p.from != "" {
		var err error
		if from, err = time.Parse(time.RFC3339, p.from); err != nil {
			return exit.Usagef("--from %q: want an instant such as 2026-03-29T00:00:00Z", p.from)
		}
	}
	if p.n < 1 || p.n > mostListed {
		return exit.Usagef("-n %d: want 1 to %d", p.n, mostListed)
	}
	jobs, _, err := p.read(args)
	if err != nil {
		return err
	}
	if p.job != "" {
		if jobs = slices.DeleteFunc(jobs, func(j *job.Job) bool { return j.Name != p.job }); len(jobs) == 0 {
			return exit.Usagef("--job %s: there is no such job; sidecar cron test lists them", p.job)
		}
	}
	list := merged(jobs, from, p.n)
	if p.json {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(list)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, s := range list {
		cells := []string{s.UTC.Format(time.RFC3339), s.Local, s.Job, s.Note}
		if s.Note == "" {
			cells = cells[:3] // no spaces at the end of a line
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	if len(list) == 0 {
		return errors.Join(w.Flush(), &exit.Error{Code: exit.Failed, Err: errors.New("no job is ever due")})
	}
	return w.Flush()
}

// merged are the next n starts of several jobs.
func merged(jobs []*job.Job, from time.Time, n int) []start {
	list := []start{}
	for _, j := range jobs {
		if j.Disabled {
			continue
		}
		mine := upcoming(j, from, n)
		for i := range mine {
			mine[i].Job = j.Name
		}
		list = append(list, mine...)
	}
	order.Sort(list, func(a, b start) int { return a.UTC.Compare(b.UTC) })
	return list[:min(n, len(list))]
}
