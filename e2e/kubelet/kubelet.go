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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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

	Files   map[string]map[string]string // content of ConfigMaps and Secrets, by name and key
	More    map[string]string            // variables beside those of the manifest
	Account *Account                     // what pods that ask for a service account's token get
	Hosts   map[string]string            // addresses of names outside
	Meta    metav1.ObjectMeta            // of the pod: what the downward API tells of it
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
	later  []string // init containers that ran again
	wg     sync.WaitGroup

	mu       sync.Mutex      // guards what follows
	over     map[string]bool // application containers that ended for good
	events   []Event
	ready    map[string]bool
	ended    map[string]time.Time
	said     map[string]string // logs of containers that are removed
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
	p := &Pod{Name: name, engine: e, spec: spec, opts: opts, cancel: cancel, ready: map[string]bool{}, ended: map[string]time.Time{}, said: map[string]string{}, over: map[string]bool{}}
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

// Finish runs the init containers of the pod's spec once more, as the next pod of a Deployment with a volume that
// survives would.
func (p *Pod) Finish(ctx context.Context, spec corev1.PodSpec, opts Options) error {
	p.opts = opts
	for _, v := range p.spec.Volumes {
		if v.Image != nil {
			if err := p.imageVolume(ctx, v); err != nil {
				return err
			}
		}
	}
	for _, c := range spec.InitContainers {
		c.Name += fmt.Sprint("-again-", len(p.later))
		p.later = append(p.later, c.Name)
		if err := p.finish(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

func sidecar(c corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// sandbox makes the network namespace and the volumes, with the modes a kubelet gives
// to an emptyDir of a pod with an fsGroup.
func (p *Pod) sandbox(ctx context.Context) error {
	args := []string{"run", "-d", "--name", p.Name}
	for name, ip := range p.opts.Hosts {
		args = append(args, "--add-host", name+":"+ip)
	}
	if _, err := p.engine.Do(ctx, append(args, p.opts.Base, "sleep", "infinity")...); err != nil {
		return err
	}
	ip, err := p.engine.IP(ctx, p.Name)
	if err != nil {
		return err
	}
	p.IP = ip
	for _, v := range p.spec.Volumes {
		files := v.ConfigMap != nil || v.Secret != nil || v.DownwardAPI != nil
		if v.EmptyDir == nil && v.PersistentVolumeClaim == nil && v.Image == nil && !files {
			return fmt.Errorf("volume %s: only emptyDir, claims, ConfigMaps, Secrets, the downward API and images are known", v.Name)
		}
		if _, err := p.engine.Do(ctx, "volume", "create", p.volume(v.Name)); err != nil {
			return err
		}
		if _, err := p.engine.Do(ctx, "run", "--rm", "-v", p.volume(v.Name)+":/v", p.opts.Base,
			"sh", "-c", "chown 0:"+p.group()+" /v && chmod 2777 /v"); err != nil {
			return err
		}
		if v.Image != nil {
			if err := p.imageVolume(ctx, v); err != nil {
				return err
			}
		}
		if files {
			if err := p.project(ctx, v); err != nil {
				return err
			}
		}
	}
	return p.accountVolume(ctx)
}

// imageVolume fills a volume with the files of an image, which nobody can change because it is mounted read-only.
func (p *Pod) imageVolume(ctx context.Context, v corev1.Volume) error {
	image, ok := p.opts.Images[v.Image.Reference]
	if !ok {
		return fmt.Errorf("volume %s: no stand-in for image %s", v.Name, v.Image.Reference)
	}
	dir, err := os.MkdirTemp("", "image-volume-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	from := p.volume(v.Name) + "-files"
	if _, err := p.engine.Do(ctx, "create", "--name", from, image.Ref, "none"); err != nil {
		return err
	}
	_, err = p.engine.Do(ctx, "cp", "-a", from+":/payload/.", dir)
	if _, rmErr := p.engine.Do(ctx, "rm", from); err == nil {
		err = rmErr
	}
	if err != nil {
		return err
	}
	_, err = p.engine.Do(ctx, "run", "--rm", "-v", dir+":/from:ro", "-v", p.volume(v.Name)+":/v", p.opts.Base,
		"sh", "-c", "cp -a /from/. /v/ && chown 0:0 /v && chmod 755 /v")
	return err
}

func (p *Pod) volume(name string) string { return p.Name + "-" + name }

// Container is the engine's name of a container.
func (p *Pod) Container(name string) string { return p.Name + "-" + name }

// Logs of a container, for messages of failed tests.
func (p *Pod) Logs(container string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if said, ok := p.said[container]; ok {
		return said[max(0, len(said)-4000):]
	}
	return p.engine.Logs(p.Container(container))
}

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
	if sc := p.spec.SecurityContext; sc != nil && sc.RunAsUser != nil {
		user = fmt.Sprintf("%d:%d", *sc.RunAsUser, *sc.RunAsUser)
	}
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
		if e.ValueFrom != nil {
			var err error
			if value, err = p.tell(e.ValueFrom.FieldRef); err != nil {
				return nil, fmt.Errorf("container %s: %s: %w", c.Name, e.Name, err)
			}
		}
		if v, ok := p.opts.Env[e.Name]; ok {
			value = v
		}
		args = append(args, "-e", e.Name+"="+value)
	}
	args = append(args, p.account()...)
	for name, value := range p.opts.More {
		args = append(args, "-e", name+"="+value)
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

// AllLogs are the logs from the beginning, also after Stop.
func (p *Pod) AllLogs(container string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if said, ok := p.said[container]; ok {
		return said
	}
	return p.engine.AllLogs(p.Container(container))
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

// Ended is when the process of a container that Stop stopped was gone.
func (p *Pod) Ended(name string) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended[name]
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
