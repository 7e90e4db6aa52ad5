package kubelet

import (
	"context"
	"fmt"
	"slices"
	"strconv"
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
		stopping := p.stopping
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

// Kill sends a signal to a container behind the pod's back.
func (p *Pod) Kill(ctx context.Context, container, signal string) error {
	_, err := p.engine.Do(ctx, "kill", "--signal", signal, p.Container(container))
	return err
}

// Stop ends the pod as a kubelet does: the application's containers first, then the
// sidecars in reverse order, each with SIGTERM and what is left of the grace period.
// It removes everything and returns the exit code of every container.
func (p *Pod) Stop(ctx context.Context) (map[string]int, error) {
	p.mu.Lock()
	p.stopping = true
	p.mu.Unlock()
	grace := int64(30)
	if p.spec.TerminationGracePeriodSeconds != nil {
		grace = *p.spec.TerminationGracePeriodSeconds
	}
	order := slices.Clone(p.spec.Containers)
	for _, c := range slices.Backward(p.spec.InitContainers) {
		if sidecar(c) {
			order = append(order, c)
		}
	}
	codes := map[string]int{}
	deadline := time.Now().Add(time.Duration(grace) * time.Second)
	var failed error
	for _, c := range order {
		left := max(2, int(time.Until(deadline).Seconds()))
		if _, err := p.engine.Do(ctx, "stop", "-t", strconv.Itoa(left), p.Container(c.Name)); err != nil {
			failed = err
			continue
		}
		p.happened(c.Name, "stopped")
		code, err := p.engine.Do(ctx, "inspect", "-f", "{{.State.ExitCode}}", p.Container(c.Name))
		if err != nil {
			failed = err
			continue
		}
		codes[c.Name], failed = mustAtoi(code, failed)
	}
	p.cancel()
	p.wg.Wait()
	p.remove(ctx)
	return codes, failed
}

func mustAtoi(s string, earlier error) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, err
	}
	return n, earlier
}

func (p *Pod) remove(ctx context.Context) {
	for _, c := range slices.Concat(p.spec.InitContainers, p.spec.Containers) {
		p.engine.Do(ctx, "rm", "-f", "-v", p.Container(c.Name))
	}
	p.engine.Do(ctx, "rm", "-f", "-v", p.Name)
	for _, v := range p.spec.Volumes {
		p.engine.Do(ctx, "volume", "rm", "-f", p.volume(v.Name))
	}
}
