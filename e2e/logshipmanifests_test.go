package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

var logVariants = []string{"log-elasticsearch/sidecar", "log-elasticsearch/classic", "log-elasticsearch/job"}

func TestLogshipManifestsTuneTheContainer(t *testing.T) {
	const drain = 25 // seconds; the default of --drain-timeout
	for _, variant := range logVariants {
		c, init := container(t, variant, "logship")
		if c.Image != image || c.Args[0] != "logship" {
			t.Errorf("%s: %s %q", variant, c.Image, c.Args)
		}
		if p := c.StartupProbe; p == nil || p.PeriodSeconds != 1 || p.FailureThreshold != 30 || p.HTTPGet.Path != "/startupz" {
			t.Errorf("%s: startup probe %+v; want /startupz each second, 30 times", variant, p)
		}
		if c.ReadinessProbe != nil || c.LivenessProbe.HTTPGet.Path != "/livez" || c.Ports[0].ContainerPort != 9445 {
			t.Errorf("%s: readiness %v, liveness %s, port %d; want no readiness: an outage of the receiver is none of the application", variant,
				c.ReadinessProbe, c.LivenessProbe.HTTPGet.Path, c.Ports[0].ContainerPort)
		}
		native := c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
		if classic := strings.HasSuffix(variant, "/classic"); native != init || init == classic || slices.ContainsFunc(c.Args, func(a string) bool { return strings.HasPrefix(a, "--linger") }) != classic {
			t.Errorf("%s: init container %v, restartPolicy Always %v, arguments %q; want --linger where both get SIGTERM at once", variant, init, native, c.Args)
		}
		_, spec := podSpec(t, variant)
		if init && spec.InitContainers[0].Name != "logship" {
			t.Errorf("%s: logship is not the first, so it does not stop last", variant)
		}
		if grace := spec.TerminationGracePeriodSeconds; grace == nil || *grace < drain+30 {
			t.Errorf("%s: the grace period does not hold the drain of %d s and the application", variant, drain)
		}
		for _, v := range spec.Volumes {
			if v.EmptyDir != nil && v.EmptyDir.SizeLimit.IsZero() {
				t.Errorf("%s: volume %s has no limit", variant, v.Name)
			}
			if v.Secret != nil && (v.Secret.DefaultMode == nil || *v.Secret.DefaultMode != 0o440) {
				t.Errorf("%s: secret %s may be read by more than the group", variant, v.Secret.SecretName)
			}
		}
	}
}

func TestLogshipManifestsAreEqualButForTheirKind(t *testing.T) {
	first, _ := container(t, logVariants[0], "logship")
	for _, variant := range logVariants[1:] {
		c, _ := container(t, variant, "logship")
		c.RestartPolicy, c.Args = first.RestartPolicy, first.Args
		if got, want := c.String(), first.String(); got != want {
			t.Errorf("%s has\n%s\nwant\n%s", variant, got, want)
		}
	}
}

func TestLogshipKustomizationsNameWhatExists(t *testing.T) {
	for _, folder := range append([]string{"log-elasticsearch/config"}, logVariants...) {
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
