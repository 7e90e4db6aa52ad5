package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

var adapterVariants = []string{"metrics-adapter/sidecar", "metrics-adapter/classic"}

func TestAdapterManifestsTuneTheContainer(t *testing.T) {
	const drain = 25 // seconds; the default of --drain-timeout
	for _, variant := range adapterVariants {
		c, init := container(t, variant, "adapter")
		if c.Image != image || c.Args[0] != "adapter" {
			t.Errorf("%s: %s %q", variant, c.Image, c.Args)
		}
		if p := c.StartupProbe; p == nil || p.PeriodSeconds != 1 || p.FailureThreshold != 30 || p.HTTPGet.Path != "/startupz" {
			t.Errorf("%s: startup probe %+v; want /startupz each second, 30 times", variant, p)
		}
		for path, p := range map[string]*corev1.Probe{"/readyz": c.ReadinessProbe, "/livez": c.LivenessProbe} {
			if p == nil || p.HTTPGet.Path != path || p.HTTPGet.Port.StrVal != "metrics" {
				t.Errorf("%s: probe %+v; want %s at the admin port: the adapter's own state says nothing of the application", variant, p, path)
			}
		}
		native := c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
		if native != init || init != strings.HasSuffix(variant, "/sidecar") {
			t.Errorf("%s: init container %v, restartPolicy Always %v", variant, init, native)
		}
		_, spec := podSpec(t, variant)
		if grace := spec.TerminationGracePeriodSeconds; grace == nil || *grace <= drain {
			t.Errorf("%s: the grace period does not hold the drain of %d s", variant, drain)
		}
		for _, v := range spec.Volumes {
			if v.EmptyDir != nil && v.EmptyDir.SizeLimit.IsZero() {
				t.Errorf("%s: volume %s has no limit", variant, v.Name)
			}
		}
		app := spec.Containers[0]
		if p := app.ReadinessProbe; app.Name != "app" || p == nil || p.HTTPGet.Path != "/readyz" || p.HTTPGet.Port.IntVal != 9464 {
			t.Errorf("%s: %s has readiness probe %+v; want /readyz of the adapter's checks at 9464", variant, app.Name, p)
		}
	}
}

// TestAdapterManifestsAreScraped: what annotations and probes name is a port of the container, and one that the pod does not share is not.
func TestAdapterManifestsAreScraped(t *testing.T) {
	for _, variant := range adapterVariants {
		meta, _ := podSpec(t, variant)
		c, _ := container(t, variant, "adapter")
		ports := map[string]int32{}
		for _, p := range c.Ports {
			ports[p.Name] = p.ContainerPort
		}
		if len(ports) != 2 || ports["scrape"] != 9464 || ports["metrics"] != 9444 {
			t.Errorf("%s: ports %v; want scrape 9464 and metrics 9444", variant, ports)
		}
		a := meta.Annotations
		if a["prometheus.io/scrape"] != "true" || a["prometheus.io/port"] != "9464" || a["prometheus.io/path"] != "/metrics" {
			t.Errorf("%s: annotations %v; want /metrics at 9464", variant, a)
		}
	}
}

func TestAdapterManifestsAreEqualButForTheirKind(t *testing.T) {
	first, _ := container(t, adapterVariants[0], "adapter")
	for _, variant := range adapterVariants[1:] {
		c, _ := container(t, variant, "adapter")
		c.RestartPolicy = first.RestartPolicy
		if got, want := c.String(), first.String(); got != want {
			t.Errorf("%s has\n%s\nwant\n%s", variant, got, want)
		}
	}
}

func TestAdapterKustomizationsNameWhatExists(t *testing.T) {
	for _, folder := range append([]string{"metrics-adapter/config"}, adapterVariants...) {
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
