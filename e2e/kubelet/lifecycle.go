package kubelet

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// The first pause before a restart; a kubelet waits ten seconds, tests need not.
const backOff = 200 * time.Millisecond

// finish runs an init container to its end, again and again until it succeeds.
func (p *Pod) finish(ctx context.Context, c corev1.Container) error {
	args, err := p.arguments(c)
	if err != nil {
		return err
	}
	if _, err := p.engine.Do(ctx, args...); err != nil {
		return err
	}
	p.happened(c.Name, "started")
	for pause := backOff; ; pause *= 2 {
		code, err := p.engine.Do(ctx, "wait", p.Container(c.Name))
		if err != nil {
			return err
		}
		p.happened(c.Name, "exited "+code)
		if code == "0" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("init container %s: %w", c.Name, ctx.Err())
		case <-time.After(pause):
		}
		if _, err := p.engine.Do(ctx, "start", p.Container(c.Name)); err != nil {
			return err
		}
	}
}

// launch starts a container and keeps it running and probed until the pod stops.
func (p *Pod) launch(ctx, run context.Context, c corev1.Container) error {
	args, err := p.arguments(c)
	if err != nil {
		return err
	}
	if _, err := p.engine.Do(ctx, args...); err != nil {
		return err
	}
	p.happened(c.Name, "started")
	p.wg.Go(func() { p.supervise(run, c) })
	p.wg.Go(func() { p.probe(run, c) })
	p.wg.Go(func() { p.live(run, c) })
	return nil
}

func (p *Pod) supervise(run context.Context, c corev1.Container) {
	for pause := backOff; ; pause = min(2*pause, 5*time.Second) {
		code, err := p.engine.Do(run, "wait", p.Container(c.Name))
		if err != nil {
			return
		}
		p.happened(c.Name, "exited "+code)
		p.mu.Lock()
		stopping := p.stopping || p.final(c, code)
		p.over[c.Name] = stopping
		p.ready[c.Name] = false
		p.mu.Unlock()
		if stopping {
			return
		}
		select {
		case <-run.Done():
			return
		case <-time.After(pause):
		}
		if _, err := p.engine.Do(run, "start", p.Container(c.Name)); err != nil {
			return
		}
		p.happened(c.Name, "restarted")
	}
}

// final says whether a container that ended is not started again.
func (p *Pod) final(c corev1.Container, code string) bool {
	switch {
	case sidecar(c):
		return false
	case p.spec.RestartPolicy == corev1.RestartPolicyNever:
		return true
	}
	return p.spec.RestartPolicy == corev1.RestartPolicyOnFailure && code == "0"
}

// Completed is true when all application containers of a Job's pod have ended: now a kubelet stops its sidecars.
func (p *Pod) Completed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.spec.Containers {
		if !p.over[c.Name] {
			return false
		}
	}
	return true
}

// Kill sends a signal to a container behind the pod's back.
func (p *Pod) Kill(ctx context.Context, container, signal string) error {
	_, err := p.engine.Do(ctx, "kill", "--signal", signal, p.Container(container))
	return err
}

// Stop ends the pod as a kubelet does: the application's containers at once, then the sidecars in reverse order, each with
// SIGTERM and what is left of the grace period. It removes everything and returns the exit code of every container.
func (p *Pod) Stop(ctx context.Context) (map[string]int, error) {
	p.mu.Lock()
	p.stopping = true
	p.mu.Unlock()
	grace := int64(30)
	if p.spec.TerminationGracePeriodSeconds != nil {
		grace = *p.spec.TerminationGracePeriodSeconds
	}
	deadline := time.Now().Add(time.Duration(grace) * time.Second)
	s := stop{pod: p, deadline: deadline, codes: map[string]int{}}
	var together sync.WaitGroup
	for _, c := range p.spec.Containers {
		together.Go(func() { s.container(ctx, c.Name) })
	}
	together.Wait()
	for _, c := range slices.Backward(p.spec.InitContainers) {
		if sidecar(c) {
			s.container(ctx, c.Name)
		}
	}
	p.cancel()
	p.wg.Wait()
	p.remove(ctx)
	return s.codes, s.failed
}

// stop is a pod's end under way.
type stop struct {
	pod      *Pod
	deadline time.Time

	mu     sync.Mutex // guards what follows
	codes  map[string]int
	failed error
}

func (s *stop) container(ctx context.Context, name string) {
	code, at, err := s.pod.end(ctx, name, max(2, int(time.Until(s.deadline).Seconds())))
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.failed = err
		return
	}
	s.codes[name] = code
	s.pod.happened(name, "stopped")
	said := s.pod.AllLogs(name)
	s.pod.mu.Lock()
	defer s.pod.mu.Unlock()
	s.pod.ended[name], s.pod.said[name] = at, said
}

// end stops one container and tells its exit code and when its process was gone.
func (p *Pod) end(ctx context.Context, name string, grace int) (code int, at time.Time, err error) {
	if _, err := p.engine.Do(ctx, "stop", "-t", strconv.Itoa(grace), p.Container(name)); err != nil {
		return 0, at, err
	}
	text, err := p.engine.Do(ctx, "inspect", "-f", "{{.State.ExitCode}} {{.State.FinishedAt}}", p.Container(name))
	if err != nil {
		return 0, at, err
	}
	number, when, _ := strings.Cut(text, " ")
	if code, err = strconv.Atoi(number); err != nil {
		return 0, at, err
	}
	// Engines write this time in more ways than one; only tests about time need it.
	if at, err = time.Parse(time.RFC3339Nano, when); err != nil {
		at = time.Now()
	}
	return code, at, nil
}

func (p *Pod) remove(ctx context.Context) {
	for _, c := range slices.Concat(p.spec.InitContainers, p.spec.Containers) {
		p.engine.Do(ctx, "rm", "-f", "-v", p.Container(c.Name))
	}
	for _, name := range p.later {
		p.engine.Do(ctx, "rm", "-f", "-v", p.Container(name))
	}
	p.engine.Do(ctx, "rm", "-f", "-v", p.Name)
	for _, v := range p.spec.Volumes {
		p.engine.Do(ctx, "volume", "rm", "-f", p.volume(v.Name))
	}
	if p.wantsAccount() {
		p.engine.Do(ctx, "volume", "rm", "-f", p.volume(accountVolume))
	}
}
