package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

var proxyVariants = []string{"https-legacy/sidecar", "https-legacy/classic", "db-tunnel/sidecar", "db-tunnel/standalone"}

func TestProxyManifestsTuneTheContainer(t *testing.T) {
	const drain = 25 // seconds; the default of --drain-timeout
	for _, variant := range proxyVariants {
		c, init := container(t, variant, "proxy")
		if c.Image != image || c.Args[0] != "proxy" {
			t.Errorf("%s: %s %q", variant, c.Image, c.Args)
		}
		if p := c.StartupProbe; p == nil || p.PeriodSeconds != 1 || p.FailureThreshold != 30 || p.HTTPGet.Path != "/startupz" {
			t.Errorf("%s: startup probe %+v; want /startupz each second, 30 times", variant, p)
		}
		if c.ReadinessProbe.HTTPGet.Path != "/readyz" || c.LivenessProbe.HTTPGet.Path != "/livez" {
			t.Errorf("%s: probes ask %s and %s", variant, c.ReadinessProbe.HTTPGet.Path, c.LivenessProbe.HTTPGet.Path)
		}
		if c.Lifecycle != nil {
			t.Errorf("%s: a hook; the proxy needs none", variant)
		}
		native := c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
		if native != init || init != strings.HasSuffix(variant, "/sidecar") {
			t.Errorf("%s: init container %v, restartPolicy Always %v", variant, init, native)
		}
		_, spec := podSpec(t, variant)
		if grace := spec.TerminationGracePeriodSeconds; grace == nil || *grace < drain+30 {
			t.Errorf("%s: the grace period does not hold the drain of %d s and the application", variant, drain)
		}
		for _, v := range spec.Volumes {
			if v.Secret != nil && (v.Secret.DefaultMode == nil || *v.Secret.DefaultMode != 0o440) {
				t.Errorf("%s: secret %s may be read by more than the group", variant, v.Secret.SecretName)
			}
		}
	}
}

func TestProxyManifestsAreFoundByServices(t *testing.T) {
	for variant, file := range map[string]string{
		"https-legacy/sidecar": "https-legacy/service/service.yaml", "https-legacy/classic": "https-legacy/service/service.yaml", "db-tunnel/standalone": "db-tunnel/standalone/service.yaml",
	} {
		var service corev1.Service
		readManifest(t, file, &service)
		meta, _ := podSpec(t, variant)
		if !labels.SelectorFromSet(service.Spec.Selector).Matches(labels.Set(meta.Labels)) {
			t.Errorf("%s: the service does not select %v", variant, meta.Labels)
		}
		c, _ := container(t, variant, "proxy")
		for _, p := range service.Spec.Ports {
			if !slices.ContainsFunc(c.Ports, func(cp corev1.ContainerPort) bool { return cp.Name == p.TargetPort.StrVal }) {
				t.Errorf("%s: no port named %s", variant, p.TargetPort.StrVal)
			}
		}
	}
	// The way to the tunnel is plain text: a policy says who may.
	var np networkingv1.NetworkPolicy
	readManifest(t, "db-tunnel/standalone/policy.yaml", &np)
	meta, _ := podSpec(t, "db-tunnel/standalone")
	selector, err := metav1.LabelSelectorAsSelector(&np.Spec.PodSelector)
	if err != nil || !selector.Matches(labels.Set(meta.Labels)) || len(np.Spec.Ingress) == 0 {
		t.Errorf("the policy does not select the tunnel: %v", err)
	}
	for _, rule := range np.Spec.Ingress {
		for _, p := range rule.Ports {
			if len(rule.From) == 0 && p.Port.StrVal != "metrics" {
				t.Errorf("port %s is open to everybody", p.Port.StrVal)
			}
		}
	}
}

func TestProxyKustomizationsNameWhatExists(t *testing.T) {
	for _, folder := range append([]string{"https-legacy/service"}, proxyVariants...) {
		var k struct {
			APIVersion string              `json:"apiVersion"`
			Kind       string              `json:"kind"`
			Resources  []string            `json:"resources"`
			Images     []map[string]string `json:"images"`
		}
		readManifest(t, folder+"/kustomization.yaml", &k)
		local := 0
		for _, resource := range k.Resources {
			if _, err := os.Stat(filepath.Join(manifests, folder, resource)); err != nil {
				t.Errorf("%s: %v", folder, err)
			}
			if !strings.HasPrefix(resource, "..") {
				local++
			}
		}
		files, err := filepath.Glob(filepath.Join(manifests, folder, "*.yaml"))
		if err != nil || len(files) != local+1 {
			t.Errorf("%s: %d files, %d resources, %v; want all of them named", folder, len(files), local, err)
		}
	}
}
