package gitsync

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/sidecar-kit/sidecar/internal/backoff"
	"github.com/sidecar-kit/sidecar/internal/notify"
	"github.com/sidecar-kit/sidecar/internal/publish"
	"github.com/sidecar-kit/sidecar/internal/role"
)

// target is somebody who is told of each published tree.
type target struct {
	notify.Target
	kind  string // for metrics
	env   role.Env
	queue *notify.Queue
}

// Notify lets what has begun come to its end within the drain time when the role is asked to stop.
func (t *target) Notify(ctx context.Context, e notify.Event) error {
	ctx, cancel := t.env.Grace(ctx)
	defer cancel()
	return t.Target.Notify(ctx, e)
}

// makeTargets lists who is told.
func (s *Sync) makeTargets() []*target {
	h := s.cfg.Hooks
	var out []*target
	add := func(kind string, n notify.Target, again time.Duration) {
		t := &target{Target: n, kind: kind, env: s.env}
		t.queue = notify.NewQueue(t, notify.Options{
			Log:     s.log,
			Backoff: backoff.Policy{Min: again, Max: max(again, time.Minute), Jitter: 0.1},
			OnDone:  func(e notify.Event, _ time.Duration, err error) { s.told(t, e, err) },
		})
		out = append(out, t)
	}
	if h.Exec != "" {
		add("exechook", notify.Exec{Command: h.Exec, Env: hookEnv(), Timeout: h.ExecTimeout, Scrub: s.door.scrub, Log: s.log}, h.ExecBackoff)
	}
	if h.Webhook.Reveal() != "" {
		add("webhook", notify.HTTP{
			URL: h.Webhook, Method: h.WebhookMethod, Status: h.WebhookStatus, Timeout: h.WebhookTimeout, Header: "Gitsync-Hash",
		}, h.WebhookBackoff)
	}
	if h.SignalProcess != "" {
		if sig, err := parseSignal(h.Signal); err == nil {
			if number, ok := sig.(syscall.Signal); ok {
				add("signal", notify.Signal{Process: h.SignalProcess, Signal: number}, time.Second)
			}
		}
	}
	return out
}

// startTargets works off the queues; the result waits for their end.
func (s *Sync) startTargets(ctx context.Context) func() {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for _, t := range s.targets {
		wg.Go(func() {
			if err := t.queue.Run(ctx); err != nil {
				s.log.Error().AnErr("err", err).Str("target", t.Name()).Msg("telling ended")
			}
		})
	}
	return func() {
		cancel()
		wg.Wait()
	}
}

// send puts the published tree into the queue of each target that was not told of it yet.
func (s *Sync) send() {
	e := notify.Event{Version: s.st.Commit.String(), Path: s.place}
	for _, t := range s.targets {
		if s.notified(t) != e.Version {
			t.queue.Send(e)
		}
	}
}

// tellAll tells each target once, for --once.
func (s *Sync) tellAll(ctx context.Context) error {
	e := notify.Event{Version: s.st.Commit.String(), Path: s.place}
	errs := []error{s.prePublish}
	for _, t := range s.targets {
		if s.notified(t) == e.Version {
			continue
		}
		err := t.Notify(ctx, e)
		s.told(t, e, err)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (s *Sync) notified(t *target) string { return s.ledger.last(t.Name()) }

// told notes an attempt, and a success also on the disk, so that a restart tells nobody twice.
func (s *Sync) told(t *target, e notify.Event, err error) {
	s.metrics.hook(t.kind, err)
	if err != nil {
		s.log.Warn().AnErr("err", err).Str("target", t.Name()).Str("commit", e.Version).Msg("telling failed")
		return
	}
	s.log.Info().Str("target", t.Name()).Str("commit", e.Version).Msg("told")
	if err := s.ledger.note(t.Name(), e.Version); err != nil {
		s.log.Warn().AnErr("err", err).Msg("cannot note who was told; after a restart they are told again")
	}
}

// ledger remembers the last commit that each target was told of.
type ledger struct {
	mu   sync.Mutex
	path string
	told map[string]string
}

// open reads the ledger; one that makes no sense is empty.
func (l *ledger) open(path string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.path = path
	if l.told != nil {
		return
	}
	l.told = make(map[string]string)
	data, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(data, &l.told) != nil || l.told == nil {
		l.told = make(map[string]string)
	}
}

func (l *ledger) last(name string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.told[name]
}

func (l *ledger) note(name, version string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told[name] = version
	return l.write()
}

// save writes the ledger again, where its folder was made afresh.
func (l *ledger) save() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.told) == 0 {
		return nil
	}
	return l.write()
}

func (l *ledger) write() error {
	return publish.File(l.path, 0o644, func(w io.Writer) error { return json.NewEncoder(w).Encode(l.told) })
}
