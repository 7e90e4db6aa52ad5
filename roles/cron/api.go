package cron

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/sidecar-kit/sidecar/roles/cron/dispatch"
	"github.com/sidecar-kit/sidecar/roles/cron/job"
)

// api is what the admin port offers beside probes and metrics: the table, the
// history, and with a token starting, stopping and suspending. No request can
// say what is run.
type api struct {
	d         *dispatch.Dispatcher
	tokenFile string // empty refuses writes
	remote    bool   // not only loopback
	now       func() time.Time
}

func (a *api) register(handle func(pattern string, h http.Handler)) {
	read := func(pattern string, h http.HandlerFunc) { handle(pattern, a.guard(false, h)) }
	write := func(pattern string, h http.HandlerFunc) { handle(pattern, a.guard(true, h)) }
	read("GET /api/v1/jobs", a.list)
	read("GET /api/v1/jobs/{name}", a.get)
	read("GET /api/v1/jobs/{name}/next", a.next)
	read("GET /api/v1/jobs/{name}/history", a.history)
	write("POST /api/v1/jobs/{name}/run", a.run)
	write("POST /api/v1/jobs/{name}/stop", a.stop)
	write("POST /api/v1/jobs/{name}/suspend", a.suspend(true))
	write("POST /api/v1/jobs/{name}/resume", a.suspend(false))
}

// guard lets loopback read, and whoever has the token do the rest.
func (a *api) guard(write bool, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local := fromLoopback(r)
		switch {
		case !local && !a.remote:
			fail(w, http.StatusForbidden, "the API answers on loopback only; --api-remote opens it to who has the token")
		case write && a.tokenFile == "":
			fail(w, http.StatusForbidden, "changes need --api-token-file")
		case (write || !local) && !a.allowed(r):
			w.Header().Set("WWW-Authenticate", "Bearer")
			fail(w, http.StatusUnauthorized, "want the token of --api-token-file: Authorization: Bearer TOKEN")
		default:
			next(w, r)
		}
	})
}

func fromLoopback(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// allowed compares the token in constant time. The file is read each time, so that a new token needs no restart.
func (a *api) allowed(r *http.Request) bool {
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || a.tokenFile == "" {
		return false
	}
	data, err := os.ReadFile(a.tokenFile)
	want := strings.TrimSpace(string(data))
	if err != nil || want == "" {
		return false
	}
	x, y := sha256.Sum256([]byte(strings.TrimSpace(given))), sha256.Sum256([]byte(want))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// jobView is a job in an answer. The command is left out: it may hold secrets,
// and who may read the crontab reads the crontab.
type jobView struct {
	Name      string     `json:"name"`
	Schedule  string     `json:"schedule"`
	Zone      string     `json:"zone"`
	Kind      string     `json:"kind"`
	Where     string     `json:"where"`
	Next      *time.Time `json:"next"`
	Suspended bool       `json:"suspended"`
	Enabled   bool       `json:"enabled"`
	Running   int        `json:"running"`
	Waiting   int        `json:"waiting"`
	Last      *lastView  `json:"last,omitempty"`

	Runs    map[string]int64 `json:"runs"`
	Skipped map[string]int64 `json:"skipped"`
	Missed  int64            `json:"missed"`
	Retries int64            `json:"retries"`
}

type lastView struct {
	Start    time.Time  `json:"start"`
	End      *time.Time `json:"end,omitempty"`
	Outcome  string     `json:"outcome,omitempty"`
	Code     int        `json:"code"`
	Took     float64    `json:"took_seconds"`
	Success  *time.Time `json:"success,omitempty"`
	Failures int64      `json:"consecutive_failures"`
}

func view(i dispatch.Info) jobView {
	v := jobView{
		Name: i.Job.Name, Schedule: i.Job.Spec, Zone: i.Job.When.Zone().String(), Kind: kindName(i.Job.Kind), Where: i.Job.Where,
		Next: instant(i.Next), Suspended: i.Suspended, Enabled: !i.Job.Disabled, Running: i.Running, Waiting: i.Waiting,
		Runs: map[string]int64{}, Skipped: map[string]int64{}, Missed: i.Stats.Missed, Retries: i.Stats.Retries,
	}
	for _, o := range dispatch.Outcomes() {
		if n := i.Stats.Runs[o]; n > 0 {
			v.Runs[o.String()] = n
		}
	}
	for _, r := range dispatch.Reasons() {
		if n := i.Stats.Skipped[r]; n > 0 {
			v.Skipped[r.String()] = n
		}
	}
	if s := &i.Stats; !s.LastStart.IsZero() {
		v.Last = &lastView{Start: s.LastStart.UTC(), End: instant(s.LastEnd), Success: instant(s.LastSuccess), Failures: s.Failures}
		if !s.LastEnd.IsZero() {
			v.Last.Outcome, v.Last.Code, v.Last.Took = s.LastOutcome.String(), s.LastCode, s.LastTook.Seconds()
		}
	}
	return v
}

func kindName(k job.Kind) string { return [...]string{"shell", "exec", "http", "role"}[k] }

func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func (a *api) list(w http.ResponseWriter, _ *http.Request) {
	jobs, t, err := a.d.List()
	if err != nil {
		refuse(w, err)
		return
	}
	views := make([]jobView, len(jobs))
	for i := range jobs {
		views[i] = view(jobs[i])
	}
	answer(w, http.StatusOK, map[string]any{"jobs": views, "running": t.Running, "waiting": t.Waiting, "leading": t.Leading})
}

func (a *api) get(w http.ResponseWriter, r *http.Request) {
	i, _, err := a.d.Find(r.PathValue("name"))
	if err != nil {
		refuse(w, err)
		return
	}
	answer(w, http.StatusOK, view(i))
}

const mostNext = 1000

func (a *api) next(w http.ResponseWriter, r *http.Request) {
	n := 10
	if text := r.URL.Query().Get("n"); text != "" {
		if _, err := fmt.Sscanf(text, "%d", &n); err != nil || n < 1 || n > mostNext {
			fail(w, http.StatusBadRequest, fmt.Sprintf("n=%s: want 1 to %d", text, mostNext))
			return
		}
	}
	i, _, err := a.d.Find(r.PathValue("name"))
	if err != nil {
		refuse(w, err)
		return
	}
	answer(w, http.StatusOK, map[string]any{"job": i.Job.Name, "next": upcoming(i.Job, a.now(), n)})
}

type runView struct {
	Run       string    `json:"run"`
	Scheduled time.Time `json:"scheduled"`
	Started   time.Time `json:"started"`
	Took      float64   `json:"took_seconds"`
	Cause     string    `json:"cause"`
	Outcome   string    `json:"outcome"`
	Code      int       `json:"code"`
	Signal    string    `json:"signal,omitempty"`
	Attempts  int       `json:"attempts"`
	Error     string    `json:"error,omitempty"`
	CPU       float64   `json:"cpu_seconds"`
	Output    string    `json:"output,omitempty"`
}

func (a *api) history(w http.ResponseWriter, r *http.Request) {
	i, records, err := a.d.Find(r.PathValue("name"))
	if err != nil {
		refuse(w, err)
		return
	}
	runs := make([]runView, 0, len(records))
	for k := len(records) - 1; k >= 0; k-- {
		h := records[k]
		runs = append(runs, runView{
			Run: h.Run, Scheduled: h.Scheduled.UTC(), Started: h.Started.UTC(), Took: h.Took.Seconds(), Cause: h.Cause.String(),
			Outcome: h.Outcome.String(), Code: h.Code, Signal: h.Signal, Attempts: h.Attempts, Error: h.Err,
			CPU: h.CPU.Seconds(), Output: strings.ToValidUTF8(string(h.Tail), "\uFFFD"),
		})
	}
	answer(w, http.StatusOK, map[string]any{"job": i.Job.Name, "runs": runs})
}

func (a *api) run(w http.ResponseWriter, r *http.Request) {
	id, err := a.d.Trigger(r.PathValue("name"))
	if err != nil {
		refuse(w, err)
		return
	}
	answer(w, http.StatusAccepted, map[string]any{"run": id, "queued": id == ""})
}

func (a *api) stop(w http.ResponseWriter, r *http.Request) {
	n, err := a.d.StopRuns(r.PathValue("name"))
	if err != nil {
		refuse(w, err)
		return
	}
	answer(w, http.StatusAccepted, map[string]any{"stopping": n})
}

func (a *api) suspend(on bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := a.d.Suspend(r.PathValue("name"), on); err != nil {
			refuse(w, err)
			return
		}
		answer(w, http.StatusOK, map[string]any{"suspended": on})
	}
}

func refuse(w http.ResponseWriter, err error) {
	status := http.StatusConflict
	switch {
	case errors.Is(err, dispatch.ErrUnknown):
		status = http.StatusNotFound
	case errors.Is(err, dispatch.ErrEnded):
		status = http.StatusServiceUnavailable
	}
	fail(w, status, err.Error())
}

func fail(w http.ResponseWriter, status int, text string) {
	answer(w, status, map[string]string{"error": text})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(v) // the client is gone
}
