package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

var cronVariants = []string{"cron/sidecar", "cron/standalone", "cron/replicas"}

// readManifest decodes one object and refuses unknown fields.
func readManifest(t *testing.T, path string, into any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(manifests, path))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(b, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// cronFiles is the ConfigMap of a variant, as it is shipped.
func cronFiles(t *testing.T, variant string) (name string, files map[string]string) {
	t.Helper()
	var m corev1.ConfigMap
	readManifest(t, variant+"/crontab.yaml", &m)
	return m.Name, m.Data
}

func TestCronManifestsTuneTheContainer(t *testing.T) {
	const drain = 25 // seconds; the default of --drain-timeout
	for _, variant := range cronVariants {
		c, init := container(t, variant, "cron")
		if !slices.Equal(c.Args, []string{"cron"}) || c.Image != image {
			t.Errorf("%s: %s %q; want one word", variant, c.Image, c.Args)
		}
		if p := c.StartupProbe; p == nil || p.PeriodSeconds != 1 || p.FailureThreshold != 30 || p.HTTPGet.Path != "/startupz" {
			t.Errorf("%s: startup probe %+v; want /startupz each second, 30 times", variant, p)
		}
		if c.ReadinessProbe.HTTPGet.Path != "/readyz" || c.LivenessProbe.HTTPGet.Path != "/livez" || c.Ports[0].ContainerPort != 9446 {
			t.Errorf("%s: probes ask %s and %s of port %d", variant, c.ReadinessProbe.HTTPGet.Path, c.LivenessProbe.HTTPGet.Path, c.Ports[0].ContainerPort)
		}
		native := c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
		if native != init || init != (variant == "cron/sidecar") {
			t.Errorf("%s: init container %v, restartPolicy Always %v", variant, init, native)
		}
		_, spec := podSpec(t, variant)
		if grace := spec.TerminationGracePeriodSeconds; grace == nil || *grace <= drain || init && *grace < drain+30 {
			t.Errorf("%s: the grace period does not hold the drain of %d s", variant, drain)
		}
		for _, m := range c.VolumeMounts {
			if m.SubPath != "" {
				t.Errorf("%s: a subPath never follows an edit", variant)
			}
		}
	}
}

// TestCronManifestsAskTheClusterForOneLease: only the replicas speak to the API server, and about one Lease.
func TestCronManifestsAskTheClusterForOneLease(t *testing.T) {
	for _, variant := range cronVariants {
		_, spec := podSpec(t, variant)
		if wants := *spec.AutomountServiceAccountToken; wants != (variant == "cron/replicas") {
			t.Errorf("%s: automountServiceAccountToken is %v", variant, wants)
		}
	}
	b, err := os.ReadFile(filepath.Join(manifests, "cron/replicas/rbac.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var account corev1.ServiceAccount
	var role rbacv1.Role
	var binding rbacv1.RoleBinding
	documents := bytes.Split(b, []byte("\n---\n"))
	if len(documents) != 3 {
		t.Fatalf("%d documents; want an account, a role and a binding", len(documents))
	}
	for i, into := range []any{&account, &role, &binding} {
		if err := yaml.UnmarshalStrict(documents[i], into); err != nil {
			t.Fatal(err)
		}
	}
	c, _ := container(t, "cron/replicas", "cron")
	_, spec := podSpec(t, "cron/replicas")
	lease := ""
	for _, e := range c.Env {
		if e.Name == "SIDECAR_CRON_LEASE" {
			lease = e.Value
		}
	}
	for _, r := range role.Rules {
		if !slices.Equal(r.Resources, []string{"leases"}) {
			t.Errorf("rule about %q; want leases only", r.Resources)
		}
		if named := slices.Equal(r.ResourceNames, []string{lease}); !named && !slices.Equal(r.Verbs, []string{"create"}) {
			t.Errorf("verbs %q on leases %q; want only create without a name", r.Verbs, r.ResourceNames)
		}
	}
	if spec.ServiceAccountName != account.Name || binding.RoleRef.Name != role.Name || binding.Subjects[0].Name != account.Name {
		t.Errorf("pod %s, account %s, role %s, binding %+v do not fit", spec.ServiceAccountName, account.Name, role.Name, binding)
	}
}

func TestCronKustomizationsNameWhatExists(t *testing.T) {
	for _, variant := range cronVariants {
		var k struct {
			APIVersion string              `json:"apiVersion"`
			Kind       string              `json:"kind"`
			Resources  []string            `json:"resources"`
			Images     []map[string]string `json:"images"`
		}
		readManifest(t, variant+"/kustomization.yaml", &k)
		for _, resource := range k.Resources {
			if _, err := os.Stat(filepath.Join(manifests, variant, resource)); err != nil {
				t.Errorf("%s: %v", variant, err)
			}
		}
		files, err := filepath.Glob(filepath.Join(manifests, variant, "*.yaml"))
		if err != nil || len(files) != len(k.Resources)+1 {
			t.Errorf("%s: %d files, %d resources, %v; want all of them named", variant, len(files), len(k.Resources), err)
		}
	}
	var claim corev1.PersistentVolumeClaim
	readManifest(t, "cron/standalone/claim.yaml", &claim)
	_, spec := podSpec(t, "cron/standalone")
	if !slices.ContainsFunc(spec.Volumes, func(v corev1.Volume) bool {
		return v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == claim.Name
	}) {
		t.Errorf("no volume of claim %s", claim.Name)
	}
}
