package kubelet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// waitStarted blocks until the startup probe of a native sidecar has succeeded: what
// comes after it in the pod waits as well.
func (p *Pod) waitStarted(ctx context.Context, c corev1.Container) error {
	if c.StartupProbe == nil {
		return nil
	}
	var last error
	for range max(1, c.StartupProbe.FailureThreshold) {
		if last = p.ask(ctx, c, c.StartupProbe); last == nil {
			p.happened(c.Name, "is up")
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(seconds(c.StartupProbe.PeriodSeconds)):
		}
	}
	return fmt.Errorf("startup probe of %s: %w", c.Name, last)
}

// probe asks readiness and liveness until the pod ends.
func (p *Pod) probe(run context.Context, c corev1.Container) {
	if c.ReadinessProbe == nil {
		return
	}
	// A kubelet's periods are whole seconds; the answers matter here, not the waiting.
	tick := time.NewTicker(min(250*time.Millisecond, seconds(c.ReadinessProbe.PeriodSeconds)))
	defer tick.Stop()
	for {
		err := p.ask(run, c, c.ReadinessProbe)
		p.mu.Lock()
		was := p.ready[c.Name]
		p.ready[c.Name] = err == nil
		p.mu.Unlock()
		if !was && err == nil {
			p.happened(c.Name, "is ready")
		}
		select {
		case <-run.Done():
			return
		case <-tick.C:
		}
	}
}

// live restarts a container whose liveness probe failed as often in a row as it may.
func (p *Pod) live(run context.Context, c corev1.Container) {
	if c.LivenessProbe == nil {
		return
	}
	tick := time.NewTicker(seconds(c.LivenessProbe.PeriodSeconds))
	defer tick.Stop()
	failures := int32(0)
	for {
		select {
		case <-run.Done():
			return
		case <-tick.C:
		}
		failures++
		if p.ask(run, c, c.LivenessProbe) == nil {
			failures = 0
		}
		if failures < max(3, c.LivenessProbe.FailureThreshold) || run.Err() != nil {
			continue
		}
		failures = 0
		p.happened(c.Name, "is not alive")
		if err := p.Kill(run, c.Name, "KILL"); err != nil {
			return
		}
	}
}

func seconds(n int32) time.Duration { return time.Duration(max(1, n)) * time.Second }

// ask runs one probe. Only what our manifests use is known, and the rest is refused
// rather than passed in silence.
func (p *Pod) ask(ctx context.Context, c corev1.Container, probe *corev1.Probe) error {
	if probe.HTTPGet == nil {
		return errors.New("only httpGet probes are known")
	}
	if probe.HTTPGet.Host != "" {
		return errors.New("a probe with a host is refused by the baseline standard")
	}
	port, err := portOf(c, probe.HTTPGet.Port)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, seconds(probe.TimeoutSeconds))
	defer cancel()
	url := "http://" + net.JoinHostPort(p.IP, strconv.Itoa(port)) + probe.HTTPGet.Path
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode >= 400 {
		body, err := io.ReadAll(io.LimitReader(resp.Body, 500))
		return errors.Join(fmt.Errorf("%s: %s: %s", url, resp.Status, body), err)
	}
	return nil
}

func portOf(c corev1.Container, port intstr.IntOrString) (int, error) {
	if port.Type == intstr.Int {
		return port.IntValue(), nil
	}
	for _, cp := range c.Ports {
		if cp.Name == port.StrVal {
			return int(cp.ContainerPort), nil
		}
	}
	return 0, fmt.Errorf("container %s has no port named %s", c.Name, port.StrVal)
}
