// Package kubelet is the part of a kubelet that a pod's containers notice, for tests: it
// reads real manifests strictly, runs init containers in order, native sidecars before
// the application, the three probes, restarts with back-off, and the stop in reverse
// order with SIGTERM and grace. It schedules nothing and knows no API server.
package kubelet

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/sidecar-kit/sidecar/e2e/engine"
)

// Image is what stands in for an image name of a manifest.
type Image struct {
	Ref     string
	Command []string // replaces the manifest's command where the stand-in starts differently
	Binds   []string // host:container:mode
}

// Options say how this node differs from a real one.
type Options struct {
	Images map[string]Image
	Env    map[string]string // replaces the value of variables that the manifest sets
	User   string            // uid:gid forced on containers without runAsUser, as OpenShift does
	Base   string            // an image with a shell, for the pause container and volumes
}

// Event is something that happened to a container.
type Event struct {
	At        time.Time
	Container string
	What      string
}

// Pod is a running pod.
type Pod struct {
	Name, IP string

	engine engine.Engine
	spec   corev1.PodSpec
	opts   Options
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu       sync.Mutex // guards what follows
	events   []Event
	ready    map[string]bool
	stopping bool
}

// ReadDeployment decodes a manifest and refuses unknown fields.
func ReadDeployment(path string) (*appsv1.Deployment, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var d appsv1.Deployment
	if err := yaml.UnmarshalStrict(b, &d); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &d, nil
}

// Start runs the pod of a deployment until its application containers have been started.
// The pod must be stopped by Stop also when an error is returned with it.
func Start(ctx context.Context, e engine.Engine, name string, spec corev1.PodSpec, opts Options) (*Pod, error) {
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p := &Pod{Name: name, engine: e, spec: spec, opts: opts, cancel: cancel, ready: map[string]bool{}}
	if err := p.sandbox(ctx); err != nil {
		return p, err
	}
	for _, c := range spec.InitContainers {
		if sidecar(c) {
			if err := p.launch(ctx, run, c); err != nil {
				return p, err
			}
			if err := p.waitStarted(ctx, c); err != nil {
				return p, fmt.Errorf("%w\n%s", err, p.Logs(c.Name))
			}
			continue
		}
		if err := p.finish(ctx, c); err != nil {
			return p, err
		}
	}
	for _, c := range spec.Containers {
		if err := p.launch(ctx, run, c); err != nil {
			return p, err
		}
	}
	return p, nil
}

func sidecar(c corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// sandbox makes the network namespace and the volumes, with the modes a kubelet gives
// to an emptyDir of a pod with an fsGroup.
func (p *Pod) sandbox(ctx context.Context) error {
	if _, err := p.engine.Do(ctx, "run", "-d", "--name", p.Name, p.opts.Base, "sleep", "infinity"); err != nil {
		return err
	}
	ip, err := p.engine.IP(ctx, p.Name)
	if err != nil {
		return err
	}
	p.IP = ip
	group := "0"
	if sc := p.spec.SecurityContext; sc != nil && sc.FSGroup != nil {
		group = fmt.Sprint(*sc.FSGroup)
	}
	for _, v := range p.spec.Volumes {
		if v.EmptyDir == nil {
			return fmt.Errorf("volume %s: only emptyDir is known", v.Name)
		}
		if _, err := p.engine.Do(ctx, "volume", "create", p.volume(v.Name)); err != nil {
			return err
		}
		if _, err := p.engine.Do(ctx, "run", "--rm", "-v", p.volume(v.Name)+":/v", p.opts.Base,
			"sh", "-c", "chown 0:"+group+" /v && chmod 2777 /v"); err != nil {
			return err
		}
	}
	return nil
}

func (p *Pod) volume(name string) string { return p.Name + "-" + name }

// Container is the engine's name of a container.
func (p *Pod) Container(name string) string { return p.Name + "-" + name }

// Logs of a container, for messages of failed tests.
func (p *Pod) Logs(container string) string { return p.engine.Logs(p.Container(container)) }

// arguments of `run` that a container's spec amounts to.
func (p *Pod) arguments(c corev1.Container) ([]string, error) {
	image, ok := p.opts.Images[c.Image]
	if !ok {
		return nil, fmt.Errorf("container %s: no stand-in for image %s, have %v", c.Name, c.Image, slices.Sorted(maps.Keys(p.opts.Images)))
	}
	args := []string{"run", "-d", "--name", p.Container(c.Name), "--network", "container:" + p.Name}
	if sc := p.spec.SecurityContext; sc != nil && sc.FSGroup != nil {
		args = append(args, "--group-add", fmt.Sprint(*sc.FSGroup))
	}
	user := p.opts.User
	if sc := c.SecurityContext; sc != nil {
		if sc.ReadOnlyRootFilesystem != nil && *sc.ReadOnlyRootFilesystem {
			args = append(args, "--read-only")
		}
		if sc.AllowPrivilegeEscalation != nil && !*sc.AllowPrivilegeEscalation {
			args = append(args, "--security-opt", "no-new-privileges")
		}
		if sc.Capabilities != nil {
			for _, drop := range sc.Capabilities.Drop {
				args = append(args, "--cap-drop", string(drop))
			}
		}
		if sc.RunAsUser != nil {
			user = fmt.Sprintf("%d:%d", *sc.RunAsUser, *sc.RunAsUser)
		}
	}
	if user != "" {
		args = append(args, "--user", user)
	}
	if limit := c.Resources.Limits.Memory(); !limit.IsZero() {
		args = append(args, "--memory", fmt.Sprint(limit.Value()))
	}
	for _, e := range c.Env {
		value := e.Value
		if v, ok := p.opts.Env[e.Name]; ok {
			value = v
		}
		args = append(args, "-e", e.Name+"="+value)
	}
	for _, m := range c.VolumeMounts {
		mode := ""
		if m.ReadOnly {
			mode = ":ro"
		}
		args = append(args, "-v", p.volume(m.Name)+":"+m.MountPath+mode)
	}
	for _, bind := range image.Binds {
		args = append(args, "-v", bind)
	}
	command, rest := c.Command, c.Args
	if image.Command != nil {
		command, rest = image.Command, nil
	}
	if len(command) > 0 {
		args = append(args, "--entrypoint", command[0])
		rest = append(slices.Clone(command[1:]), rest...)
	}
	return append(append(args, image.Ref), rest...), nil
}

func (p *Pod) happened(container, what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, Event{time.Now(), container, what})
}

// Events so far, as "container what".
func (p *Pod) Events() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var lines []string
	for _, e := range p.events {
		lines = append(lines, e.Container+" "+e.What)
	}
	return lines
}

// Ready is true when every container that has to be ready is.
func (p *Pod) Ready() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range slices.Concat(p.spec.InitContainers, p.spec.Containers) {
		if c.ReadinessProbe != nil && !p.ready[c.Name] {
			return false
		}
	}
	return true
}

// ContainerReady is the last answer of one container's readiness probe.
func (p *Pod) ContainerReady(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ready[name]
}

// Describe is what a failed test wants to see.
func (p *Pod) Describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "events: %s\n", strings.Join(p.Events(), ", "))
	for _, c := range slices.Concat(p.spec.InitContainers, p.spec.Containers) {
		fmt.Fprintf(&b, "--- %s\n%s\n", c.Name, p.Logs(c.Name))
	}
	return b.String()
}
